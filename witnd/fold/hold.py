"""Why an outcome is on hold, and since when."""

from typing import Final, NamedTuple

from msgspec import Struct

#: Why an event waits: the reason of its fate.
ON_HOLD: Final = "OUTCOME_ON_HOLD"
#: Events of one outcome that a repair applies: they are one step, and 100 000 took a second (measured). With many more
#: the owner would lose its lease in the middle, begin again, and stop its whole partition.
WAITING_MAX: Final = 200_000


def too_many(waiting: int) -> str | None:
    """Why a repair is refused although nothing else is wrong. The outcome stays on hold and its events keep waiting."""
    if waiting <= WAITING_MAX:
        return None
    return f"{waiting} events wait for it, and a repair can apply at most {WAITING_MAX}"


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
