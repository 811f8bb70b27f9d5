"""The sets that outcomes are found by, on a real server: what the audit says of them, and how they are rebuilt."""

from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.deployment import LONG_AGO, Deployment
from tests.support.searches import examples
from tests.support.server import Server
from witnd.endpoint import endpoint
from witnd.store.keys import Keys
from witnd.store.page import InvalidCursor
from witnd.store.query.cursor import Cursor, newest
from witnd.store.query.reads import open_reads

KEYS = Keys("witn", 0)
pytestmark = pytest.mark.anyio
SETS = (KEYS.keys, *map(KEYS.with_status, ("OPEN", "PENDING", "CONFIRMED", "FAILED")), KEYS.of_customer("acme"))


def worked(server: Server, directory: Path) -> Deployment:
    deployment = Deployment(server, directory)
    deployment.apply()
    deployment.event("ticket-0001", "replied", 0, properties={"attribution": 3})
    deployment.event("ticket-0002", "reopened", 1)
    deployment.event("ticket-0003", "asked", at="*", agent_key="patient")
    deployment.event("ticket-0004", "asked", at="*", agent_key="patient", customer_key="nobody")
    deployment.work()
    return deployment


def contents(deployment: Deployment) -> dict[str, Any]:
    return {name: deployment.call("ZRANGE", name, 0, -1, "WITHSCORES") for name in SETS}


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("ZREM", KEYS.keys, "ticket-0001"), "outcomes in the list of all keys"),
        (("ZADD", KEYS.keys, 0, "ticket-0009"), "in the list of all keys"),
        (("ZADD", KEYS.with_status("OPEN"), LONG_AGO, "ticket-0001"), "in the list of OPEN outcomes"),
        (("ZREM", KEYS.with_status("FAILED"), "ticket-0002"), "outcomes in the list of FAILED ones"),
        (("ZADD", KEYS.with_status("FAILED"), 5, "ticket-0002"), "its place in the list of FAILED outcomes"),
        (("ZADD", KEYS.of_customer("penniless"), 5, "ticket-0002"), "in the list of customer penniless"),
        (("ZREM", KEYS.of_customer("acme"), "ticket-0002"), "outcomes in the lists of customers"),
        (("HINCRBY", KEYS.day("2001-09-09"), "opened", 1), "outcomes opened, by day"),
        (("HINCRBY", KEYS.day("2001-09-09"), "FAILED", -1), "FAILED outcomes by day"),
        (("HINCRBY", KEYS.day("2001-09-10"), "EUR:2:1", 1), "confirmed EUR by day"),
        (("HINCRBY", KEYS.day("2001-09-10"), "at_close", 1), "outcomes rated at close, by day"),
    ],
)
def test_an_audit_tells_what_is_wrong_with_them(
    session_server: Server, redis_url: str, tmp_path: Path, words: tuple[Any, ...], what: str
) -> None:
    deployment = worked(session_server, tmp_path)
    assert deployment.witnd("audit").exit_code == 0
    deployment.call(*words)
    done = deployment.witnd("audit")
    assert done.exit_code == 5
    assert what in done.output


