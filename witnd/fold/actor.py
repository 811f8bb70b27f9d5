"""What the engine keeps in memory of one outcome key: a live outcome, events that wait to be placed, or a key on hold.

No task, future or timer handle per actor: a deadline is a number on it (`settles_at`) and at most one counted entry in
the partition's deadlines (`slot`). An actor runs to completion without awaiting; nobody else touches its state.
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

# Items of its history that an outcome keeps and carries in its own record: up to so many, and up to so many bytes. Most
# outcomes never have more and need no list of their own; the others need a command of theirs only once in so many
# events (measured: that command is the dearer half of an event). The bytes bound what an event with long texts costs
# each event after it, since all of them are written again with the record.
TAIL_MAX = 8
TAIL_BYTES_MAX = 2048

# Up to here a mark is found by scanning packed bytes (about 0.1 µs for a few, no object per mark); beyond, a dict.
PACKED_BYTES_MAX = 256 * 2 * MARK_BYTES


class Waiting(NamedTuple):
    """An event that waits, held or beside an outcome on hold, and the entry it came in."""

    entry: EntryId
    event: Event


class Marks:
    """Idempotency marks of one key: digest of the idempotency key → digest of the content."""

    __slots__ = ("_index", "_packed")

    def __init__(self, packed: bytes = b"") -> None:
        self._packed = packed
        self._index: dict[bytes, bytes] | None = None
        self._spread()

    def add(self, packed: bytes) -> None:
        """Take in marks, each followed by its content."""
        self._packed += packed
        self._spread()

    def _spread(self) -> None:
        """Too many to be scanned go into a dict, and so does what follows them."""
        packed, step = self._packed, 2 * MARK_BYTES
        if self._index is None:
            if len(packed) <= PACKED_BYTES_MAX:
                return
            self._index = {}
        for at in range(0, len(packed), step):
            self._index[packed[at : at + MARK_BYTES]] = packed[at + MARK_BYTES : at + step]
        self._packed = b""

    def find(self, mark: bytes) -> bytes | None:
        """The content that came with this mark, None if the mark is free."""
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
    """An outcome with what the engine needs around it.

    `tail` is the end of its history: items as they are stored, one behind the other in one piece, because an object for
    each of them would be most of what an outcome takes in memory and of what bringing it back costs. The marks of these
    items are looked up in the tail itself; `marks` has those of the items before it, if there are any.
    """

    __slots__ = ("behind", "dirty", "indexed", "indexed_deadline", "marks", "slot", "tail", "tailed", "touched")

    def __init__(self, key: str, customer_key: str, contract: Contract, price: Price, opened_at: int) -> None:
        super().__init__(key, customer_key, contract, price, opened_at)
        self.marks: Marks | None = None
        self.slot: int | None = None  # instant of its counted entry among the deadlines
        self.tail = b""
        self.tailed = 0  # how many items that is
        self.touched = 0  # number of the last batch that needs it in memory
        self.dirty = False
        # The instant that Redis's sorted set has of it: a lower bound of the deadline, 0 while it has none.
        self.indexed_deadline = 0
        self.behind = False  # the lower bound has to be brought up to the deadline
        self.indexed: Status | None = None  # the set of its status that Redis has it in

    def find(self, mark: bytes) -> bytes | None:
        """The content that came with this mark, None if the mark is free."""
        if mark in self.tail:
            # Hardly ever anything else than a duplicate; but only the item's own place proves it.
            for item in items_of(self.tail, self.tailed):
                found = mark_of(item)
                if found.startswith(mark):
                    return found[MARK_BYTES:]
        return None if self.marks is None else self.marks.find(mark)

    def spill(self) -> list[bytes]:
        """Let go of the tail, whose items belong into the list now; what remains of them is their marks."""
        items = items_of(self.tail, self.tailed)
        packed = b"".join(map(mark_of, items))
        if self.marks is None:
            self.marks = Marks(packed)
        else:
            self.marks.add(packed)
        self.tail, self.tailed = b"", 0
        return items


class Held:
    """A key whose events cannot be placed yet; with no events at all it is a key that nobody has used."""

    __slots__ = ("fresh", "key", "marks", "stored", "touched", "waiting")

    def __init__(self, key: str) -> None:
        self.key = key
        self.waiting: list[Waiting] = []
        self.marks = Marks()
        self.stored = 0  # how many of `waiting` Redis has
        self.fresh = False  # changed since the last commit was made
        self.touched = 0

    def wait(self, waiting: Waiting) -> None:
        self.waiting.append(waiting)
        if waiting.event.mark is not None and waiting.event.content is not None:
            self.marks.add(waiting.event.mark + waiting.event.content)

    def remove(self, entries: Container[EntryId]) -> list[EntryId]:
        """Remove these events and their idempotency keys. Return those that were waiting."""
        waiting, self.waiting, self.marks = self.waiting, [], Marks()
        gone = []
        for one in waiting:
            if one.entry in entries:
                gone.append(one.entry)
            else:
                self.wait(one)
        return gone

    def find(self, mark: bytes) -> bytes | None:
        """The content that came with this mark, None if the mark is free."""
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
        self.count = count  # events that wait, for people
        self.arrived: list[Waiting] = []  # events that no commit has written yet
        self.touched = 0
        # What a `retry` entry found, and which entry that was.
        self.checked: EntryId | None = None
        self.rebuilt: Actor | Held | None = None
        self.history: list[bytes] = []  # the list part of the repaired outcome's history, as stored
        self.status: Status | None = None  # of the repaired outcome before the events that wait are decided
        self.waiting: list[Waiting] = []
        self.is_refused = (
            False  # the fold of its repair failed: the next `retry` entry, which asked for it, does nothing
        )

    def find(self, mark: bytes) -> bytes | None:  # noqa: ARG002
        """None: whether a mark is free is decided when the outcome is repaired."""
        return None


Cached: TypeAlias = Actor | Held | OnHold
