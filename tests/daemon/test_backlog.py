"""The daemon after an outage: a backlog in which half of the outcomes are overdue, and events at the border of one."""

import json
from pathlib import Path

import pytest
import redis

from tests.support.deployment import LONG_AGO, Deployment
from tests.support.server import Server

LOG = "witn:{0}:events"
PERIOD_MS = 60_000
MANY = 2400


@pytest.fixture
def deployment(redis_url: str, session_server: Server, tmp_path: Path) -> Deployment:
    return Deployment(session_server, tmp_path)


def body(key: str, action: str) -> str:
    return json.dumps({"key": key, "action": action, "customer_key": "acme", "agent_key": "support"})


def test_a_backlog_is_applied_before_what_it_makes_due_is_settled(deployment: Deployment) -> None:
    """Every other outcome is reversed at the last moment, by an entry that waits behind thousands of others."""
    deployment.apply()
    with deployment.server.sync() as client, client.pipeline(transaction=False) as block:
        for number in range(MANY):
            block.execute_command("XADD", LOG, f"{LONG_AGO}-*", "data", body(f"ticket-{number:05}", "replied"))
        for number in range(0, MANY, 2):
            at = LONG_AGO + PERIOD_MS - 1
            block.execute_command("XADD", LOG, f"{at}-*", "data", body(f"ticket-{number:05}", "reopened"))
        block.execute()
    deployment.work()
    with deployment.server.sync() as client:
        assert client.hmget("witn:{0}:state", "CONFIRMED", "FAILED", "late") == [b"1200", b"1200", b"0"]
        assert client.xlen("witn:{0}:lines") == MANY // 2
        assert int(most_at_once(client)) <= 1000
    assert deployment.json("audit")["clean"]


def most_at_once(client: redis.Redis) -> int:
    """The most resolutions of one commit: their entries have ids of one ms, or of some that follow each other."""
    ids = [id_.partition(b"-")[0] for id_, _ in client.xrange("witn:{0}:resolutions")]
    return max(ids.count(one) for one in set(ids))


@pytest.mark.parametrize(("after", "fate"), [(PERIOD_MS - 1, "applied"), (PERIOD_MS, "late"), (PERIOD_MS + 1, "late")])
def test_an_event_counts_until_the_instant_before_its_outcome_is_due(
    deployment: Deployment, after: int, fate: str
) -> None:
    deployment.apply()
    deployment.event("ticket-0001", "replied")
    deployment.event("ticket-0002", "replied", after)  # brings the log to the same ms before
    id_ = deployment.event("ticket-0001", "reopened", after)
    deployment.work()
    assert deployment.json("events", id_)["fate"] == fate
    # The other one is confirmed, whatever becomes of the first.
    assert deployment.call("HMGET", "witn:{0}:state", "CONFIRMED", "FAILED") == (
        [b"1", b"1"] if fate == "applied" else [b"2", b"0"]
    )
    assert deployment.json("audit")["clean"]
