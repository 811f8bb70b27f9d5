"""What was notified and then lost by Redis is noticed by the next start."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemons import CATALOGUE, SECONDS, Daemon
from tests.support.server import Server


@pytest.fixture
def daemon(short_dir: Path) -> Iterator[Callable[..., Daemon]]:
    with ExitStack() as stack:

        def start(server: Server, **arguments: Any) -> Daemon:
            made = Daemon(server, short_dir / "state", **arguments)
            stack.callback(made.end)
            return made

        yield start


class Receiver:
    """An endpoint that calls `arrived` before it answers a webhook."""

    def __init__(self) -> None:
        self.arrived: Callable[[], None] = lambda: None
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.arrived()
                receiver.notified.set()

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        self.notified = threading.Event()
        self._http = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}/hook"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def files(server: Server) -> dict[Path, int]:
    """The files of the append-only log with their sizes."""
    return {file: file.stat().st_size for file in (server.dir / "appendonlydir").iterdir()}


def cut(before: dict[Path, int]) -> None:
    """Lose what was appended since."""
    for file, size in before.items():
        os.truncate(file, size)


def test_a_step_that_was_notified_and_lost_with_the_daemon_is_noticed_at_the_next_start(
    server, daemon, receiver
) -> None:
    redis = server()
    one = daemon(redis, WITND_WEBHOOKS__ALLOW_NETWORKS="127.0.0.0/8")
    one.says("daemon.ready")
    rule = f'[[notification_rules]]\nname = "crm"\nsource = "both"\nurl = "{receiver.url}"\n'
    one.apply(CATALOGUE + rule)
    before = files(redis)

    def power_fails() -> None:
        os.kill(one.process.pid, signal.SIGKILL)
        redis.kill()

    receiver.arrived = power_fails
    one.send("ticket-0001")
    assert receiver.notified.wait(SECONDS)
    cut(before)
    redis.start()

    refused = daemon(redis)
    assert refused.exit_code() == 3
    assert "Redis lost data" in refused.log
