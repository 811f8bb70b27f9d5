"""SIGTERM during a webhook attempt, once and twice: the daemon ends, and the next one sends what was not confirmed."""

import socket
from collections.abc import Callable, Iterator

import pytest

from tests.support.daemon import CATALOGUE, Daemon, rule
from tests.support.processes import until
from tests.support.receiver import receiver
from tests.support.server import Server


@pytest.fixture
def silent_endpoint() -> Iterator[tuple[int, list[socket.socket]]]:
    """The port of an endpoint that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield listening.getsockname()[1], [listening]


@pytest.mark.parametrize("times", [1, 2])
def test_a_daemon_that_is_stopped_during_a_webhook_ends_and_the_next_one_sends_it(
    server: Callable[..., Server],
    daemon: Callable[..., Daemon],
    silent_endpoint: tuple[int, list[socket.socket]],
    times: int,
) -> None:
    port, sockets = silent_endpoint
    settings = {"webhooks__allow_networks": "127.0.0.0/8"}

    def is_attempted() -> bool:
        try:
            sockets.append(sockets[0].accept()[0])
        except BlockingIOError:
            return False
        return True

    redis = server()
    first = daemon(redis, **settings)
    first.begins(CATALOGUE + rule(f"http://127.0.0.1:{port}/hook"))
    first.send("ticket-0001")
    first.settles(1)
    until(is_attempted, "the webhook is under way", seconds=60)
    for _ in range(times):
        first.process.terminate()
        first.says("daemon.stopping")
    assert first.exit_code() == 0, first.log
    assert "Traceback" not in first.log
    with receiver() as (url, received):
        first.apply(CATALOGUE + rule(url))  # the next daemon does not wait for the silent endpoint
        second = daemon(redis, **settings)
        until(lambda: len(received) == 1, "the next daemon sends the webhook", seconds=60)
        assert second.resolved() == 1
    for one in sockets[1:]:
        one.close()
