"""The versions of one key in order of their instants, and which of them is in force when.

What a version means is left to the modules of its kind, and what all keys together say to `catalogue`.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

from msgspec import Struct

T = TypeVar("T")


class CatalogueEntry(Struct, frozen=True, kw_only=True):
    """One version, as it is stored. `content` is canonical."""

    kind: str
    key: str
    effective_from: int
    archived: bool = False
    content: dict[str, Any]


class Versions(Generic[T]):
    """The versions of one key: each entry beside the thing that was made of it."""

    __slots__ = ("entries", "starts", "things")

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.entries: list[CatalogueEntry] = []
        self.things: list[T] = []

    def add(self, entry: CatalogueEntry, thing: T) -> None:
        at = bisect_right(self.starts, entry.effective_from)
        self.starts.insert(at, entry.effective_from)
        self.entries.insert(at, entry)
        self.things.insert(at, thing)

    def index(self, at: int) -> int:
        """Place of the version in force; -1 before the first."""
        return bisect_right(self.starts, at) - 1

    def spans(self) -> Iterator[tuple[T, int, int | None]]:
        """Each thing with the instant it begins and the one it ends at; None for the last one's end."""
        for place, thing in enumerate(self.things):
            yield thing, self.starts[place], self.starts[place + 1] if place + 1 < len(self.starts) else None

    def between(self, start: int, end: int | None) -> Sequence[T]:
        """Everything that is in force at some instant of [start, end)."""
        last = len(self.starts) if end is None else bisect_left(self.starts, end)
        return self.things[max(self.index(start), 0) : last]


def in_force(versions: Versions[T] | None, at: int) -> T | None:
    if versions is None:
        return None
    place = versions.index(at)
    return None if place < 0 else versions.things[place]


def all_in_force(versions: Mapping[str, Versions[T]], at: int) -> dict[str, T]:
    """Everything in force and not archived, in order of keys."""
    found = {}
    for key in sorted(versions):
        place = versions[key].index(at)
        if place >= 0 and not versions[key].entries[place].archived:
            found[key] = versions[key].things[place]
    return found
