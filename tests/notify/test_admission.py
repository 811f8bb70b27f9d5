"""Which attempts may be under way at once: the decisions, on any order of starts, slow attempts and ends."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from witnd.notify.admission import PER_ENDPOINT, TOTAL, Admission, Share, Ticket, sizes, total_for

SIZES = sizes(TOTAL)
URLS = st.sampled_from([f"https://{name}.example/" for name in "abcdefghij"])
# What happens: an endpoint wants to start, the attempt at a place turns slow, it ends well, ill, or was never sent.
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("start"), URLS),
        st.tuples(st.sampled_from(["slow", "good", "bad", "unsent"]), st.integers(0, 30)),
    ),
    max_size=200,
)
RESULT = {"good": True, "bad": False, "unsent": None}


def prove(admission: Admission, url: str, *, prompt: bool = True) -> None:
    """The endpoint has answered."""
    ticket = admission.start(url)
    assert ticket is not None
    if not prompt:
        admission.mark_slow(ticket)
    admission.end(ticket, succeeded=True)


@given(st.integers(8, 64), STEPS)
def test_no_share_and_no_endpoint_ever_has_more_than_its_bound(total: int, steps: list[tuple[str, str | int]]) -> None:
    admission = Admission(sizes(total))
    running: list[Ticket] = []
    for what, which in steps:
        if what == "start":
            ticket = admission.start(str(which))
            running += [] if ticket is None else [ticket]
        elif running:
            ticket = running[int(which) % len(running)]
            if what == "slow":
                longest = admission.mark_slow(ticket)
                assert longest is None or longest in running
            else:
                running.remove(ticket)
                admission.end(ticket, succeeded=RESULT[what])
        limits = admission.sizes
        assert admission.counts == Counter(one.share for one in running if one.share is not None)
        assert admission.counts[Share.PROMPT] <= limits.prompt
        assert admission.counts[Share.UNCERTAIN] <= limits.uncertain
        assert admission.counts[Share.SLOW] <= limits.slow
        assert admission.counts[Share.SILENT] <= limits.silent
        assert all(count <= PER_ENDPOINT for count in Counter(one.url for one in running).values())


@given(st.integers(1, 5 * TOTAL), st.booleans())
def test_however_many_endpoints_fall_silent_a_healthy_one_starts_once_theirs_are_slow(count: int, known: bool) -> None:
    """Formerly healthy ones and new ones: those that have to wait are slow half a second after they started."""
    admission = Admission(SIZES)
    prove(admission, "https://healthy.example/")
    silent = [f"https://silent-{number}.example/" for number in range(count)]
    if known:
        for url in silent:
            prove(admission, url)
    waiting = silent
    while waiting:
        begun = [ticket for url in waiting if (ticket := admission.start(url)) is not None]
        for ticket in begun:
            admission.mark_slow(ticket)
        healthy = admission.start("https://healthy.example/")
        assert healthy is not None
        admission.end(healthy, succeeded=True)
        reached = {ticket.url for ticket in begun}
        waiting = [url for url in waiting if url not in reached]
        if not begun:
            break
    assert admission.counts[Share.PROMPT] == 0


@given(st.integers(1, 2 * TOTAL))
def test_silent_endpoints_leave_room_for_those_that_nothing_is_known_of(count: int) -> None:
    admission = Admission(SIZES)
    for number in range(count):
        url = f"https://silent-{number}.example/"
        ticket = admission.start(url)
        assert ticket is not None
        admission.mark_slow(ticket)
        admission.end(ticket, succeeded=False)
        assert admission.share_for(url) is Share.SILENT
    tried = [admission.start(f"https://silent-{number}.example/") for number in range(count)]

    assert sum(ticket is not None for ticket in tried) == min(count, SIZES.silent)
    assert admission.start("https://new.example/") is not None


def test_an_endpoint_that_answers_slowly_keeps_to_the_slow_share_until_it_is_prompt_again() -> None:
    admission = Admission(SIZES)
    prove(admission, "https://slow.example/", prompt=False)
    assert admission.share_for("https://slow.example/") is Share.SLOW

    several = [admission.start("https://slow.example/") for _ in range(PER_ENDPOINT + 1)]
    assert [ticket is not None for ticket in several] == [True] * PER_ENDPOINT + [False]
    assert admission.counts == Counter({Share.SLOW: PER_ENDPOINT})

    first = several[0]
    assert first is not None
    admission.end(first, succeeded=True)
    assert admission.share_for("https://slow.example/") is Share.PROMPT


def test_an_endpoint_that_fails_is_tried_by_one_attempt_at_a_time() -> None:
    admission = Admission(SIZES)
    prove(admission, "https://a.example/")
    ticket = admission.start("https://a.example/")
    assert ticket is not None
    admission.end(ticket, succeeded=False)

    assert admission.start("https://a.example/") is not None
    assert admission.start("https://a.example/") is None


def test_when_the_slow_share_is_full_the_one_that_waits_longest_is_ended() -> None:
    admission = Admission(sizes(8))
    tickets = []
    for number in range(4):
        ticket = admission.start(f"https://{number}.example/")
        assert ticket is not None
        tickets.append(ticket)
        ended = admission.mark_slow(ticket)
        assert ended is (tickets[0] if number == 3 else None)
    assert tickets[0].share is None
    admission.end(tickets[0], succeeded=False)
    assert admission.counts == Counter({Share.SLOW: 3})


def test_the_shares_fit_below_the_limit_on_open_files() -> None:
    for files in (64, 256, 1024, 4096, 65536):
        assert sizes(total_for(files)).total <= max(32, files // 4)
    assert sizes(total_for(1 << 20)).total == TOTAL
