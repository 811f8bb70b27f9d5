"""Writes the indexes of outcomes by status, customer and key, and the counters of days.

The commands are grouped over the whole commit: each one costs the server more than its work.
"""

from collections.abc import Sequence

from witnd.domain.outcomes.resolution import Line
from witnd.domain.outcomes.reversal import Reversal
from witnd.fold.actor import Actor
from witnd.fold.step import SettledOutcome
from witnd.store.keys import Keys
from witnd.store.partition.commit import Commit, Word
from witnd.store.partition.days import AT_CLOSE, DAY_MS, OPENED, REVERSED, date_of, parts


def index(commit: Commit, moved: Sequence[Actor], settled: Sequence[SettledOutcome], keys: Keys) -> None:
    """Write the indexes. `moved` are new, or not in the set of their status yet; mark them as indexed."""
    new: list[Word] = []
    added: dict[str, list[Word]] = {}
    removed: dict[str, list[Word]] = {}
    customers: dict[str, list[Word]] = {}
    opened: dict[str, int] = {}
    for actor in moved:
        key, before, at = actor.key, actor.indexed, actor.opened_at
        if before is None:
            new += (0, key)
            customers.setdefault(actor.customer_key, []).extend((at, key))
            date = date_of(at - at % DAY_MS)
            opened[date] = opened.get(date, 0) + 1
        else:
            removed.setdefault(before, []).append(key)
        added.setdefault(actor.status, []).extend((at, key))
        actor.indexed = actor.status
    commit.add_many(("ZADD", keys.keys), new)
    for customer, scored in customers.items():
        commit.add_many(("ZADD", keys.of_customer(customer)), scored)
    for status, names in removed.items():
        commit.add_many(("ZREM", keys.with_status(status)), names)
    for status, scored in added.items():
        commit.add_many(("ZADD", keys.with_status(status)), scored)
    for date, count in opened.items():
        commit.add("HINCRBY", keys.day(date), OPENED, count)
    if settled:
        _count_resolutions(commit, settled, keys)


def _count_resolutions(commit: Commit, settled: Sequence[SettledOutcome], keys: Keys) -> None:
    """Count the resolutions of each day and their amounts."""
    counts: dict[tuple[str, str], int] = {}
    money: dict[tuple[str, str, int], int] = {}
    for _, resolution, line, _ in settled:
        if isinstance(resolution, Reversal):
            day = resolution.reversed_at[:10], REVERSED
            counts[day] = counts.get(day, 0) + 1
            continue
        date = resolution.settles_at[:10]
        counts[date, resolution.status] = counts.get((date, resolution.status), 0) + 1
        if not isinstance(line, Line):
            continue
        if line.amount is None:
            counts[date, AT_CLOSE] = counts.get((date, AT_CLOSE), 0) + 1
        else:
            minor = int(line.amount.replace(".", ""))
            unit = date, line.currency, line.digits
            money[unit] = money.get(unit, 0) + minor
    for (date, name), count in counts.items():
        commit.add("HINCRBY", keys.day(date), name, count)
    for (date, currency, digits), minor in money.items():
        for field, part in parts(currency, digits, minor):
            commit.add("HINCRBY", keys.day(date), field, part)
