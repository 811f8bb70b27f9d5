"""A flood of requests is no flood of lines of the log: a line a second for each reason says how many others came."""

import http.client
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from tests.support.daemon import Daemon
from tests.support.processes import until
from tests.support.server import Server
from witnd.web.connections.line_limit import INTERVAL_SECONDS, QUIET_SECONDS, LineLimit

FLOOD = 600


def test_a_reason_gets_a_line_a_second_which_counts_those_before_it() -> None:
    limit = LineLimit()
    assert [limit.take("a", at) for at in (0.0, 0.1, 0.999, 1.0, 1.5, 2.1, 9.0)] == [0, None, None, 2, None, 1, 0]


def test_reasons_do_not_wait_for_each_other() -> None:
    limit = LineLimit()
    assert [limit.take("a", 0.0), limit.take("b", 0.1), limit.take("a", 0.2)] == [0, 0, None]


def test_what_was_suppressed_before_it_became_quiet_is_reported_once() -> None:
    limit = LineLimit()
    for at in (0.0, 0.1, 0.2):
        limit.take("a", at)
    assert limit.has_suppressed
    assert limit.take_overdue(QUIET_SECONDS - 0.01) == {}
    assert limit.take_overdue(QUIET_SECONDS) == {"a": 2}
    assert not limit.has_suppressed
    assert limit.take_overdue(QUIET_SECONDS) == {}


# Sums of these are exact, so that instants lie on the limits and not a rounding beside them.
PAUSES = st.integers(0, 96).map(lambda count: count / 64)


@given(st.lists(st.tuples(st.sampled_from("abc"), PAUSES, st.booleans()), max_size=100))
def test_no_line_is_lost_from_the_count_and_none_comes_too_soon(steps: list[tuple[str, float, bool]]) -> None:
    limit, now, written, counted = LineLimit(), 0.0, dict[str, float](), 0
    for reason, pause, is_timer in steps:
        now += pause
        if is_timer:
            counted += sum(limit.take_overdue(now).values())
        suppressed = limit.take(reason, now)
        if suppressed is not None:
            assert now - written.get(reason, float("-inf")) >= INTERVAL_SECONDS
            written[reason] = now
            counted += 1 + suppressed
    assert counted + sum(limit.take_overdue(now + QUIET_SECONDS).values()) == len(steps)


def flood(port: int, method: str, path: str, headers: dict[str, str], body: bytes | None = None) -> set[int]:
    """Send many requests over a few connections; return the statuses of the answers."""

    def some(count: int) -> set[int]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        found = set()
        for _ in range(count):
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
            answer.read()
            found.add(answer.status)
        connection.close()
        return found

    with ThreadPoolExecutor(4) as pool:
        return set().union(*pool.map(some, [FLOOD // 4] * 4))


def logged(daemon: Daemon, status: int) -> tuple[int, int]:
    """How many lines about requests with this status there are, and how many requests they stand for."""
    lines = [one for one in daemon.lines("http.request") if one["status"] == status]
    rest = [one for one in daemon.lines("log.suppressed") if str(status) in one["reason"].split()]
    return len(lines) + len(rest), sum(1 + one["suppressed"] for one in lines) + sum(one["count"] for one in rest)


def test_requests_without_a_token_are_counted_and_get_a_line_a_second(
    server: Callable[..., Server], daemon: Callable[..., Daemon]
) -> None:
    one = daemon(server())
    one.says("daemon.ready")
    port = one.port
    began = time.monotonic()
    assert flood(port, "GET", "/v1/outcomes", {}) == {401}
    assert flood(port, "GET", "/v1/nothing", {"Authorization": "Bearer wrong"}) == {401}
    assert flood(port, "GET", "/docs", {}) == {200}
    assert flood(port, "PUT", "/healthz", {}) == {405}
    until(lambda: logged(one, 401)[1] == 2 * FLOOD, "every refused request is counted in the log", seconds=60)
    until(lambda: logged(one, 405)[1] == FLOOD, "every wrong method is counted in the log", seconds=60)
    seconds = time.monotonic() - began
    for status in (200, 401, 405):
        assert logged(one, status)[0] <= seconds + 2, one.log
    assert f'route="/v1/outcomes",status="401"}} {FLOOD}' in one.get("/metrics")[1]


def test_producers_that_retry_while_redis_is_down_get_a_line_a_second(
    server: Callable[..., Server], daemon: Callable[..., Daemon]
) -> None:
    redis = server()
    one = daemon(redis)
    one.says("daemon.ready")
    port = one.port
    token = one.token("ingest")
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    body = json.dumps({"key": "ticket-0001", "action": "resolved", "customer_key": "acme"}).encode()
    assert flood(port, "POST", "/v1/events", headers, body) == {202}
    redis.kill()
    began, before = time.monotonic(), len(one.log.splitlines())
    assert flood(port, "POST", "/v1/events", headers, body) == {503}
    until(lambda: logged(one, 503)[1] == FLOOD, "every refused event is counted in the log", seconds=60)
    lines = len(one.log.splitlines()) - before
    assert lines < 10 * (time.monotonic() - began), one.log
