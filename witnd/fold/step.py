"""What a fold hands to the commit: everything that one stretch of the log changed, as values."""

from typing import Literal, NamedTuple, TypeAlias

from witnd.domain.outcomes.event import EntryId, Event, Item, Refusal, Retry, Tick
from witnd.domain.outcomes.resolution import Line, Resolution
from witnd.domain.webhooks.fan_out import FanOut
from witnd.fold.actor import Actor, Held, OnHold

FateName: TypeAlias = Literal["duplicate", "conflict", "late", "held", "rejected", "waiting"]

# One entry of the log as the fold takes it: ms, seq, what was read of it, its raw fields; and the actor of its key, if
# that was in memory when the batch was read. There it stays until the batch is committed: the fold need not look again.
Entry: TypeAlias = tuple[int, int, Item, list[bytes], Actor | None]


class Fate(NamedTuple):
    """What became of an entry that was not applied. `raw` only where nothing else keeps the event."""

    entry: EntryId
    fate: FateName
    reason: str | None
    key: str | None
    message: str | None = None
    raw: list[bytes] | None = None


class SettledOutcome(NamedTuple):
    """A final outcome and what follows from it."""

    actor: Actor
    resolution: Resolution
    line: Line | None
    deliveries: FanOut | tuple[()]


class Settling(NamedTuple):
    """Where a step stopped among due outcomes: the entry they are settled for, and the last one settled."""

    entry: EntryId
    settles_at: int
    key: str


class Step:
    """The changes since the last step, coalesced per key."""

    __slots__ = (
        "actors",
        "arrived",
        "deliveries",
        "fates",
        "held",
        "need",
        "new_holds",
        "placed",
        "released",
        "removals",
        "repair",
        "repaired",
        "rewritten",
        "settled",
        "settling",
        "spilled",
        "unfated",
    )

    def __init__(self) -> None:
        self.actors: list[Actor] = []  # whose records changed
        self.held: list[Held] = []  # gained waiting events
        self.placed: list[Held] = []  # whose waiting events are waiting no more
        self.rewritten: list[Held] = []  # lost waiting events that an operator removed
        self.removals: list[EntryId] = []  # requests of operators that are carried out
        self.settled: list[SettledOutcome] = []
        self.deliveries = 0  # of all of them together
        self.spilled: dict[str, list[bytes]] = {}  # items of histories that no record carries any more, by key
        self.fates: list[Fate] = []
        self.unfated: list[EntryId] = []  # were held, are applied now: their fate is in the history
        self.settling: Settling | None = None
        self.new_holds: list[OnHold] = []  # that no commit has written yet
        self.arrived: list[OnHold] = []  # gained events that wait
        self.repaired: list[OnHold] = []  # are on hold no more
        self.released: list[EntryId] = []  # waited beside one of these: their fate is decided now
        self.repair: tuple[str, EntryId] | None = None  # a key on hold, and the entry its repair is loaded for
        # What must be brought into memory before the fold can go on.
        self.need: Literal["horizon"] | list[str] | None = None

    def __repr__(self) -> str:
        return f"<Step {len(self.actors)} changed {len(self.settled)} settled {len(self.fates)} fates>"


def reject_other_partition(item: Event | Retry, partition: int) -> Refusal | Tick:
    """What an item of another partition is worth here. A control entry has no fate: it only proves time."""
    if isinstance(item, Retry):
        return Tick()
    return Refusal(f"the key {item.key!r} belongs to partition {partition}", misplaced=True)
