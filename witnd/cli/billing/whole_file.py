"""Write a file completely or not at all: a failed or interrupted command keeps the old file."""

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Final, TypeAlias

import click

from witnd.cli.console.failure import refuse

#: Means standard output.
STDOUT: Final = "-"

# What waits in memory before it goes out to standard output; more than that waits in a temporary file.
_HELD_BYTES: Final = 8 << 20
_PIECE_BYTES: Final = 1 << 16
# As a file made in the ordinary way: the umask takes away what it takes.
_MODE: Final = 0o666

Write: TypeAlias = Callable[[str | bytes], object]


@contextmanager
def whole_file(name: str) -> Iterator[Write]:
    """Yield a function that writes text or bytes. Replace the file (`-`: standard output) when the block ends without
    an error."""
    if name == STDOUT:
        with _spooled() as write:
            yield write
        return
    path = Path(name).resolve()
    try:
        # A pipe or a device is written to: put in its place, a file would take it away from everybody.
        with _in_place(path) if path.exists() and not path.is_file() else _replaced(path) as write:
            yield write
    except OSError as wrong:
        refuse(f"{name}: {wrong.strerror}; choose a writable file")


@contextmanager
def _spooled() -> Iterator[Write]:
    with SpooledTemporaryFile(_HELD_BYTES) as held:
        yield lambda part: held.write(_bytes(part))
        held.seek(0)
        while chunk := held.read(_PIECE_BYTES):
            click.echo(chunk, nl=False)


@contextmanager
def _in_place(path: Path) -> Iterator[Write]:
    with path.open("wb") as file:
        yield lambda part: file.write(_bytes(part))


@contextmanager
def _replaced(path: Path) -> Iterator[Write]:
    draft = path.with_name(f".{path.name[:64]}.{secrets.token_hex(6)}.part")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
    try:
        with os.fdopen(handle, "wb") as file:
            yield lambda part: file.write(_bytes(part))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _bytes(part: str | bytes) -> bytes:
    return part.encode() if isinstance(part, str) else part
