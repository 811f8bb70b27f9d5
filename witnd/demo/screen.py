"""Print lines in a thread, so that a stopped terminal never blocks billing.

Only terminals get colours. If the reader of the output is gone, the caller is notified once.
"""

import asyncio
import os
import select
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Final, TextIO

# How long a fast stop waits for a blocked terminal.
FLUSH_SECONDS: Final = 0.5

#: A piece of a line and its style, empty for plain text.
Piece = tuple[str, str]


class Screen:
    """Prints lines; call `close` at the end. Calls `reader_lost` from the thread if the reader of the output is
    gone."""

    def __init__(self, gone: Callable[[], None], stream: TextIO | None = None) -> None:
        stream = stream or sys.stdout
        self._gone = gone
        self._loop = asyncio.get_running_loop()
        self._written = asyncio.Event()
        self._queue: SimpleQueue[bytes | None] = SimpleQueue()
        self._console = _console(stream)
        self._fd = _descriptor(stream)
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        self._thread = threading.Thread(target=self._write_lines, name="screen", daemon=True)
        self._thread.start()

    def print_line(self, *pieces: Piece) -> None:
        """Print a line."""
        if self._console is None:
            text = "".join(piece for piece, _ in pieces) + "\n"
        else:
            from rich.text import Text  # noqa: PLC0415 - only needed for terminals

            with self._console.capture() as captured:
                self._console.print(Text.assemble(*pieces), soft_wrap=True)
            text = captured.get()
        self._queue.put(text.encode(self._encoding, "replace"))

    async def close(self, hurried: asyncio.Event) -> None:
        """Wait until all lines are written, or a short time if `hurried` is set."""
        self._queue.put(None)
        waiting = [asyncio.ensure_future(one.wait()) for one in (self._written, hurried)]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waiting:
                one.cancel()
            self._thread.join(FLUSH_SECONDS)

    def _write_lines(self) -> None:
        while (data := self._queue.get()) is not None:
            if self._fd is None:
                continue
            try:
                _write(self._fd, data)
            except OSError:
                self._fd = None
                self._gone()
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._written.set)


def _write(fd: int, data: bytes) -> None:
    """Write all bytes, also to a non-blocking descriptor. Unbuffered, because the interpreter waits for buffers at
    exit."""
    while data:
        try:
            data = data[os.write(fd, data) :]
        except BlockingIOError:
            select.select((), (fd,), ())


def _descriptor(stream: TextIO | None) -> int | None:
    """Return the descriptor of standard output, or None if there is none."""
    with suppress(OSError, AttributeError, ValueError):
        return stream.fileno()  # type: ignore[union-attr]
    return None


def _console(stream: TextIO | None) -> Any:
    """Return a console with colours for a terminal, else None."""
    if stream is None or not stream.isatty():
        return None
    from rich.console import Console  # noqa: PLC0415

    return Console(file=stream, highlight=False)
