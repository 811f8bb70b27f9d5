"""What an actor knows of the events it was given, wherever it keeps them."""

from hypothesis import given
from hypothesis import strategies as st

from witnd.domain.outcomes.event import Event
from witnd.fold.actor import TAIL_MAX, Actor, Marks
from witnd.fold.history import decode_history, encode_history, items_of, mark_of

MARKS = [bytes([65 + n]) * 16 for n in range(4)]


def event(mark: bytes | None, action: str, value: str | None) -> Event:
    content = None if mark is None else mark[::-1][:8] + b"\0" * 8
    return Event("ticket-0001", action, "c", None, None, value, None, None, mark, content)


# Texts that are spelt like a mark: finding the bytes is not finding the mark.
texts = st.sampled_from([mark.decode() for mark in MARKS])
events = st.builds(event, st.none() | st.sampled_from(MARKS), texts, st.none() | texts)


@given(st.lists(events, max_size=3 * TAIL_MAX), st.sets(st.integers(0, 3 * TAIL_MAX)))
def test_a_mark_is_found_in_the_tail_and_behind_it_and_nowhere_else(given_events, spills):
    actor = Actor.__new__(Actor)
    actor.tail, actor.tailed, actor.marks = b"", 0, None
    listed: list[bytes] = []
    known: dict[bytes, bytes | None] = {}
    for number, one in enumerate(given_events):
        if number in spills or actor.tailed == TAIL_MAX:
            listed += actor.spill()
        if one.mark in known:
            continue
        actor.tail += encode_history(number, 0, one, None)
        actor.tailed += 1
        if one.mark is not None:
            known[one.mark] = one.content
        assert [actor.find(mark) for mark in MARKS] == [known.get(mark) for mark in MARKS]

    spare = b"Z" * 16
    actor.add_marks(mark_of(encode_history(99, 0, event(spare, "reversed", None), None)))
    assert actor.find(spare) == event(spare, "reversed", None).content
    assert [actor.find(mark) for mark in MARKS] == [known.get(mark) for mark in MARKS]

    kept = [decode_history(item).mark for item in (*listed, *items_of(actor.tail, actor.tailed))]
    assert [mark for mark in kept if mark is not None] == list(known)


@given(st.integers(0, 600), st.integers(1, 40))
def test_marks_are_found_whether_few_or_many(count, at_once):
    pairs = [(number.to_bytes(16), (number + 1).to_bytes(16)) for number in range(count)]
    marks = Marks()
    for at in range(0, count, at_once):
        marks.add(b"".join(mark + content for mark, content in pairs[at : at + at_once]))

    assert all(marks.find(mark) == content for mark, content in pairs)
    assert marks.find(count.to_bytes(16)) is None
    whole = Marks(b"".join(mark + content for mark, content in pairs))
    assert all(whole.find(mark) == content for mark, content in pairs)
