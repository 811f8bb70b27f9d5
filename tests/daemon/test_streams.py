"""The daemon works on, whatever becomes of its standard streams."""

import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.daemon import Daemon
from tests.support.server import Server


def full_pipe() -> tuple[int, int]:
    """A pipe that takes not one more byte until somebody reads it."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"." * 512 + b"\n")
    except BlockingIOError:
        os.set_blocking(writer, True)
    return reader, writer


@pytest.fixture
def unread(server: Callable[..., Server], daemon: Callable[..., Daemon]) -> Iterator[tuple[Daemon, int]]:
    """A daemon that has settled an outcome, and the other end of the full pipe that its log goes to."""
    reader, writer = full_pipe()
    one = daemon(server(), stderr=writer)
    os.close(writer)
    one.apply()
    one.send("ticket-0001")
    one.settles(1)
    yield one, reader
    os.close(reader)


def test_a_daemon_whose_log_nobody_reads_settles_and_stops_when_asked(unread) -> None:
    one, _ = unread
    assert one.terminate() == 0


def test_lines_that_waited_for_a_reader_arrive_once_somebody_reads(unread) -> None:
    one, reader = unread
    text = b""
    while b'"outcomes.settled"' not in text:
        text += os.read(reader, 65536)
    assert b'"daemon.ready"' in text
    assert one.terminate() == 0


def no_reader() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def full_device() -> int:
    return os.open("/dev/full", os.O_WRONLY)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize("broken", [no_reader, full_device])
def test_a_stream_that_cannot_be_written_does_not_end_the_daemon(server, daemon, stream, broken) -> None:
    descriptor = broken()
    one = daemon(server(), **{stream: descriptor})
    os.close(descriptor)
    one.apply()
    one.send("ticket-0001")
    one.settles(1)

    assert one.terminate() == 0


@pytest.mark.parametrize("broken", [no_reader, full_device])
def test_a_refused_start_keeps_its_exit_code_where_nobody_can_read_why(server, daemon, broken) -> None:
    descriptor = broken()
    unsafe = daemon(server(extra=("--appendonly", "no")), stderr=descriptor)
    mistaken = daemon(unsafe.server, stderr=descriptor, daemon__batch="many")
    os.close(descriptor)

    assert unsafe.exit_code() == 3
    assert mistaken.exit_code() == 2


def test_a_daemon_with_closed_standard_streams_gives_their_numbers_to_nothing_else(server, daemon, tmp_path) -> None:
    redis = server()
    wrapper = tmp_path / "closed"
    wrapper.write_text('#!/bin/sh\nexec "$@" <&- >&- 2>&-\n')
    wrapper.chmod(0o755)
    one = daemon(redis, through=wrapper)
    one.apply()
    one.send("ticket-0001")
    one.settles(1)

    for number in range(3):
        assert Path(f"/proc/{one.process.pid}/fd/{number}").readlink() == Path(os.devnull)
    assert one.terminate() == 0
