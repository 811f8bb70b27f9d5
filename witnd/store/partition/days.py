"""Counters of each UTC day, which every commit increments.

A commit is written once, so the counters are exact. Money is counted in whole minor units, in parts that cannot
overflow: a field of a hash counts to 2^63, which takes more commits than a day can have.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Final

from msgspec import Struct

from witnd.domain.values import instant, money
from witnd.store.keys import Keys
from witnd.store.query.reads import Command, Reads

DAY_MS: Final = 86_400_000
# Fields of a day, besides the final statuses and `<currency>:<digits>:<part>`.
OPENED: Final = "opened"
AT_CLOSE: Final = "at_close"  # confirmed, with an amount only when the period closes
REVERSED: Final = "reversed"
PART: Final = 10**9

_ZERO: Final = Decimal(0)


class Day(Struct, kw_only=True):
    """The counters of one UTC day. `unrated`: confirmed outcomes whose amount is known when their period closes.
    `reversed`: those that an event reversed on that day."""

    date: str
    opened: int = 0
    confirmed: int = 0
    missed: int = 0
    unrated: int = 0
    reversed: int = 0
    amounts: dict[str, Decimal]  # by currency


@lru_cache(maxsize=1024)
def date_of(ms: int) -> str:
    """Return the date of an instant at the start of a day."""
    return instant.render(ms)[:10]


def parts(currency: str, digits: int, minor: int) -> Iterator[tuple[str, int]]:
    """Iterate over the fields for an amount in minor units, least part first. `digits`: decimals of the amount."""
    part = 0
    while minor:
        minor, low = divmod(minor, PART)
        if low:
            yield f"{currency}:{digits}:{part}", low
        part += 1


async def days(reads: Reads, partitions: Sequence[Keys], dates: Sequence[str]) -> list[Day]:
    """Return the counters of each date."""
    commands: list[Command] = [("HGETALL", keys.day(date)) for date in dates for keys in partitions]
    answers = iter(await reads.pipeline(*commands))
    return [day_of(date, [next(answers) for _ in partitions]) for date in dates]


def day_of(date: str, hashes: Sequence[list[bytes]]) -> Day:
    """Return the counters of a day, from the hashes of the partitions."""
    day = Day(date=date, amounts={})
    for flat in hashes:
        _add(day, {flat[i].decode(): int(flat[i + 1]) for i in range(0, len(flat), 2)})
    return day


def _add(day: Day, fields: Mapping[str, int]) -> None:
    day.opened += fields.get(OPENED, 0)
    day.confirmed += fields.get("CONFIRMED", 0)
    day.missed += fields.get("FAILED", 0)
    day.unrated += fields.get(AT_CLOSE, 0)
    day.reversed += fields.get(REVERSED, 0)
    for name, count in fields.items():
        if ":" in name:
            currency, digits, part = name.split(":")
            amount = _amount(count * PART ** int(part), int(digits))
            day.amounts[currency] = money.plus(day.amounts.get(currency, _ZERO), amount)


def dates(now_ms: int, count: int) -> list[str]:
    """Return the last `count` dates, oldest first."""
    return [instant.render(now_ms - back * DAY_MS)[:10] for back in range(count - 1, -1, -1)]


def total_amounts(days_: Iterable[Day]) -> dict[str, Decimal]:
    """Return the sum of several days by currency."""
    total: dict[str, Decimal] = {}
    for day in days_:
        for currency, amount in day.amounts.items():
            total[currency] = money.plus(total.get(currency, _ZERO), amount)
    return dict(sorted(total.items()))


def _amount(minor: int, digits: int) -> Decimal:
    """Return minor units as an amount with exactly `digits` decimals."""
    return Decimal((0, tuple(map(int, str(minor))), -digits))
