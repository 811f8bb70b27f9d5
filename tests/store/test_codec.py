"""Stored records: what is read is what was written, and a newer format is not guessed at."""

from decimal import Decimal
from functools import partial

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from witnd.domain.catalogue.contract import Contract
from witnd.domain.outcomes.event import Event
from witnd.domain.outcomes.outcome import STATUSES, Outcome
from witnd.domain.pricing.ratecard import Price
from witnd.fold.history import decode_history, encode_history, items_of, mark_of
from witnd.store.errors import Unreadable, Unsafe
from witnd.store.records.codec import FORMAT, decode_fate, decode_outcome, encode_outcome, held_record
from witnd.store.records.held_codec import decode_held, encode_held
from witnd.store.records.hold import Repair, decode_repair, encode_repair
from witnd.store.records.sealed import sealed, unseal_items

CONTRACT = Contract(agent="support", name="Support", condition=[{"fact": "resolved", "operator": "seen"}])
PRICE = Price(rate_card="standard", currency="EUR", exponent=2, agent="support", price_per_unit=Decimal("0.5"))
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
    assert mark_of(item) == (event.mark or b"") + (event.content or b"")


@given(events, entries)
def test_a_held_event_is_read_as_it_was_written(event, entry):
    assert decode_held("ticket-0001", encode_held(entry, event)) == (entry, event)


@pytest.mark.parametrize("decode", [partial(decode_outcome, "ticket-0001"), decode_fate])
def test_a_record_of_a_newer_format_is_refused_with_the_remedy(decode):
    with pytest.raises(Unsafe, match="run the newer witnd"):
        decode(msgspec.msgpack.encode([FORMAT + 1, 0]))


@given(
    st.lists(st.tuples(events, entries, instants), max_size=20),
    st.sampled_from(STATUSES),
    st.none() | st.tuples(st.integers(0, 2**48), st.decimals(allow_nan=False, allow_infinity=False)),
    st.lists(st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(), max_size=5),
)
def test_an_outcome_is_read_as_it_was_written_with_the_end_of_its_history(given_items, status, tally, values):
    outcome = Outcome("ticket-0001", "c", CONTRACT, PRICE, 7)
    outcome.status, outcome.tally, outcome.values, outcome.settles_at = status, tally, values, 1000
    outcome.counts = outcome.orders = [1] * len(values)
    items = [encode_history(*entry, event, placed_at) for event, entry, placed_at in given_items]

    read = decode_outcome("ticket-0001", encode_outcome(outcome, 900, b"".join(items), len(items)))

    assert read is not None
    assert (read.items, read.tail, read.tailed) == (items, b"".join(items), len(items))
    assert items_of(read.tail, read.tailed) == items
    assert (read.contract_hash, read.price_hash, read.customer_key) == (CONTRACT.hash, PRICE.hash, "c")
    assert (read.opened_at, read.settles_at, read.indexed_deadline, read.processed_at) == (7, 1000, 900, None)
    assert (read.status, read.holds, read.events, read.tally) == (status, False, 0, tally)
    assert (read.counts, read.values, read.orders) == (outcome.counts, values, outcome.orders)
    assert [type(value) for value in read.values] == [type(value) for value in values]


EVENT = Event("ticket-0001", "asked", "c", None, None, None, None, None, None, None)
OF_ONE_KEY = {
    "outcome": (decode_outcome, encode_outcome(Outcome("ticket-0001", "c", CONTRACT, PRICE, 7), 0, b"", 0)),
    "mark of held events": (decode_outcome, held_record("ticket-0001")),
    "held event": (decode_held, encode_held((1, 0), EVENT)),
    "history": (unseal_items, sealed("ticket-0001", [encode_history(1, 0, EVENT, None)])),
    "repair": (decode_repair, encode_repair("ticket-0001", Repair(1, None, [], []))),
}


@pytest.mark.parametrize("kind", OF_ONE_KEY)
def test_a_sound_record_of_another_key_is_damage(kind):
    decode, record = OF_ONE_KEY[kind]
    decode("ticket-0001", record)
    with pytest.raises(Unreadable, match="checksum"):
        decode("ticket-0002", record)
