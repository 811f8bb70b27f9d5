"""The number of connections is bounded, and silent ones make room for those that send something."""

import http.client
import json
import resource
import socket
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.daemon import CATALOGUE, Daemon, rule
from tests.support.processes import until
from tests.support.receiver import receiver
from tests.support.server import Server
from witnd.web.connections.limit import PATIENCE, Activity, State, connections_max, first_to_close

SILENT = 1000
FILES = 256


@pytest.mark.parametrize(
    ("setting", "files", "most"),
    [(0, 256, 96), (0, 1024, 384), (0, 1 << 30, 4096), (0, 20, 16), (500, 1024, 500), (5000, 1024, 960), (9, 16, 1)],
)
def test_the_bound_of_connections_leaves_files_for_everything_else(setting: int, files: int, most: int) -> None:
    assert connections_max(setting, files) == most


@pytest.mark.parametrize(
    ("states", "place"),
    [
        ([], None),
        ([State(Activity.SILENT, 0.5)], None),
        ([State(Activity.BUSY, 30), State(Activity.SENDING, 4)], None),
        ([State(Activity.IDLE, 50), State(Activity.SILENT, 2), State(Activity.SILENT, 3)], 1),
        ([State(Activity.BUSY, 90), State(Activity.IDLE, 0), State(Activity.IDLE, 5)], 2),
        ([State(Activity.BUSY, 90), State(Activity.SENDING, 6), State(Activity.SENDING, 9)], 2),
        ([State(Activity.BUSY, 61), State(Activity.BUSY, 90)], 1),
    ],
)
def test_silent_connections_are_closed_before_those_that_work(states: list[State], place: int | None) -> None:
    assert first_to_close(states) == place


@given(st.lists(st.builds(State, st.sampled_from(Activity), st.floats(0, 100))))
def test_no_connection_is_closed_before_its_time(states: list[State]) -> None:
    place = first_to_close(states)
    impatient = [one for one in states if one.seconds >= PATIENCE[one.activity]]
    assert (place is None) == (not impatient)
    if place is not None:
        assert states[place].activity == min(one.activity for one in impatient)


@contextmanager
def silent_sockets(port: int, count: int, say: bytes = b"") -> Iterator[None]:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft != resource.RLIM_INFINITY and soft < count + 200:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count + 200, hard))
    with ExitStack() as stack:
        for _ in range(count):
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))  # those beyond the backlog wait
            if say:
                with one.dup() as other:
                    other.setblocking(True)
                    other.settimeout(30)
                    other.sendall(say)
        yield


def status(port: int, path: str = "/healthz") -> int | None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return None
    finally:
        connection.close()


@pytest.fixture
def few_files(tmp_path: Path) -> Path:
    """A program that runs another one with few open files."""
    script = tmp_path / "few-files"
    script.write_text(f'#!/bin/sh\nulimit -n {FILES}\nexec "$@"\n')
    script.chmod(script.stat().st_mode | stat.S_IEXEC)
    return script


@pytest.mark.slow
def test_silent_connections_beyond_the_file_limit_stop_neither_billing_nor_honest_requests(
    server: Callable[..., Server], daemon: Callable[..., Daemon], few_files: Path
) -> None:
    with receiver() as (url, received):
        one = daemon(server(), through=few_files, webhooks__allow_networks="127.0.0.0/8")
        one.begins(CATALOGUE + rule(url))
        port = one.port
        began, lines = time.monotonic(), len(one.log.splitlines())
        with silent_sockets(port, SILENT):
            one.send("ticket-0001")
            one.settles(1)
            until(lambda: len(received) > 0, "the webhook of the outcome", seconds=60)
            until(lambda: status(port) == 200, "an honest request is answered", seconds=60)
            until(lambda: bool(one.lines("http.connections_full")), "the bound is reported", seconds=60)
            said = len(one.log.splitlines()) - lines
            assert said < 10 * (time.monotonic() - began), one.log
        assert json.loads(received[0].body)["type"] == "outcome_succeed"
        assert one.process.poll() is None
        assert not one.lines("http.accept_failed"), "the bound lies below the limit of files"
        until(lambda: status(port) == 200, "requests are answered afterwards", seconds=60)


@pytest.mark.parametrize(
    "say", [b"", b"GET / HT", b"POST /dashboard/sign-in HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n"]
)
def test_where_all_connections_are_taken_an_honest_request_gets_one(
    server: Callable[..., Server], daemon: Callable[..., Daemon], say: bytes
) -> None:
    port = daemon(server(), http__connections_max="8").port
    with silent_sockets(port, 30, say):
        until(lambda: status(port) == 200, "an honest request is answered", seconds=60)


def test_a_system_without_files_for_a_connection_is_waited_out_in_silence(
    server: Callable[..., Server], daemon: Callable[..., Daemon]
) -> None:
    one = daemon(server())
    one.says("daemon.ready")
    port = one.port
    pid = one.process.pid
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    opened = max(int(file.name) for file in Path(f"/proc/{pid}/fd").iterdir())
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (opened + 1, limits[1]))
    with silent_sockets(port, 40):
        one.says("http.accept_failed")
        began, lines = time.monotonic(), len(one.log.splitlines())
        until(lambda: time.monotonic() - began > 3, "three seconds")
        assert len(one.log.splitlines()) - lines < 30, one.log
        assert len(one.lines("http.accept_failed")) == 1
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
        until(lambda: status(port) == 200, "requests are answered again", seconds=60)
    assert one.process.poll() is None
