"""A copy of the catalogue in the state directory. It restores versions that Redis lost.

A text file that only grows: a line with the deployment, then one line for each version with the digest of the chain up
to it and its JSON. A partial or damaged line ends the readable part; the daemon writes the rest again. The file has
signing secrets of webhooks, like the catalogue, so only its owner may read it.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from witnd.domain.catalogue.chain import EMPTY, Head, head_after
from witnd.store.errors import Unsafe

FORMAT: Final = 1
_MODE: Final = 0o600


class _Header(Struct, frozen=True, kw_only=True):
    v: int = FORMAT
    deployment: str


class CatalogueFile(Struct, frozen=True, kw_only=True):
    """The content of a file: all versions of one deployment in order, and the end of the readable part."""

    deployment: str
    entries: tuple[bytes, ...]
    end: int  # bytes

    @property
    def head(self) -> Head:
        return head_after(EMPTY, self.entries)


def read_copy(path: Path) -> CatalogueFile | None:
    """Read a file. Return None if it does not exist or has no complete first line. Raises Unsafe for a newer format."""
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as unreadable:
        raise Unsafe(f"{path} cannot be read ({unreadable.strerror})", "make it readable for this user") from unreadable
    try:
        header = msgspec.json.decode(lines[0], type=_Header)
    except (IndexError, msgspec.MsgspecError):
        return None
    if header.v > FORMAT:
        raise Unsafe(f"{path} has format {header.v}, and this witnd reads format {FORMAT}", "install the newer version")
    head, end, entries = EMPTY, len(lines[0]), []
    for line in lines[1:]:
        digest, _, entry = line.removesuffix(b"\n").partition(b" ")
        head = head_after(head, [entry])
        if not line.endswith(b"\n") or digest.decode("ascii", "replace") != head.digest:
            break
        entries.append(entry)
        end += len(line)
    return CatalogueFile(deployment=header.deployment, entries=tuple(entries), end=end)


class CatalogueCopy:
    """The copy of one daemon. `add` collects entries that were read from Redis. `write` may run in another thread;
    after an OSError the next `write` retries."""

    def __init__(self, directory: Path, prefix: str) -> None:
        self.path = directory / f"catalogue-{prefix.encode().hex() if '/' in prefix else prefix}.jsonl"
        self.head = EMPTY  # of the file when it was opened
        self._deployment = ""
        self._end = 0
        self._written = EMPTY
        self._pending: list[bytes] = []  # entries that the file does not have yet

    def open(self, deployment: str) -> None:
        """Read the file. Rename a file of another deployment, which the journal has accepted before."""
        self._deployment = deployment
        found = read_copy(self.path)
        if found is not None and found.deployment != deployment:
            self.path.rename(self.path.with_suffix(f".{found.deployment}"))
            found = None
        if found is not None:
            self.head = self._written = found.head
            self._end = found.end

    def add(self, start: int, entries: Sequence[bytes]) -> None:
        """Add entries that start at version number `start` (from 0). Skip those that the file has."""
        known = self._written.count + len(self._pending)
        self._pending += entries[max(0, known - start) :]

    @property
    def is_behind(self) -> bool:
        return bool(self._pending) or not self._end

    def write(self) -> None:
        """Append the missing entries, and sync the file. Raises OSError."""
        pending = list(self._pending)
        data, head = bytearray(), self._written
        if not self._end:
            data += msgspec.json.encode(_Header(deployment=self._deployment)) + b"\n"
        for entry in pending:
            head = head_after(head, [entry])
            data += head.digest.encode() + b" " + entry + b"\n"
        if not data:
            return
        with os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT, _MODE), "r+b") as file:
            file.truncate(self._end)  # remove a partial line
            file.seek(self._end)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        self._end += len(data)
        self._written = head
        del self._pending[: len(pending)]

    def replace(self, deployment: str, entries: Sequence[bytes]) -> None:
        """Replace the file with these versions."""
        fresh = CatalogueCopy(self.path.parent, "")
        fresh.path = self.path.with_suffix(".new")
        fresh.path.unlink(missing_ok=True)
        fresh.open(deployment)
        fresh.add(0, entries)
        fresh.write()
        fresh.path.replace(self.path)
