"""In which slot a command runs, and how a call over several slots is split."""

import pytest

from witnd.store.keys import BillingKeys, GlobalKeys, Keys
from witnd.store.server.routing.slots import SHARED_SLOT, command_key, phases, slot_of, slots_of

KEYS, SHARED = Keys("witn", 3), GlobalKeys("other")


@pytest.mark.parametrize(
    ("command", "key"),
    [
        (("HGET", KEYS.state, "seq"), KEYS.state),
        (("XINFO", "STREAM", KEYS.events), KEYS.events),
        (("XINFO STREAM", KEYS.events), KEYS.events),
        (("XGROUP", "CREATE", KEYS.events, "0", "0"), KEYS.events),
        (("EVAL", "return 1", 1, KEYS.owner, "x"), KEYS.owner),
        (("EVAL", "return 1", 0, "x"), None),
        (("EVALSHA", "0" * 40, "2", KEYS.owner, KEYS.state), KEYS.owner),
        (("XREAD", "COUNT", 5, "BLOCK", 10, "STREAMS", KEYS.events, "0"), KEYS.events),
        (("SCAN", "0", "MATCH", f"{KEYS.outcome('')}*", "COUNT", 10), f"{KEYS.outcome('')}*"),
        (("SCAN", "0"), None),
        (("TIME",), None),
        (("CONFIG", "GET", "save"), None),
        (("ACL WHOAMI",), None),
    ],
)
def test_the_key_of_a_command(command: tuple[str | int, ...], key: str | None) -> None:
    assert command_key(command) == key


def test_all_keys_of_a_partition_are_in_one_slot_and_all_shared_keys_in_another() -> None:
    partition = {KEYS.state, KEYS.events, KEYS.outcome("a{b}"), KEYS.of_customer("{x}"), KEYS.outbox("rule")}
    assert {slot_of(key) for key in partition} == {slot_of("{3}")}
    billing = BillingKeys("other")
    shared = {SHARED.catalogue, SHARED.tokens, SHARED.answer("1"), billing.state, billing.rows("i", 3)}
    assert {slot_of(key) for key in shared} == {SHARED_SLOT}


def test_a_command_without_a_key_runs_where_the_others_of_its_call_run() -> None:
    assert slots_of([("TIME",), ("GET", KEYS.owner)]) == [slot_of(KEYS.owner)] * 2
    assert slots_of([("TIME",)]) == [SHARED_SLOT]
    other = Keys("witn", 4).owner
    assert slots_of([("TIME",), ("GET", KEYS.owner), ("GET", other)]) == [
        SHARED_SLOT,
        slot_of(KEYS.owner),
        slot_of(other),
    ]


def test_the_shared_slot_is_read_last() -> None:
    one, two = slot_of(KEYS.owner), slot_of(Keys("witn", 4).owner)
    assert phases([SHARED_SLOT, one, SHARED_SLOT, two, one]) == [{one: [1, 4], two: [3]}, {SHARED_SLOT: [0, 2]}]
    assert phases([one]) == [{one: [0]}]
    assert phases([]) == []
