"""The result of a fold: all changes of some entries of the log, as values for the commit."""

from collections.abc import Iterable
from typing import Final, Literal, NamedTuple, TypeAlias

from witnd.domain.outcomes.event import EntryId, Event, Item, Refusal, Retry, Tick
from witnd.domain.outcomes.partitioning import partition_of
from witnd.domain.outcomes.resolution import Line, Resolution
from witnd.domain.outcomes.reversal import Reversal, ReversalLine
from witnd.domain.webhooks.fan_out import FanOut
from witnd.fold.actor import Actor, Held, OnHold

FateName: TypeAlias = Literal["duplicate", "conflict", "reversed", "late", "held", "rejected", "waiting"]

# Longer events cannot be appended by a script; producers do not send such ones.
FORWARD_WORDS_MAX: Final = 7000


class Forward(NamedTuple):
    """An event whose key moved from this partition to another one."""

    partition: int


class Forwarded(NamedTuple):
    """An event to append to the log of another partition: its id in this log, that partition, and its fields."""

    entry: EntryId
    partition: int
    fields: list[bytes]


# An entry of the log: ms, seq, the parsed item, its raw fields; and the actor of its key, if it was cached when the
# batch was planned. It stays cached until the batch is committed, so the fold needs no second lookup.
Entry: TypeAlias = tuple[int, int, Item | Forward, list[bytes], Actor | None]


class Fate(NamedTuple):
    """The fate of an entry that was not applied. `raw` has its fields if nothing else stores the event."""

    entry: EntryId
    fate: FateName
    reason: str | None
    key: str | None
    message: str | None = None
    raw: list[bytes] | None = None


class SettledOutcome(NamedTuple):
    """A final outcome with its resolution, invoice line and deliveries; or its reversal, with those of the reversal."""

    actor: Actor
    resolution: Resolution | Reversal
    line: Line | ReversalLine | None
    deliveries: FanOut | tuple[()]


class Settling(NamedTuple):
    """Where a step stopped among due outcomes: the entry that follows them, and the last settled outcome."""

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
        "forwards",
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
        self.held: list[Held] = []  # gained held events
        self.placed: list[Held] = []  # whose events are no longer held
        self.rewritten: list[Held] = []  # lost events that an operator removed
        self.removals: list[EntryId] = []  # completed requests of operators
        self.settled: list[SettledOutcome] = []  # and reversed ones, in the order of the log
        self.deliveries = 0  # the cost of the deliveries of all of them
        self.spilled: dict[str, list[bytes]] = {}  # history items that move from the record to the list, by key
        self.fates: list[Fate] = []
        self.unfated: list[EntryId] = []  # were held and are applied now; their fate is in the history
        self.forwards: list[Forwarded] = []  # events of keys that moved to other partitions
        self.settling: Settling | None = None
        self.new_holds: list[OnHold] = []  # that no commit has written yet
        self.arrived: list[OnHold] = []  # gained events that wait
        self.repaired: list[OnHold] = []  # no longer on hold
        self.released: list[EntryId] = []  # waited for a repaired outcome and are decided now
        self.repair: tuple[str, EntryId] | None = (
            None  # a key on hold, and the `retry` entry for which its repair must be loaded
        )
        # What must be loaded before the fold can continue.
        self.need: Literal["horizon"] | list[str] | None = None

    def __repr__(self) -> str:
        return f"<Step {len(self.actors)} changed {len(self.settled)} settled {len(self.fates)} fates>"


def other_partition(
    item: Event | Retry, fields: list[bytes], partition: int, partitions: int, earlier: Iterable[int]
) -> Refusal | Tick | Forward:
    """Return what an entry of another partition is to `partition`. An event whose key was here under an `earlier`
    number of partitions is forwarded. Others are refused. A control entry has no fate and only advances the time."""
    if isinstance(item, Retry):
        return Tick()
    home = partition_of(item.key, partitions)
    if len(fields) <= FORWARD_WORDS_MAX and any(partition_of(item.key, count) == partition for count in earlier):
        return Forward(home)
    return Refusal(f"the key {item.key!r} belongs to partition {home}", misplaced=True)
