"""The versions of a key in order of their instants, and the version in effect at an instant."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

from msgspec import Struct

T = TypeVar("T")


class CatalogueEntry(Struct, frozen=True, kw_only=True):
    """A stored version. `effective_from` is in ms, `content` is canonical."""

    kind: str
    key: str
    effective_from: int
    archived: bool = False
    content: dict[str, Any]


class Versions(Generic[T]):
    """The versions of one key: each entry with the value built from it."""

    __slots__ = ("entries", "starts", "values")

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.entries: list[CatalogueEntry] = []
        self.values: list[T] = []

    def add(self, entry: CatalogueEntry, thing: T) -> None:
        at = bisect_right(self.starts, entry.effective_from)
        self.starts.insert(at, entry.effective_from)
        self.entries.insert(at, entry)
        self.values.insert(at, thing)

    def index(self, at: int) -> int:
        """Return the index of the version in effect; -1 before the first."""
        return bisect_right(self.starts, at) - 1

    def spans(self) -> Iterator[tuple[T, int, int | None]]:
        """Yield each value with its first instant and its end, which is None for the last one."""
        for place, thing in enumerate(self.values):
            yield thing, self.starts[place], self.starts[place + 1] if place + 1 < len(self.starts) else None

    def between(self, start: int, end: int | None) -> Sequence[T]:
        """Return the values in effect at some instant of [start, end)."""
        last = len(self.starts) if end is None else bisect_left(self.starts, end)
        return self.values[max(self.index(start), 0) : last]


def version_at(versions: Versions[T] | None, at: int) -> T | None:
    if versions is None:
        return None
    place = versions.index(at)
    return None if place < 0 else versions.values[place]


def versions_at(versions: Mapping[str, Versions[T]], at: int) -> dict[str, T]:
    """Return the values in effect and not archived, in order of keys."""
    found = {}
    for key in sorted(versions):
        place = versions[key].index(at)
        if place >= 0 and not versions[key].entries[place].archived:
            found[key] = versions[key].values[place]
    return found
