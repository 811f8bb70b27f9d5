"""A digest for every length of the stored catalogue, to detect lost or changed versions.

Each digest covers the previous digest and the bytes of the next entry, so equal digests mean equal entries.
SHA-1, because Redis scripts can compute it. It protects against loss and mistakes, not against attackers.
"""

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha1
from typing import Self

from msgspec import Struct

_SIZE = 20  # bytes of a SHA-1


class Head(Struct, frozen=True):
    """The number of entries of a catalogue, and the digest of all of them."""

    count: int
    digest: str

    def __str__(self) -> str:
        return f"{self.count} {self.digest}"

    @classmethod
    def parse(cls, text: str | bytes) -> Self:
        """Parse the result of `str`. Raises ValueError."""
        count, _, digest = (text if isinstance(text, str) else text.decode()).partition(" ")
        if len(bytes.fromhex(digest)) != _SIZE:
            raise ValueError(f"{digest!r} is not a SHA-1 in hex")
        return cls(int(count), digest)


EMPTY = Head(0, "0" * 2 * _SIZE)


def head_after(head: Head, entries: Iterable[bytes]) -> Head:
    """Return the head after more entries."""
    count, digest = head.count, head.digest
    for entry in entries:
        digest = sha1(digest.encode() + entry, usedforsecurity=False).hexdigest()
        count += 1
    return Head(count, digest)


class Chain:
    """The digests of one catalogue. `on_entries` is called with the index of the first new entry and the new
    entries."""

    __slots__ = ("_digests", "on_entries")

    def __init__(self) -> None:
        self._digests = bytearray(bytes.fromhex(EMPTY.digest))
        self.on_entries: Callable[[int, Sequence[bytes]], None] | None = None

    @property
    def head(self) -> Head:
        return self.at(len(self._digests) // _SIZE - 1)

    def at(self, count: int) -> Head:
        """Return the head after the first `count` entries. `count` must not exceed the current number."""
        return Head(count, self._digests[count * _SIZE : (count + 1) * _SIZE].hex())

    def add(self, entry: bytes) -> None:
        self._digests += bytes.fromhex(head_after(self.head, [entry]).digest)

    def contains(self, head: Head) -> bool:
        """Return whether the entries of `head` are a prefix of this catalogue."""
        return head.count <= self.head.count and self.at(head.count) == head
