"""Commands whose standard streams are closed, full or without a reader end with a documented exit code."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.server import Server

SECONDS = 60
COMMANDS = [("outcomes",), ("doctor",), ("tokens",), ("audit",), ("outcomes", "--json"), ("--version",), ("--help",)]


def run(server: Server, directory: Path, redirections: str, *words: str) -> subprocess.CompletedProcess[str]:
    """The command by a shell with these redirections. What it writes to stderr is kept where they leave that open."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("WITND_")} | {
        "WITND_CONFIG": os.devnull,
        "WITND_REDIS__URL": server.url,
        "WITND_DAEMON__STATE_DIR": str(directory),
    }
    line = ["bash", "-o", "pipefail", "-c", f'"$@" {redirections}', "bash", sys.executable, "-m", "witnd", *words]
    return subprocess.run(
        line, env=environ, cwd=directory, stderr=subprocess.PIPE, text=True, timeout=SECONDS, check=False
    )


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_output_that_cannot_be_written_is_one_line_and_exit_code_2(server, tmp_path, words) -> None:
    redis = server()
    done = run(redis, tmp_path, ">/dev/full", *words)
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert line.startswith("witnd: standard output cannot be written: No space left on device;")
    assert run(redis, tmp_path, ">/dev/full 2>/dev/full", *words).returncode == 2


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_closed_streams_discard_the_output_and_leave_the_exit_code(server, tmp_path, words) -> None:
    redis = server()
    done = run(redis, tmp_path, ">&-", *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert run(redis, tmp_path, "<&- >&- 2>&-", *words).returncode == 0


def test_a_reader_that_has_ended_is_no_error_to_print(server, tmp_path) -> None:
    done = run(server(), tmp_path, "| true", "doctor")
    assert (done.returncode in (0, 2), done.stderr) == (True, "")


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full"])
def test_errors_that_cannot_be_written_leave_the_exit_code(server, tmp_path, redirection) -> None:
    redis = server()
    assert run(redis, tmp_path, redirection, "apply", "no-such-file").returncode == 2
    redis.stop()
    assert run(redis, tmp_path, redirection, "outcomes").returncode == 3
