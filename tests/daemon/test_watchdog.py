"""The event loop of a real daemon is blocked, and the test does what systemd does under `WatchdogSec`."""

import shlex
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.crash.harness import ROOT
from tests.crash.points import Plan
from tests.support.daemon import SECONDS, Daemon
from tests.test_systemd import listening
from witnd.store.keys import Keys

KEYS = Keys("witn", 0)
# Longer than the lease of these daemons, and than a busy machine delays a ping that is due every half of it.
WATCHDOG = 6.0


@pytest.fixture
def daemon(daemon: Callable[..., Daemon], short_dir: Path) -> Callable[..., Daemon]:
    environ = {"NOTIFY_SOCKET": str(short_dir / "notify"), "WATCHDOG_USEC": str(int(WATCHDOG * 1_000_000))}
    return partial(daemon, environ=environ)


@pytest.fixture
def systemd(short_dir: Path) -> Iterator[socket.socket]:
    with listening(str(short_dir / "notify")) as listener:
        yield listener


def ping(systemd: socket.socket) -> bool:
    """Wait for the next ping. Return whether it came before systemd would end the daemon."""
    deadline = time.monotonic() + WATCHDOG
    while (left := deadline - time.monotonic()) > 0:
        systemd.settimeout(left)
        try:
            if systemd.recv(10_000) == b"WATCHDOG=1":
                return True
        except TimeoutError:
            break
    return False


def silence(systemd: socket.socket) -> None:
    deadline = time.monotonic() + SECONDS
    while ping(systemd):
        assert time.monotonic() < deadline, "the daemon pings on"


def blocked(directory: Path, point: str, count: int) -> Path:
    """A program that starts the daemon so that its event loop is blocked at a step."""
    plan = shlex.quote(msgspec.json.encode(Plan(at={point: (count, "hang")})).decode())
    program = directory / "blocked"
    program.write_text(
        f'#!/bin/sh\nshift 3\ncd {shlex.quote(str(ROOT))}\nexec {sys.executable} -m tests.crash.launcher {plan} "$@"\n'
    )
    program.chmod(0o755)
    return program


# The first commit has the event, the second one the outcome that is settled.
@pytest.mark.parametrize(
    ("point", "count", "settled"), [("fold.settled", 1, 0), ("commit.half", 2, 0), ("commit.executed", 2, 1)]
)
def test_a_daemon_whose_event_loop_is_blocked_falls_silent_and_the_next_one_settles_once(
    server, daemon, systemd: socket.socket, short_dir: Path, point: str, count: int, settled: int
) -> None:
    redis = server()
    one = daemon(redis, through=blocked(short_dir, point, count))
    one.begins()
    assert ping(systemd)
    assert ping(systemd)
    one.send("ticket-1")
    silence(systemd)
    assert one.process.poll() is None, one.log
    assert one.resolved() == settled
    assert redis.call("EXISTS", KEYS.owner) == 0, "it hung for longer than its lease"
    one.process.send_signal(signal.SIGABRT)
    assert one.exit_code() == -signal.SIGABRT

    other = daemon(redis)
    other.settles(1)
    other.send("ticket-2")
    other.settles(2)
    assert ping(systemd)
    assert ping(systemd)
    assert other.witnd("audit").returncode == 0
    assert other.terminate() == 0
    entries: Any = redis.call("XRANGE", KEYS.events, "-", "+")
    resolutions: Any = redis.call("XRANGE", KEYS.resolutions, "-", "+")
    accepted = {
        key: int(id_.partition(b"-")[0])
        for key in ("ticket-1", "ticket-2")
        for id_, fields in entries
        if f'"{key}"'.encode() in fields.get(b"data", b"")
    }
    found = {msgspec.json.decode(fields[b"data"])["outcome_key"]: int(id_[:13]) for id_, fields in resolutions}
    assert len(resolutions) == len(found) == 2, "settled twice"
    assert all(found[key] >= accepted[key] + 1000 for key in accepted), "settled early"


def test_a_daemon_that_waits_for_redis_is_not_ended(server, daemon, systemd: socket.socket) -> None:
    redis = server()
    one = daemon(redis)
    one.says("daemon.ready")
    redis.pause()
    one.says("redis.waiting")
    for _ in range(4):
        assert ping(systemd), one.log
    redis.resume()
    one.apply()
    one.send("ticket-1")
    one.settles(1)
