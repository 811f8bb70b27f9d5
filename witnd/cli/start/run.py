"""`witnd run`: run the daemon."""

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from witnd.cli.console.context import INTERRUPTED, config_option
from witnd.cli.console.failure import verdict
from witnd.cli.console.streams import open_closed_streams
from witnd.exit_codes import REDIS

if TYPE_CHECKING:
    from witnd.telemetry import Stream


@click.command("run")
@config_option
@click.option("--embedded", is_flag=True, help="Start a private Redis server with its data in the state directory.")
def run(config_path: Path | None, *, embedded: bool) -> None:
    """Run the daemon until SIGTERM or Ctrl-C.

    \b
    Examples:
      witnd run --embedded
      witnd run --config /etc/witnd/witnd.toml
    """
    open_closed_streams()
    with _log_stream() as stream:
        code = _run(config_path, stream, embedded=embedded)
    raise click.exceptions.Exit(code)


def _run(config_path: Path | None, stream: "Stream", *, embedded: bool) -> int:
    """Run the daemon to its end and return the exit code. The reason for a failure is the last line of the log."""
    from witnd.config import load
    from witnd.daemon.lifecycle import serve
    from witnd.daemon.process.reload import Reload
    from witnd.telemetry import configure, logger

    try:
        config = load(config_path)
        configure(config.daemon.log_format, stream=stream)
        reload = Reload(config, lambda: load(config_path), lambda new: configure(new.daemon.log_format, stream=stream))
        asyncio.run(serve(config, private=embedded, reload=reload))
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        found = verdict(error)
        if found is None:
            log = logger()
            log.exception("daemon.failed")
            found = f"unexpected error: {error!r}; report it with the log line daemon.failed", REDIS
        message, code = found
        stream.write("".join(f"witnd: {line}\n" for line in message.splitlines()))
        return code
    return 0


@contextmanager
def _log_stream() -> Iterator["Stream"]:
    """Write standard error in a thread: a reader that stops reading must not stop the daemon."""
    from witnd.telemetry import LogWriter

    descriptor = os.open(os.devnull, os.O_WRONLY) if sys.stderr is None else sys.stderr.fileno()
    writer = LogWriter(descriptor)
    try:
        yield writer
    finally:
        writer.close()
