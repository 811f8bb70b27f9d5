"""What a commit writes so that outcomes are found by status, customer or key, and counted by day.

Grouped over the whole commit: a command costs the server more than what it does. Numbers of a day are added up, which
is exact because a commit is written once; the money of a day in whole minor units, in parts that cannot overflow.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

from witnd.domain import instant
from witnd.engine.actor import Actor
from witnd.engine.step import Settled
from witnd.store.commit import Commit, Word
from witnd.store.keys import Keys

DAY_MS: Final = 86_400_000
OPENED, AT_CLOSE = "opened", "at_close"  # fields of a day, beside the final statuses and `<currency>:<part>`
# A field of a hash counts to 2^63: with parts of this size that takes more commits than there can be in a day.
PART: Final = 10**9


def index(commit: Commit, moved: Sequence[Actor], settled: Sequence[Settled], keys: Keys) -> None:
    """`moved` are new, or not in the set of their status yet; marks them as being there."""
    new: list[Word] = []
    came: dict[str, list[Word]] = {}
    left: dict[str, list[Word]] = {}
    customers: dict[str, list[Word]] = {}
    days: dict[tuple[str, str], int] = {}
    for actor in moved:
        key, before = actor.key, actor.indexed
        if before is None:
            new += (0, key)
            customers.setdefault(actor.customer_key, []).extend((actor.opened_at, key))
            day = _date(actor.opened_at // DAY_MS), OPENED
            days[day] = days.get(day, 0) + 1
        else:
            left.setdefault(before, []).append(key)
        came.setdefault(actor.status, []).extend((actor.opened_at, key))
        actor.indexed = actor.status
    commit.add_many(("ZADD", keys.keys), new)
    for customer, scored in customers.items():
        commit.add_many(("ZADD", keys.of(customer)), scored)
    for status, names in left.items():
        commit.add_many(("ZREM", keys.with_status(status)), names)
    for status, scored in came.items():
        commit.add_many(("ZADD", keys.with_status(status)), scored)
    _resolved(days, settled)
    for (date, name), count in days.items():
        for field, part in _parts(name, count):
            commit.add("HINCRBY", keys.day(date), field, part)


def _resolved(days: dict[tuple[str, str], int], settled: Sequence[Settled]) -> None:
    """Count what was resolved on each day, and what it costs."""
    for one in settled:
        date, line = one.resolution.settles_at[:10], one.line
        names = [(one.resolution.status, 1)]
        if line is not None and line.amount is None:
            names.append((AT_CLOSE, 1))
        elif line is not None and line.amount is not None:
            names.append((f"{line.currency}:", int(line.amount.replace(".", ""))))
        for name, count in names:
            days[date, name] = days.get((date, name), 0) + count


def _parts(name: str, count: int) -> Iterator[tuple[str, int]]:
    """The fields of a number: money in parts, the least first."""
    if not name.endswith(":"):
        yield name, count
        return
    part = 0
    while count:
        count, low = divmod(count, PART)
        if low:
            yield f"{name}{part}", low
        part += 1


@lru_cache(maxsize=1024)
def _date(day: int) -> str:
    return instant.render(day * DAY_MS)[:10]
