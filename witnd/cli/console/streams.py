"""Handle standard streams that are closed, full or without a reader.

Output that cannot be written ends the command with a documented exit code. Errors that cannot be written are dropped:
the exit code of the command stays what it was.
"""

import errno
import io
import os
import select
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from typing_extensions import Buffer

# Encodings and terminals that lack a character show it as an escape.
_ESCAPES: Final = "backslashreplace"


class Unwritable(Exception):  # noqa: N818 - what the environment refuses, not a mistake in code
    """Standard output cannot be written. The text is empty if its reader has exited."""


class _Output(io.FileIO):
    """A standard stream that is never closed. A failed write raises `Unwritable`."""

    def write(self, data: "Buffer", /) -> int:
        try:
            while (written := super().write(data)) is None:
                # Whoever shares the descriptor made it non-blocking.
                poll = select.poll()
                poll.register(self.fileno(), select.POLLOUT)
                poll.poll()
        except OSError as failed:
            self._discard()
            if failed.errno == errno.EPIPE:
                raise Unwritable("") from failed
            raise Unwritable(
                f"standard output cannot be written: {failed.strerror}; write it elsewhere. What the command changed "
                "stays changed"
            ) from failed
        return written

    def _discard(self) -> None:
        """What is buffered is written once more when the process ends, and must not fail there."""
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self.fileno())
        os.close(null)


class _Errors(_Output):
    def write(self, data: "Buffer", /) -> int:
        try:
            return super().write(data)
        except Unwritable:
            return memoryview(data).nbytes


def open_closed_streams() -> None:
    """Open /dev/null for each standard stream that is closed, so that no socket or file takes its number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def guard_streams() -> None:
    """Replace stdout and stderr of the process, unless they were replaced already."""
    open_closed_streams()
    if sys.stdout is sys.__stdout__:
        sys.stdout = _wrapped(_Output(1, "wb", closefd=False), sys.stdout)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _wrapped(_Errors(2, "wb", closefd=False), sys.stderr)


def _wrapped(raw: _Output, before: io.TextIOBase | None) -> io.TextIOWrapper:
    is_terminal = raw.isatty()
    errors = _ESCAPES if is_terminal or isinstance(raw, _Errors) else getattr(before, "errors", None)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(before, "encoding", None) or "utf-8",
        errors=errors,
        line_buffering=is_terminal or isinstance(raw, _Errors),
    )
