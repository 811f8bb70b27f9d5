"""Log lines: one JSON object each for machines, readable for people, without secrets for both."""

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest
import structlog

from witnd.telemetry import configure, logger


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