def test_lists_that_are_missing_or_wrong_are_rebuilt_at_the_start(
    session_server: Server, redis_url: str, tmp_path: Path
) -> None:
    deployment = worked(session_server, tmp_path)
    right = contents(deployment)
    assert [len(one) // 2 for one in right.values()] == [3, 1, 0, 1, 1, 3]
    deployment.call("UNLINK", *SETS)
    deployment.work(lambda _: contents(deployment) == right)
    assert contents(deployment) == right
    deployment.call("ZREM", KEYS.with_status("OPEN"), "ticket-0003")
    deployment.work(lambda _: contents(deployment) == right)
    assert contents(deployment) == right
    assert deployment.witnd("audit").exit_code == 0


def test_a_listed_key_without_a_record_stays_listed_and_goes_on_hold_at_its_next_event(
    session_server: Server, redis_url: str, tmp_path: Path
) -> None:
    """Its record may be lost, and the outcome may be billed already."""
    deployment = worked(session_server, tmp_path)
    key = "ticket-0009"
    deployment.call("ZADD", KEYS.keys, 0, key)
    deployment.call("ZREM", KEYS.with_status("OPEN"), "ticket-0003")  # so all lists are rebuilt
    deployment.work(lambda client: bool(client.zscore(KEYS.with_status("OPEN"), "ticket-0003")))
    assert deployment.call("ZSCORE", KEYS.keys, key) == 0
    assert [(one["key"], one["what"]) for one in deployment.json("audit", exit_code=5)["differences"]] == [
        (key, "in the list of all keys"),
        ("", "outcomes in the list of all keys"),
    ]

    deployment.event(key, "replied", at="*")
    deployment.work()
    assert deployment.json("explain", key)["on_hold"]["reason"] == "its record is missing"
    audited = deployment.json("audit", exit_code=5)
    assert [(one["key"], one["what"], one["found"]) for one in audited["differences"]] == [
        (key, "stored outcome", "on hold: its record is missing")
    ]
    assert audited["events"]["waiting"] == 1

    # The log has no other event of this key, so the repair opens the outcome.
    with deployment.working():
        assert deployment.json("repair", "outcome", key)["state"] == "repaired"
    assert deployment.json("explain", key)["outcome"]["events_count"] == 1
    assert deployment.witnd("audit").exit_code == 0


@settings(deadline=None, max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    members=st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 2), st.text(min_size=1, max_size=3)),
        max_size=40,
        unique_by=lambda one: (one[1], one[3]),
    ),
    first=st.integers(1, 5),
    data=st.data(),
)
async def test_a_list_goes_on_behind_any_place_with_what_follows_it(
    session_server: Server, redis_url: str, members: list[Any], first: int, data: st.DataObject
) -> None:
    partitions = [Keys("places", number) for number in range(3)]
    sets = [(keys, [f"{keys.base}:set:{n}" for n in range(3)]) for keys in partitions]
    session_server.call("FLUSHALL")
    for ms, partition, number, name in members:
        session_server.call("ZADD", sets[partition][1][number], ms, name)
    places = [Cursor(ms, partition, name) for ms, partition, _, name in members]
    ordered = sorted(places, key=lambda one: one.name.encode(), reverse=True)
    ordered.sort(key=lambda one: (-one.ms, one.partition))
    strange = st.builds(Cursor, st.integers(0, 3), st.integers(0, 2), st.text(min_size=1, max_size=3))
    behind = data.draw(st.none() | strange | st.sampled_from(ordered) if ordered else st.none() | strange)
    async with open_reads(endpoint(redis_url)) as reads:
        found = [one async for one in newest(reads, sets, behind, first)]

    def comes_after(one: Cursor, edge: Cursor) -> bool:
        if (one.ms, one.partition) != (edge.ms, edge.partition):
            return (-one.ms, one.partition) > (-edge.ms, edge.partition)
        return one.name.encode() < edge.name.encode()

    assert found == [one for one in ordered if behind is None or comes_after(one, behind)]


@pytest.mark.parametrize("text", ["", "1", "1:0", "x:0:a", "-1:0:a", "1:-1:a", "²:0:a", "1:٣:a", f"{2**53 + 1}:0:a"])
def test_what_is_no_place_is_refused(text: str) -> None:
    for cursor in (text, urlsafe_b64encode(text.encode()).decode().rstrip("=")):
        with pytest.raises(InvalidCursor):
            Cursor.parse(cursor, 2)


def test_a_place_in_a_partition_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InvalidCursor):
        Cursor.parse(str(Cursor(LONG_AGO, 2, "a")), 2)


def test_a_place_has_room_for_any_key() -> None:
    place = Cursor(LONG_AGO, 3, "a:b/c:\x00 é🎉")
    assert Cursor.parse(str(place), 4) == place
