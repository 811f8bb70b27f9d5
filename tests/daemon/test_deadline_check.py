"""A deadline that another program changes in Redis is corrected: nothing settles late without an alarm."""

from pathlib import Path

import pytest

from tests.support.deployment import Deployment
from tests.support.server import Server
from witnd.domain.values.instant import render
from witnd.store.keys import Keys
from witnd.store.records.score import score_to_int

KEYS = Keys("witn", 0)
HOUR_MS = 3_600_000


def due(deployment: Deployment, key: str) -> int:
    return score_to_int(deployment.call("ZSCORE", KEYS.due, key))


def opened(server: Server, directory: Path) -> Deployment:
    deployment = Deployment(server, directory)
    deployment.apply()
    for number in range(5):
        deployment.event(f"ticket-000{number}", "asked", at="*", agent_key="patient")
    deployment.work()
    return deployment


@pytest.mark.parametrize("shift_ms", [HOUR_MS, -HOUR_MS, 1, float("inf"), float("-inf")])
def test_a_deadline_that_was_moved_is_corrected_at_the_start_and_named(
    session_server: Server, redis_url: str, tmp_path: Path, shift_ms: float
) -> None:
    deployment = opened(session_server, tmp_path)
    right = due(deployment, "ticket-0003")
    deployment.call("ZADD", KEYS.due, right + shift_ms, "ticket-0003")
    assert deployment.witnd("audit").exit_code == 5

    deployment.work(lambda _: due(deployment, "ticket-0003") == right)
    assert due(deployment, "ticket-0003") == right
    assert deployment.witnd("audit").exit_code == 0


def test_a_deadline_that_was_exchanged_for_one_without_an_outcome_is_written_again(
    session_server: Server, redis_url: str, tmp_path: Path
) -> None:
    deployment = opened(session_server, tmp_path)
    right = due(deployment, "ticket-0003")
    deployment.call("ZREM", KEYS.due, "ticket-0003")
    deployment.call("ZADD", KEYS.due, right + HOUR_MS, "ticket-0009")  # the number of deadlines is right

    deployment.work(lambda client: client.zscore(KEYS.due, "ticket-0009") is None)
    assert due(deployment, "ticket-0003") == right
    assert deployment.call("ZSCORE", KEYS.due, "ticket-0009") is None
    assert deployment.witnd("audit").exit_code == 0


def test_an_outcome_whose_deadline_was_moved_an_hour_on_settles_in_time(
    session_server: Server, redis_url: str, tmp_path: Path
) -> None:
    deployment = Deployment(session_server, tmp_path)
    deployment.apply()
    due_ms = now_ms(deployment) + 4000
    deployment.event("ticket-0001", "replied", at="*", properties={"settles_at": render(due_ms)})
    deployment.work(lambda client: client.zscore(KEYS.due, "ticket-0001") is not None)
    deployment.call("ZADD", KEYS.due, due_ms + HOUR_MS, "ticket-0001")

    deployment.work(lambda client: bool(client.xlen(KEYS.lines)))
    assert deployment.json("explain", "ticket-0001")["outcome"]["settles_at"] == render(due_ms)


def now_ms(deployment: Deployment) -> int:
    seconds, microseconds = deployment.call("TIME")
    return int(seconds) * 1000 + int(microseconds) // 1000
