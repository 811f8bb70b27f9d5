"""Why an outcome is on hold, and since when."""

from typing import Final, NamedTuple

from msgspec import Struct

#: Why an event waits: the reason of its fate.
ON_HOLD: Final = "OUTCOME_ON_HOLD"


class Hold(Struct, frozen=True, kw_only=True):
    """Why and since when a key is on hold, and what the lists said about its outcome at that moment.

    `cursor` is the last entry applied before: the events of the key up to it are part of the outcome, later ones wait.
    """

    reason: str
    since: int  # ms, the instant of `cursor`
    cursor: str
    status: str | None = None  # None for a key that no list of outcomes has
    opened_at: int | None = None
    v: int = 1


class Damage(NamedTuple):
    """What is wrong with the stored data of a key, and what the lists say about its outcome."""

    reason: str
    status: str | None
    opened_at: int | None
