"""The state of one outcome key in memory: a live outcome (actor), held events, or a key on hold.

An actor has no task, future or timer: its deadline is a number (`settles_at`) and at most one valid entry in the
partition's deadlines (`slot`). An actor runs to completion without awaiting, and only the fold changes its state.
"""

from collections.abc import Container
from typing import NamedTuple, TypeAlias

from witnd.domain.catalogue.contract import Contract
from witnd.domain.outcomes.content import MARK_BYTES
from witnd.domain.outcomes.event import EntryId, Event
from witnd.domain.outcomes.outcome import Outcome, Status
from witnd.domain.pricing.ratecard import Price
from witnd.fold.history import items_of, mark_of
from witnd.fold.hold import Hold

# The limits of the last history items in an outcome's record. Most outcomes never have more and need no list; the
# others need a command for the list only once in TAIL_MAX events (measured: that command is the more expensive half of
# an event). The limit in bytes is for events with long texts, since each commit writes these items again.
TAIL_MAX = 8
TAIL_BYTES_MAX = 2048

# Up to this size, marks are found by scanning packed bytes (about 0.1 µs for a few, no object per mark), else in a
# dict.
PACKED_BYTES_MAX = 256 * 2 * MARK_BYTES


class Waiting(NamedTuple):
    """A waiting event, held or for an outcome on hold, and the id of its entry."""

    entry: EntryId
    event: Event


class Marks:
    """Idempotency marks of one key: digest of the idempotency key → digest of the content."""

    __slots__ = ("_index", "_packed")

    def __init__(self, packed: bytes = b"") -> None:
        self._packed = packed
        self._index: dict[bytes, bytes] | None = None
        self._index_if_large()

    def add(self, packed: bytes) -> None:
        """Add marks, each followed by the digest of its content."""
        self._packed += packed
        self._index_if_large()

    def _index_if_large(self) -> None:
        """Move the marks into a dict if there are too many to scan."""
        packed, step = self._packed, 2 * MARK_BYTES
        if self._index is None:
            if len(packed) <= PACKED_BYTES_MAX:
                return
            self._index = {}
        for at in range(0, len(packed), step):
            self._index[packed[at : at + MARK_BYTES]] = packed[at + MARK_BYTES : at + step]
        self._packed = b""

    def find(self, mark: bytes) -> bytes | None:
        """Return the content with this mark, or None if the mark is unused."""
        if self._index is not None:
            return self._index.get(mark)
        packed = self._packed
        at = packed.find(mark)
        while at >= 0:
            if at % (2 * MARK_BYTES) == 0:
                return packed[at + MARK_BYTES : at + 2 * MARK_BYTES]
            at = packed.find(mark, at + 1)
        return None


class Actor(Outcome):
    """An outcome with the engine's data about it.

    `tail` is the end of its history: stored items, concatenated. An object for each item would be most of an outcome's
    memory, and of the cost of loading it. The marks of these items are found in the tail itself; `marks` has those of
    earlier items, and that of `reversal`: the item of the event that reversed it, which is not one of the history.
    """

    __slots__ = (
        "dirty",
        "indexed",
        "indexed_deadline",
        "is_stale",
        "marks",
        "reversal",
        "slot",
        "tail",
        "tailed",
        "touched",
    )

    def __init__(
        self,
        key: str,
        customer_key: str,
        contract: Contract,
        price: Price,
        opened_at: int,
        graded: tuple[Price, ...] | None = None,
    ) -> None:
        super().__init__(key, customer_key, contract, price, opened_at, graded)
        self.marks: Marks | None = None
        self.slot: int | None = None  # instant of its valid entry in the deadlines
        self.tail = b""
        self.tailed = 0  # number of items in it
        self.reversal = b""
        self.touched = 0  # number of the last batch that needs it
        self.dirty = False
        # Its score in the index of deadlines: a lower bound of the deadline, 0 if it has none.
        self.indexed_deadline = 0
        self.is_stale = False  # the lower bound must be raised to the deadline
        self.indexed: Status | None = None  # the status in whose set Redis has it

    def find(self, mark: bytes) -> bytes | None:
        """Return the content with this mark, or None if the mark is unused."""
        if mark in self.tail:
            # This is nearly always a duplicate, but only the position in an item proves it.
            for item in items_of(self.tail, self.tailed):
                found = mark_of(item)
                if found.startswith(mark):
                    return found[MARK_BYTES:]
        return None if self.marks is None else self.marks.find(mark)

    def add_marks(self, packed: bytes) -> None:
        """Add marks of items that are not in the tail, each followed by the digest of its content."""
        if self.marks is None:
            self.marks = Marks(packed)
        else:
            self.marks.add(packed)

    def spill(self) -> list[bytes]:
        """Remove the tail and return its items, which now belong into the list. Keep their marks."""
        items = items_of(self.tail, self.tailed)
        self.add_marks(b"".join(map(mark_of, items)))
        self.tail, self.tailed = b"", 0
        return items


class Held:
    """A key whose events cannot be placed yet. Without events, the key is unused."""

    __slots__ = ("fresh", "key", "marks", "stored", "touched", "waiting")

    def __init__(self, key: str) -> None:
        self.key = key
        self.waiting: list[Waiting] = []
        self.marks = Marks()
        self.stored = 0  # how many of `waiting` Redis has
        self.fresh = False  # changed since the last commit was built
        self.touched = 0

    def wait(self, waiting: Waiting) -> None:
        self.waiting.append(waiting)
        if waiting.event.mark is not None and waiting.event.content is not None:
            self.marks.add(waiting.event.mark + waiting.event.content)

    def remove(self, entries: Container[EntryId]) -> list[EntryId]:
        """Remove these events and their idempotency keys. Return those that were waiting."""
        waiting, self.waiting, self.marks = self.waiting, [], Marks()
        removed = []
        for one in waiting:
            if one.entry in entries:
                removed.append(one.entry)
            else:
                self.wait(one)
        return removed

    def find(self, mark: bytes) -> bytes | None:
        """Return the content with this mark, or None if the mark is unused."""
        return self.marks.find(mark)


class OnHold:
    """A key whose outcome cannot be read or folded. Its events wait in Redis until the outcome is repaired.

    Stays in memory as long as the partition is owned: only a `retry` entry ends the hold.
    """

    __slots__ = (
        "arrived",
        "checked",
        "count",
        "history",
        "hold",
        "is_refused",
        "key",
        "rebuilt",
        "status",
        "touched",
        "waiting",
    )

    def __init__(self, key: str, hold: Hold, count: int = 0) -> None:
        self.key = key
        self.hold = hold
        self.count = count  # number of waiting events, for display
        self.arrived: list[Waiting] = []  # events that are not in a commit yet
        self.touched = 0
        # The id of the last `retry` entry, and the repair that was loaded for it.
        self.checked: EntryId | None = None
        self.rebuilt: Actor | Held | None = None
        self.history: list[bytes] = []  # the list part of the repaired outcome's history, as stored
        self.status: Status | None = None  # of the repaired outcome before its waiting events are decided
        self.waiting: list[Waiting] = []
        # The fold of its repair failed, so the next `retry` entry, which caused it, has no effect.
        self.is_refused = False

    def find(self, mark: bytes) -> bytes | None:  # noqa: ARG002
        """Return None: marks are checked when the outcome is repaired."""
        return None


Cached: TypeAlias = Actor | Held | OnHold
