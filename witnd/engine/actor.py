"""What the engine keeps in memory of one outcome key: a live outcome, or events that wait to be placed.

No task, future or timer handle per actor: a deadline is a number on it (`settles_at`) and at most one counted entry in
the partition's deadlines (`slot`). An actor runs to completion without awaiting; nobody else touches its state.
"""

from typing import NamedTuple, TypeAlias

from witnd.domain.content import MARK_BYTES
from witnd.domain.contract import Contract
from witnd.domain.event import EntryId, Event
from witnd.domain.outcome import Outcome
from witnd.domain.ratecard import Price

# Up to here a mark is found by scanning packed bytes (about 0.1 µs for a few, no object per mark); beyond, a dict.
PACKED_BYTES_MAX = 256 * 2 * MARK_BYTES


# An event as the history of its outcome keeps it: ms and seq of its entry, the event, and the ms of the entry that
# placed it where that is another. A plain tuple, because one is made for every event.
Applied: TypeAlias = tuple[int, int, Event, int | None]


class Waiting(NamedTuple):
    """A held event and the entry it came in."""

    entry: EntryId
    event: Event


class Marks:
    """Idempotency marks of one key: digest of the idempotency key → digest of the content."""

    __slots__ = ("_index", "_packed")

    def __init__(self, packed: bytes = b"") -> None:
        self._packed = packed
        self._index: dict[bytes, bytes] | None = None
        self._spread()

    def add(self, mark: bytes, content: bytes) -> None:
        if self._index is not None:
            self._index[mark] = content
            return
        self._packed = packed = self._packed + mark + content
        if len(packed) > PACKED_BYTES_MAX:
            self._spread()

    def _spread(self) -> None:
        """Too many to be scanned go into a dict."""
        if len(self._packed) > PACKED_BYTES_MAX:
            packed, step = self._packed, 2 * MARK_BYTES
            self._index = {
                packed[i : i + MARK_BYTES]: packed[i + MARK_BYTES : i + step] for i in range(0, len(packed), step)
            }
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
    """An outcome with what the engine needs around it."""

    __slots__ = ("behind", "dirty", "fresh", "marks", "mirrored", "slot", "tail", "touched")

    def __init__(self, key: str, customer_key: str, contract: Contract, price: Price, opened_at: int) -> None:
        super().__init__(key, customer_key, contract, price, opened_at)
        self.marks = Marks()
        self.slot: int | None = None  # instant of its counted entry among the deadlines
        self.fresh: list[Applied] = []  # applied since the last commit was made
        self.tail: list[bytes] = []  # the end of its history, which its record carries
        self.touched = 0  # number of the last batch that needs it in memory
        self.dirty = False
        # The instant that Redis's sorted set has of it: a lower bound of the deadline, 0 while it has none.
        self.mirrored = 0
        self.behind = False  # the lower bound has to be brought up to the deadline


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
            self.marks.add(waiting.event.mark, waiting.event.content)
