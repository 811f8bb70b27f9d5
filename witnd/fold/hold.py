"""The types of a hold, and the limit of a repair."""

from typing import Final, NamedTuple

from msgspec import Struct

#: The reason in the fate of a waiting event.
ON_HOLD: Final = "OUTCOME_ON_HOLD"
#: The limit of waiting events that a repair applies in one step; 100 000 took a second (measured). With many more the
#: owner would lose its lease during the step, start again, and block the partition.
WAITING_MAX: Final = 200_000


def too_many(waiting: int) -> str | None:
    """Return why a repair with so many waiting events is refused, or None. The outcome then stays on hold."""
    if waiting <= WAITING_MAX:
        return None
    return f"{waiting} events wait for it, and a repair can apply at most {WAITING_MAX}"


class Hold(Struct, frozen=True, kw_only=True):
    """The reason and start of a hold, with the status and opening time of the outcome from the indexes.

    `cursor` is the last entry before the hold: the key's events up to it are part of the outcome, later ones wait.
    """

    reason: str
    since: int  # ms, the instant of `cursor`
    cursor: str
    status: str | None = None  # None for a key that is in no index
    opened_at: int | None = None
    v: int = 1


class Damage(NamedTuple):
    """The damage of a key's stored data, with the status and opening time of its outcome from the indexes."""

    reason: str
    status: str | None
    opened_at: int | None
