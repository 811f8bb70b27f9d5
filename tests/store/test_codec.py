"""Stored records: what is read is what was written, and a newer format is not guessed at."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from witnd.domain.event import Event
from witnd.store.codec import (
    FORMAT,
    decode_fate,
    decode_held,
    decode_history,
    decode_outcome,
    encode_held,
    encode_history,
    marked,
)
from witnd.store.errors import Unsafe

instants = st.none() | st.integers(-(10**15), 10**15)
events = st.builds(
    lambda identity, **rest: Event(key="ticket-0001", mark=identity, content=identity and identity[::-1], **rest),
    identity=st.none() | st.binary(min_size=16, max_size=16),
    action=st.text(min_size=1, max_size=255),
    customer_key=st.text(min_size=1, max_size=9),
    agent_key=st.none() | st.text(min_size=1, max_size=9),
    timestamp=instants,
    value=st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    attribution=st.none() | st.decimals(allow_nan=False, allow_infinity=False),
    pin=instants,
)
entries = st.tuples(st.integers(0, 2**48), st.integers(0, 2**32))


@given(events, entries, instants)
def test_a_history_item_is_read_as_it_was_written_and_its_marks_are_found_without_reading_it(event, entry, placed_at):
    item = encode_history(*entry, event, placed_at)
    read = decode_history(item)

    assert (read.entry, read.placed_at, read.mark, read.content) == (entry, placed_at, event.mark, event.content)
    assert (read.action, read.timestamp, read.value, read.pin) == (
        event.action,
        event.timestamp,
        event.value,
        event.pin,
    )
    assert read.attribution == event.attribution
    assert marked(item) == (event.mark or b"") + (event.content or b"")


@given(events, entries)
def test_a_held_event_is_read_as_it_was_written(event, entry):
    assert decode_held("ticket-0001", encode_held(entry, event)) == (entry, event)


@pytest.mark.parametrize("decode", [decode_outcome, decode_fate])
def test_a_record_of_a_newer_format_is_refused_with_the_remedy(decode):
    with pytest.raises(Unsafe, match="run the newer witnd"):
        decode(msgspec.msgpack.encode([FORMAT + 1, 0]))
