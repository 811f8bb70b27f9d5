"""A deadline that another program changes in Redis is corrected: nothing settles late without an alarm."""

from pathlib import Path

import pytest

from tests.support.server import Server
from tests.support.workshop import Workshop
from witnd.domain.values.instant import render
from witnd.store.keys import Keys
from witnd.store.records.score import score_to_int

KEYS = Keys("witn", 0)
HOUR_MS = 3_600_000


def due(shop: Workshop, key: str) -> int:
    return score_to_int(shop.call("ZSCORE", KEYS.due, key))


def opened(server: Server, directory: Path) -> Workshop:
    shop = Workshop(server, directory)
    shop.apply()
    for number in range(5):
        shop.event(f"ticket-000{number}", "asked", at="*", agent_key="patient")
    shop.work()
    return shop


@pytest.mark.parametrize("shift_ms", [HOUR_MS, -HOUR_MS, 1, float("inf"), float("-inf")])
def test_a_deadline_that_was_moved_is_corrected_at_the_start_and_named(
    session_server: Server, redis_url: str, tmp_path: Path, shift_ms: float
) -> None:
    shop = opened(session_server, tmp_path)
    right = due(shop, "ticket-0003")
    shop.call("ZADD", KEYS.due, right + shift_ms, "ticket-0003")
    assert shop.witnd("audit").exit_code == 5

    shop.work(lambda _: due(shop, "ticket-0003") == right)
    assert due(shop, "ticket-0003") == right
    assert shop.witnd("audit").exit_code == 0


def test_a_deadline_that_was_exchanged_for_one_without_an_outcome_is_written_again(
    session_server: Server, redis_url: str, tmp_path: Path
) -> None:
    shop = opened(session_server, tmp_path)
    right = due(shop, "ticket-0003")
    shop.call("ZREM", KEYS.due, "ticket-0003")
    shop.call("ZADD", KEYS.due, right + HOUR_MS, "ticket-0009")  # the number of deadlines is right

    shop.work(lambda client: client.zscore(KEYS.due, "ticket-0009") is None)
    assert due(shop, "ticket-0003") == right
    assert shop.call("ZSCORE", KEYS.due, "ticket-0009") is None
    assert shop.witnd("audit").exit_code == 0


def test_an_outcome_whose_deadline_was_moved_an_hour_on_settles_in_time(
    session_server: Server, redis_url: str, tmp_path: Path
) -> None:
    shop = Workshop(session_server, tmp_path)
    shop.apply()
    due_ms = now_ms(shop) + 4000
    shop.event("ticket-0001", "replied", at="*", properties={"settles_at": render(due_ms)})
    shop.work(lambda client: client.zscore(KEYS.due, "ticket-0001") is not None)
    shop.call("ZADD", KEYS.due, due_ms + HOUR_MS, "ticket-0001")

    shop.work(lambda client: bool(client.xlen(KEYS.lines)))
    assert shop.json("explain", "ticket-0001")["outcome"]["settles_at"] == render(due_ms)


def now_ms(shop: Workshop) -> int:
    seconds, microseconds = shop.call("TIME")
    return int(seconds) * 1000 + int(microseconds) // 1000
