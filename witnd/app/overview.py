"""The overview: outcomes, events, next deadlines, amounts, problems and recent days."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from msgspec import Struct

from witnd.app.daemon_services import DaemonServices
from witnd.app.problems import count, stuck
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.outcomes.explain import STATUS_TEXT
from witnd.domain.outcomes.outcome import STATUSES
from witnd.domain.values import instant
from witnd.store.partition.days import Day, dates, days, total_amounts
from witnd.store.query.merged import next_due
from witnd.store.query.overview import StuckCounts, counters
from witnd.store.query.reads import Reads

_FATES: Final = ("applied", "duplicate", "conflict", "reversed", "late", "held", "rejected", "waiting")
_MONTH_DAYS: Final = 31


class Due(Struct, frozen=True, kw_only=True):
    """The outcome that settles next."""

    key: str
    settles_at: str


class Money(Struct, frozen=True, kw_only=True):
    """The confirmed amount in a currency."""

    currency: str
    amount: str


class Confirmed(Struct, frozen=True, kw_only=True):
    """Confirmed outcomes that resolved since `since`. `unrated` of them have no amount until their period closes."""

    since: str
    outcomes: int
    unrated: int
    amounts: list[Money]


class DayFigures(Struct, frozen=True, kw_only=True):
    """A UTC day: the outcomes that opened, were confirmed, missed or reversed, and the confirmed
    amounts."""

    date: str
    opened: int
    confirmed: int
    missed: int
    reversed: int
    unrated: int
    amounts: list[Money]


class Endpoints(Struct, frozen=True, kw_only=True):
    """The number of failing endpoints, and how many of them are suspended."""

    failing: int
    suspended: int


class Overview(Struct, frozen=True, kw_only=True):
    """`now`: the server's clock. `outcomes` and `events` are totals of all time. `lag`: accepted events that are not
    yet processed. `overdue_ms`: how late the first due outcome is."""

    now: str
    ready: bool
    partitions: dict[str, int]
    troubles: list[str]
    outcomes: dict[str, int]
    events: dict[str, int]
    lag: int
    next_due: Due | None
    overdue_ms: int
    today: Confirmed
    month: Confirmed
    endpoints: Endpoints
    problems: int
    days: list[DayFigures]


async def overview(services: DaemonServices, reads: Reads, catalogue: Catalogue, shown: int) -> Overview:
    """Return the overview. `shown`: number of days up to and including today."""
    return (await standing(services, reads, catalogue, shown))[0]


async def standing(
    services: DaemonServices, reads: Reads, catalogue: Catalogue, shown: int
) -> tuple[Overview, StuckCounts]:
    """Return the overview, and the number of waiting items of each kind."""
    health, partitions = services.health(), services.partitions
    troubles = [*health.troubles, *health.alarms]
    found = await stuck(services, reads, catalogue)
    totals = await counters(reads, partitions)
    due = await next_due(reads, partitions)
    told = await days(reads, partitions, dates(found.now_ms, max(shown, _MONTH_DAYS)))
    today = told[-1].date
    month = [day for day in told if day.date[:7] == today[:7]]
    suspended = sum(state.suspended for state in found.endpoints.values())
    overview_ = Overview(
        now=instant.render(found.now_ms),
        ready=health.ready,
        partitions=dict(health.partitions),
        troubles=troubles,
        outcomes={STATUS_TEXT[status]: totals.get(status, 0) for status in STATUSES},
        events={fate: totals.get(fate, 0) for fate in _FATES},
        lag=health.lag,
        next_due=None if due is None else Due(key=due.cursor.name, settles_at=instant.render(due.cursor.ms)),
        overdue_ms=0 if due is None else max(0, found.now_ms - due.cursor.ms),
        today=_confirmed(today, told[-1:]),
        month=_confirmed(f"{today[:7]}-01", month),
        endpoints=Endpoints(failing=len(found.endpoints), suspended=suspended),
        problems=count(found, troubles),
        days=[
            DayFigures(
                date=day.date,
                opened=day.opened,
                confirmed=day.confirmed,
                missed=day.missed,
                reversed=day.reversed,
                unrated=day.unrated,
                amounts=_amounts(day.amounts),
            )
            for day in told[-shown:]
        ],
    )
    return overview_, found


def _confirmed(since: str, found: Sequence[Day]) -> Confirmed:
    return Confirmed(
        since=f"{since}T00:00:00.000Z",
        outcomes=sum(day.confirmed for day in found),
        unrated=sum(day.unrated for day in found),
        amounts=_amounts(total_amounts(found)),
    )


def _amounts(amounts: Mapping[str, Decimal]) -> list[Money]:
    return [Money(currency=currency, amount=format(amount, "f")) for currency, amount in sorted(amounts.items())]
