"""Log lines: one JSON object each for machines, readable for people, without secrets for both."""

import fcntl
import io
import json
import logging
import os
import re
from collections.abc import Iterator

import pytest
import structlog

from witnd.telemetry import LogWriter, configure, configure_once, dropped_lines, logger


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    before = list(logging.getLogger().handlers)
    yield
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = before


@pytest.fixture
def out() -> io.StringIO:
    stream = io.StringIO()
    configure("auto", stream=stream)
    return stream


def line(out: io.StringIO) -> dict[str, object]:
    [only] = out.getvalue().splitlines()
    return json.loads(only)


def test_a_line_for_machines_is_one_json_object_with_witnds_instant(out: io.StringIO) -> None:
    logger().info("committed", partition=0, events=3, note="two\nlines")
    written = line(out)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(written.pop("time")))
    assert written == {
        "event": "committed",
        "level": "info",
        "partition": 0,
        "events": 3,
        "note": "two\nlines",
    }


def test_a_terminal_gets_lines_for_people_unless_json_is_asked_for() -> None:
    terminal = Terminal()
    configure("auto", stream=terminal)
    logger().info("committed", partition=0)
    assert "committed" in terminal.getvalue()
    assert not terminal.getvalue().startswith("{")
    terminal = Terminal()
    configure("json", stream=terminal)
    logger().info("committed")
    assert line(terminal)["event"] == "committed"


def test_people_can_be_asked_for_without_a_terminal() -> None:
    stream = io.StringIO()
    configure("console", stream=stream)
    logger().info("committed")
    assert "committed" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_what_strangers_send_makes_no_line_and_no_colours(log_format: str) -> None:
    stream = io.StringIO()
    configure(log_format, stream=stream)
    logger().info("http.malformed", reason="x\x1b[2J\r\n2026-01-01T00:00:00.000Z [error] forged\x9b31m\u2028y")
    written = stream.getvalue()
    assert len(written.splitlines()) == 1
    assert written.rstrip("\n").isprintable()


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_no_line_holds_a_secret(log_format: str) -> None:
    stream = io.StringIO()
    configure(log_format, stream=stream)
    try:
        raise RuntimeError("signed with whsec_c2VjcmV0c2VjcmV0")
    except RuntimeError:
        logger().exception(
            "failed with whsec_c2VjcmV0",
            secret="hidden-1",
            Password="hidden-2",
            rule={"name": "billing", "token": "hidden-3", "keys": ["whsec_aGlkZGVuNA=="]},
            url="redis://user:hidden-5@redis.example/0",
            error=ValueError("redis://:hidden-6@h"),
            count=3,
        )
    written = stream.getvalue()
    assert not re.search(r"hidden-\d|whsec_", written)
    assert "redis.example/0" in written
    assert "billing" in written


def test_what_libraries_warn_of_is_a_line_of_ours_and_their_chatter_is_not(
    out: io.StringIO,
) -> None:
    logging.getLogger("aiohttp.server").info("chatter")
    logging.getLogger("aiohttp.server").warning("odd request from %s", "1.2.3.4")
    written = line(out)
    assert (written["event"], written["logger"], written["level"]) == (
        "odd request from 1.2.3.4",
        "aiohttp.server",
        "warning",
    )


def test_a_librarys_exception_comes_with_its_traceback(out: io.StringIO) -> None:
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        logging.getLogger("asyncio").exception("task failed")
    assert "ZeroDivisionError" in str(line(out)["exception"])


def test_configuring_again_doubles_no_line(out: io.StringIO) -> None:
    again = io.StringIO()
    configure("json", stream=again)
    logging.getLogger("redis").warning("odd")
    assert out.getvalue() == ""
    assert line(again)["event"] == "odd"


def test_what_is_bound_to_the_task_is_in_its_lines(out: io.StringIO) -> None:
    with structlog.contextvars.bound_contextvars(partition=7):
        logger().info("committed")
    assert line(out)["partition"] == 7


def test_a_line_that_finds_the_queue_full_is_dropped_counted_and_reported_once_lines_pass_again() -> None:
    reader, descriptor = os.pipe()
    fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, 4096)
    writer = LogWriter(descriptor, lines_max=3)
    configure("json", stream=writer)
    while not dropped_lines():
        logger().info("committed", note="." * 512)
    dropped = dropped_lines()

    text = b""
    while b'"log.dropped"' not in text:
        text += os.read(reader, 65536)
    lines = [json.loads(one) for one in text.splitlines()]
    assert lines[-1]["event"] == "log.dropped"
    assert lines[-1]["count"] == dropped
    writer.close()
    os.close(reader)
    os.close(descriptor)


def test_closing_a_log_that_nobody_reads_takes_no_longer_than_it_may() -> None:
    reader, descriptor = os.pipe()
    writer = LogWriter(descriptor)
    writer.write("." * 1_000_000 + "\n")
    writer.close(0.01)
    assert os.read(reader, 1) == b"."
    os.close(reader)  # ends the thread's write with EPIPE
    writer.close()
    os.close(descriptor)
    assert writer.dropped == 1


def test_commands_log_to_the_stderr_of_the_moment_and_keep_a_choice_that_was_made(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    structlog.reset_defaults()
    configure_once()
    logger().info("committed", partition=0)
    streams = capsys.readouterr()
    assert (streams.out, json.loads(streams.err)["event"]) == ("", "committed")

    chosen = io.StringIO()
    configure("json", stream=chosen)
    configure_once()
    logger().info("committed", partition=0)
    assert chosen.getvalue()

    configure("json")
    monkeypatch.setattr("sys.stderr", None)
    logger().info("committed", partition=0)
