"""What a commit writes so that outcomes are found by status, customer or key, and counted by day.

Grouped over the whole commit: a command costs the server more than what it does.
"""

from collections.abc import Sequence

from witnd.fold.actor import Actor
from witnd.fold.step import SettledOutcome
from witnd.store.keys import Keys
from witnd.store.partition.commit import Commit, Word
from witnd.store.partition.days import AT_CLOSE, DAY_MS, OPENED, date_of, parts


def index(commit: Commit, moved: Sequence[Actor], settled: Sequence[SettledOutcome], keys: Keys) -> None:
    """`moved` are new, or not in the set of their status yet; marks them as being there."""
    new: list[Word] = []
    came: dict[str, list[Word]] = {}
    left: dict[str, list[Word]] = {}
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
            left.setdefault(before, []).append(key)
        came.setdefault(actor.status, []).extend((at, key))
        actor.indexed = actor.status
    commit.add_many(("ZADD", keys.keys), new)
    for customer, scored in customers.items():
        commit.add_many(("ZADD", keys.of_customer(customer)), scored)
    for status, names in left.items():
        commit.add_many(("ZREM", keys.with_status(status)), names)
    for status, scored in came.items():
        commit.add_many(("ZADD", keys.with_status(status)), scored)
    for date, count in opened.items():
        commit.add("HINCRBY", keys.day(date), OPENED, count)
    if settled:
        _count_resolutions(commit, settled, keys)


def _count_resolutions(commit: Commit, settled: Sequence[SettledOutcome], keys: Keys) -> None:
    """Count what was resolved on each day, and what it costs."""
    counts: dict[tuple[str, str], int] = {}
    money: dict[tuple[str, str, int], int] = {}
    for _, resolution, line, _ in settled:
        date = resolution.settles_at[:10]
        counts[date, resolution.status] = counts.get((date, resolution.status), 0) + 1
        if line is None:
            continue
        if line.amount is None:
            counts[date, AT_CLOSE] = counts.get((date, AT_CLOSE), 0) + 1
        else:
            minor = int(line.amount.replace(".", ""))
            place = date, line.currency, line.digits
            money[place] = money.get(place, 0) + minor
    for (date, name), count in counts.items():
        commit.add("HINCRBY", keys.day(date), name, count)
    for (date, currency, digits), minor in money.items():
        for field, part in parts(currency, digits, minor):
            commit.add("HINCRBY", keys.day(date), field, part)
