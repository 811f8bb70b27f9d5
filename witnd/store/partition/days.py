"""What each UTC day brought, as counters that every commit adds to.

A commit is written once, so adding is exact. Money is counted in whole minor units, in parts that cannot overflow: a
field of a hash counts to 2^63, which with parts of this size takes more commits than there can be in a day.
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
# Fields of a day, beside the final statuses and `<currency>:<digits>:<part>`.
OPENED: Final = "opened"
AT_CLOSE: Final = "at_close"  # confirmed, and without an amount until the period closes
PART: Final = 10**9

_ZERO: Final = Decimal(0)


class Day(Struct, kw_only=True):
    """What one UTC day brought. `unrated`: confirmed ones whose amount is known when their period closes."""

    date: str
    opened: int = 0
    confirmed: int = 0
    missed: int = 0
    unrated: int = 0
    amounts: dict[str, Decimal]  # by currency


@lru_cache(maxsize=1024)
def date_of(ms: int) -> str:
    """The date of an instant that begins a day."""
    return instant.render(ms)[:10]


def parts(currency: str, digits: int, minor: int) -> Iterator[tuple[str, int]]:
    """The fields that whole minor units are added to, the least part first. `digits`: after the point of an amount."""
    part = 0
    while minor:
        minor, low = divmod(minor, PART)
        if low:
            yield f"{currency}:{digits}:{part}", low
        part += 1


async def days(reads: Reads, partitions: Sequence[Keys], dates: Sequence[str]) -> list[Day]:
    """What each of these dates brought."""
    commands: list[Command] = [("HGETALL", keys.day(date)) for date in dates for keys in partitions]
    answers = iter(await reads.pipeline(*commands))
    return [day_of(date, [next(answers) for _ in partitions]) for date in dates]


def day_of(date: str, hashes: Sequence[list[bytes]]) -> Day:
    """What a day brought, from the hashes of the partitions."""
    day = Day(date=date, amounts={})
    for flat in hashes:
        _add(day, {flat[i].decode(): int(flat[i + 1]) for i in range(0, len(flat), 2)})
    return day


def _add(day: Day, fields: Mapping[str, int]) -> None:
    day.opened += fields.get(OPENED, 0)
    day.confirmed += fields.get("CONFIRMED", 0)
    day.missed += fields.get("FAILED", 0)
    day.unrated += fields.get(AT_CLOSE, 0)
    for name, count in fields.items():
        if ":" in name:
            currency, digits, part = name.split(":")
            amount = _amount(count * PART ** int(part), int(digits))
            day.amounts[currency] = money.plus(day.amounts.get(currency, _ZERO), amount)


def dates(now_ms: int, count: int) -> list[str]:
    """The last so many dates, the oldest first."""
    return [instant.render(now_ms - back * DAY_MS)[:10] for back in range(count - 1, -1, -1)]


def total_amounts(days_: Iterable[Day]) -> dict[str, Decimal]:
    """The money of several days by currency."""
    total: dict[str, Decimal] = {}
    for day in days_:
        for currency, amount in day.amounts.items():
            total[currency] = money.plus(total.get(currency, _ZERO), amount)
    return dict(sorted(total.items()))


def _amount(minor: int, digits: int) -> Decimal:
    """Whole minor units as an amount with exactly so many digits after the point."""
    return Decimal((0, tuple(map(int, str(minor))), -digits))
