"""A backlog whose every entry makes an outcome due that is not in memory: as after days without the daemon."""

from tests.engine.model import WHOLE, Drive
from tests.oracle.oracle import Change, Entry

CATALOGUE = [
    Change("agent", "support", 0, False, {"condition": [], "settlement_period": 60}),
    Change(
        "rate_card", "standard", 0, False, {"currency": "EUR", "entries": [{"agent": "support", "price_per_unit": "1"}]}
    ),
    Change("customer", "acme", 0, False, {"rate_card": "standard"}),
]
PERIOD_MS = 60_000
MANY = 50


def opening(number: int, ms: int) -> Entry:
    return ms, 0, {b"key": b"outcome-%d" % number, b"customer_key": b"acme", b"action": b"opened"}


def test_what_is_due_within_a_batch_is_loaded_together() -> None:
    run = Drive(CATALOGUE, 0, 1, 1000)
    start = 1_789_000_000_000
    run.take([opening(number, start + number) for number in range(MANY)], 1, WHOLE)
    run.restart()
    run.partition.deadlines.horizon = start + 2 * PERIOD_MS
    for score, key in run.model.due():
        run.partition.deadlines.add_stored(score, key)
    before = run.sequence
    # Each settles one of those before.
    run.take([opening(MANY + number, start + PERIOD_MS + number) for number in range(MANY)], 2, WHOLE)
    assert run.partition.counters["CONFIRMED"] == MANY
    assert run.sequence - before == 2, "one step up to where outcomes were missing, one with all of them"
