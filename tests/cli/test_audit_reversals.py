"""`witnd audit` covers reversals: clean on what the daemon made, and every difference is found."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tests.cli import test_audit
from tests.cli.test_audit import put, record, results
from tests.support.deployment import CATALOGUE, LONG_AGO, Deployment
from tests.support.repartition import forwarded, multiply
from witnd.domain.webhooks.notification import delivery_id, rule_id
from witnd.store.records.codec import FateRecord, OutcomeRecord, encode_fate

TERMS = '{ window = 600, on = ["refunded", "withdrawn"] }'
REVERSIBLE = CATALOGUE.replace("settlement_period = 60\n", f"settlement_period = 60\nreversal = {TERMS}\n") + (
    """
[[notification_rules]]
name = "credits"
source = "outcome_reversed"
url = "http://127.0.0.1:9/hook"
"""
)
REVERSAL = OutcomeRecord.__struct_fields__.index("reversal")
DUE = LONG_AGO + 60_000
KEY = "ticket-0001"


def differences(deployment: Deployment, *arguments: str) -> set[tuple[str, str]]:
    return test_audit.differences(deployment, *arguments)


def work(deployment: Deployment) -> str:
    """Reversed outcomes, and every other fate that a reversing event can have. Returns the entry that reversed KEY."""
    deployment.apply(REVERSIBLE)
    deployment.event(KEY, "replied", idempotency_key="a")
    deployment.event("ticket-0002", "replied", 1)
    deployment.event("ticket-0003", "replied", 2)
    deployment.event("ticket-0003", "reopened", 3)
    deployment.event("ticket-0004", "replied", 4)
    entry = deployment.event(KEY, "refunded", 100_000, idempotency_key="b")
    deployment.event(KEY, "refunded", 100_001, idempotency_key="b")
    deployment.event(KEY, "withdrawn", 100_002, idempotency_key="b")
    deployment.event(KEY, "withdrawn", 100_003)  # late, the second
    deployment.event("ticket-0003", "refunded", 100_004)  # late, it missed
    deployment.event("ticket-0002", "withdrawn", 660_000)  # in the last ms of its window
    deployment.event("ticket-0004", "withdrawn", 660_004)  # late
    deployment.work()
    return entry


def test_what_the_daemon_made_is_clean(deployment: Deployment) -> None:
    work(deployment)
    for arguments in ((), ("--quick",)):
        report = deployment.json("audit", *arguments)
        assert report["clean"], report
        assert report["events"] == {
            "applied": 5, "held": 0, "rejected": 0, "reversed": 2, "late": 3, "duplicate": 1, "conflict": 1,
            "waiting": 0,
        }  # fmt: skip
        assert report["outcomes"]["CONFIRMED"] == 3
        assert report["billed"] == [{"currency": "EUR", "lines": 3, "amount": "3.00"}]
    assert report["deliveries"] == 0
    assert deployment.json("audit")["deliveries"] == 4 + 2
    assert "reversed" in deployment.witnd("audit").stdout


def test_several_partitions_are_summed_up(sharded: Deployment) -> None:
    work(sharded)
    parts = [sharded.json("audit", "--partition", str(number)) for number in range(3)]
    assert sum(part["events"]["reversed"] for part in parts) == 2
    assert all(part["clean"] for part in parts)


def item(entry: tuple[int, int], action: str) -> bytes:
    return msgspec.msgpack.encode((None, *entry, action, None, None, None, None, None))


@pytest.mark.parametrize(
    ("key", "reversal", "what"),
    [
        (KEY, b"", "outcome of a reversal"),
        (KEY, b"", "outcome of a reversal of a line"),
        (KEY, item((LONG_AGO + 100_000, 0), "noted"), f"action of reversing event {LONG_AGO + 100_000}-0"),
        (KEY, item((LONG_AGO + 100_000, 0), "withdrawn"), "recorded events"),
        (KEY, item((DUE - 1, 0), "refunded"), f"reversing event {DUE - 1}-0"),
        (KEY, item((DUE + 600_000, 0), "refunded"), f"reversing event {DUE + 600_000}-0"),
        (KEY, item((DUE + 5, 0), "refunded"), "reversal: entry"),
        (KEY, item((DUE + 5, 0), "refunded"), "reversal of a line: reversed_at"),
        ("ticket-0003", item((LONG_AGO + 100_004, 0), "refunded"), f"reversing event {LONG_AGO + 100_004}-0"),
        ("ticket-0004", item((LONG_AGO + 100_004, 0), "refunded"), "reversals"),
        ("ticket-0004", item((LONG_AGO + 100_004, 0), "refunded"), "reversals of invoice lines"),
    ],
)  # fmt: skip
def test_a_record_with_another_reversal_is_found(deployment: Deployment, key: str, reversal: bytes, what: str) -> None:
    work(deployment)
    record(deployment, key, put(REVERSAL, reversal))
    assert (key, what) in differences(deployment)


@pytest.mark.parametrize("quick", [[], ["--quick"]])
@pytest.mark.parametrize(("stream", "what"), [("resolutions", "reversals"), ("lines", "reversals of invoice lines")])
@pytest.mark.parametrize("change", ["lost", "twice"])
def test_a_reversal_that_is_lost_or_there_twice_is_found(
    deployment: Deployment, stream: str, what: str, change: str, quick: list[str]
) -> None:
    work(deployment)

    def rewrite(said: list[dict[str, Any]]) -> list[dict[str, Any]]:
        [reversal] = [one for one in said if one["outcome_key"] == KEY and "entry" in one]
        return [one for one in said if one is not reversal] if change == "lost" else [*said, reversal]

    rewritten(deployment, stream, rewrite)
    found = differences(deployment, *quick)
    assert (KEY, what) in found
    assert ("", "resolutions" if stream == "resolutions" else what) in found


@pytest.mark.parametrize(
    ("stream", "member", "value"),
    [
        ("resolutions", "reversed_at", "2001-09-09T01:48:20.001Z"),
        ("resolutions", "line_id", "0" * 64),
        ("resolutions", "grade", "full"),
        ("lines", "resolved_at", "2001-09-09T01:47:39.000Z"),
        ("lines", "entry", "5-5"),
        ("lines", "currency", "USD"),
    ],
)
def test_a_reversal_with_other_contents_is_found(deployment: Deployment, stream: str, member: str, value: str) -> None:
    work(deployment)

    def rewrite(said: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [one | ({member: value} if one["outcome_key"] == KEY and "entry" in one else {}) for one in said]

    rewritten(deployment, stream, rewrite)
    what = "reversal" if stream == "resolutions" else "reversal of a line"
    assert (KEY, f"{what}: {member}") in differences(deployment)


def test_a_reversal_of_a_line_that_is_unreadable_is_found(deployment: Deployment) -> None:
    work(deployment)
    reversal = {"v": 1, "kind": "reversal", "id": "ab", "outcome_key": KEY}
    id_ = deployment.call("XADD", "witn:{0}:lines", "*", "data", json.dumps(reversal))
    assert ("", f"line {id_.decode()}") in differences(deployment)


def rewritten(
    deployment: Deployment, stream: str, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]
) -> None:
    """Change the entries of a stream of results. The lines keep their numbers."""
    said = change([one for _, one in results(deployment, stream)])
    key = f"witn:{{0}}:{stream}"
    deployment.call("DEL", key)
    for number, one in enumerate(said, 1):
        id_ = f"{number}-0" if stream == "lines" else "*"
        deployment.call("XADD", key, id_, "data", json.dumps(one))


def test_deliveries_are_those_of_the_rules_in_effect(deployment: Deployment) -> None:
    work(deployment)
    id_ = delivery_id(rule_id("credits"), KEY, "outcome_reversed")
    row = deployment.call("HGET", "witn:{0}:deliveries", id_)
    deployment.call("HSET", "witn:{0}:deliveries", id_, row.replace(b"0.995", b"0.996").replace(b"1.00", b"2.00"))
    assert (KEY, f"delivery {id_}") in differences(deployment)
    deployment.call("HDEL", "witn:{0}:deliveries", id_)
    assert (KEY, f"delivery {id_}") in differences(deployment)


@pytest.mark.parametrize(
    ("command", "what"),
    [
        (("HINCRBY", "state", "reversed", 1), "counter of reversed events"),
        (("HINCRBY", "day:2001-09-09", "reversed", -1), "reversed outcomes by day"),
        (("DEL", "fates:reversed"), "counter of reversed events"),
        (("ZADD", "fates:reversed", 5, "5-5"), "fate of 5-5"),
    ],
)
def test_counters_that_were_changed_are_found(deployment: Deployment, command: tuple[Any, ...], what: str) -> None:
    work(deployment)
    name, key, *words = command
    deployment.call(name, f"witn:{{0}}:{key}", *words)
    assert ("", what) in differences(deployment)


def test_a_late_event_that_reverses_its_outcome_is_found(deployment: Deployment) -> None:
    """Everything stored agrees with itself; only the terms say otherwise."""
    entry = work(deployment)
    fates, state = "witn:{0}:fates", "witn:{0}:state"
    late = encode_fate(FateRecord("late", "OUTCOME_NOT_OPEN", KEY, None, None))
    deployment.call("HSET", fates, entry, late)
    deployment.call("ZREM", f"{fates}:reversed", entry)
    deployment.call("ZADD", f"{fates}:late", LONG_AGO + 100_000, entry)
    deployment.call("HINCRBY", state, "reversed", -1)
    deployment.call("HINCRBY", state, "late", 1)
    deployment.call("HINCRBY", "witn:{0}:day:2001-09-09", "reversed", -1)
    record(deployment, KEY, put(REVERSAL, b""))
    for stream in ("resolutions", "lines"):
        rewritten(
            deployment, stream, lambda said: [one for one in said if one["outcome_key"] != KEY or "entry" not in one]
        )
    found = differences(deployment)
    assert (KEY, f"fate of {entry}") in found
    assert not {what for _, what in found} & {"recorded events", "reversals", "resolutions"}


def test_a_repaired_outcome_keeps_its_reversal(deployment: Deployment) -> None:
    work(deployment)
    name = deployment.keys(KEY).outcome(KEY)
    whole = deployment.call("GET", name)
    deployment.call("SETRANGE", name, 9, "#")
    deployment.event(KEY, "refunded", at="*", idempotency_key="b")  # for which the record is read
    deployment.work()
    assert deployment.call("HEXISTS", "witn:{0}:on_hold", KEY)
    done = deployment.json("repair", "outcome", KEY, "--yes")
    deployment.work(lambda client: deployment.settled(client) and not client.hexists("witn:{0}:on_hold", KEY))
    assert done["status"] == "CONFIRMED"
    stored = msgspec.msgpack.decode(deployment.call("GET", name)[:-4])
    assert stored[REVERSAL] == msgspec.msgpack.decode(whole[:-4])[REVERSAL] != b""
    report = deployment.json("audit")
    assert report["clean"], report


def test_outcomes_that_a_repartition_moved_are_reversed_once(deployment: Deployment) -> None:
    deployment.apply(REVERSIBLE)
    keys = [f"ticket-{number:04}" for number in range(12)]
    pinned = {"settles_at": "2001-01-01T00:00:00Z"}  # due at once

    def refund(key: str, name: str) -> None:
        deployment.event(key, "refunded", at="*", idempotency_key=name)

    for key in keys:
        deployment.event(key, "replied", at="*", properties=pinned)
    for key in keys[:6]:
        refund(key, "first")
    deployment.work()
    multiply(deployment, 3)
    for key in keys:
        refund(key, "first")  # a duplicate for the first half
        refund(key, "second")  # late
    deployment.work(forwarded(deployment))
    report = deployment.json("audit")
    assert report["clean"], report
    found = report["events"]
    assert sum(deployment.json("audit", "--partition", "1")["events"].values()) == sum(found.values())
    assert {key: deployment.json("outcomes", "--key", key)["data"][0]["reversed_at"] is None for key in keys} == (
        dict.fromkeys(keys, False)
    )
    fates = [one["fate"] for one in deployment.json("events", "--limit", "1000")["data"]]
    assert (fates.count("reversed"), fates.count("duplicate"), fates.count("late")) == (12, 6, 12)
