"""A digest for every length of the stored catalogue, to detect lost or different versions.

Each digest covers the digest before it and the bytes of the next entry: equal digests mean equal entries, all of them.
SHA-1 is what scripts inside Redis can compute. It protects against loss and mistakes, not against an attacker.
"""

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha1
from typing import Self

from msgspec import Struct

_SIZE = 20  # bytes of a SHA-1


class Head(Struct, frozen=True):
    """How many entries a catalogue has, and the digest of them all."""

    count: int
    digest: str

    def __str__(self) -> str:
        return f"{self.count} {self.digest}"

    @classmethod
    def parse(cls, text: str | bytes) -> Self:
        """Read what `str` wrote. Raises ValueError."""
        count, _, digest = (text if isinstance(text, str) else text.decode()).partition(" ")
        if len(bytes.fromhex(digest)) != _SIZE:
            raise ValueError(f"{digest!r} is not a SHA-1 in hex")
        return cls(int(count), digest)


EMPTY = Head(0, "0" * 2 * _SIZE)


def head_after(head: Head, entries: Iterable[bytes]) -> Head:
    """The head after more entries."""
    count, digest = head.count, head.digest
    for entry in entries:
        digest = sha1(digest.encode() + entry, usedforsecurity=False).hexdigest()
        count += 1
    return Head(count, digest)


class Chain:
    """The digests of one catalogue. `on_entries` is called with entries that were added, and where they begin."""

    __slots__ = ("_digests", "on_entries")

    def __init__(self) -> None:
        self._digests = bytearray(bytes.fromhex(EMPTY.digest))
        self.on_entries: Callable[[int, Sequence[bytes]], None] | None = None

    @property
    def head(self) -> Head:
        return self.at(len(self._digests) // _SIZE - 1)

    def at(self, count: int) -> Head:
        """The head when there were `count` entries, which must not be more than there are."""
        return Head(count, self._digests[count * _SIZE : (count + 1) * _SIZE].hex())

    def add(self, entry: bytes) -> None:
        self._digests += bytes.fromhex(head_after(self.head, [entry]).digest)

    def contains(self, head: Head) -> bool:
        """Whether this catalogue had exactly these entries at some time, or has them now."""
        return head.count <= self.head.count and self.at(head.count) == head
