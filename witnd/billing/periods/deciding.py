"""Decide the bounds of periods before they begin, and store them in the calendar."""

from collections.abc import Callable

import structlog

from witnd.billing.steps import Steps
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.catalogue.checks.prorate import terms_by_days
from witnd.domain.values import instant
from witnd.domain.values.local_day import OffsetAt
from witnd.domain.values.period import HOUR, Calendar, plan_calendar
from witnd.store.errors import Unsafe
from witnd.store.keys import BillingKeys
from witnd.store.partition.commit import Commit
from witnd.store.records.calendar import FIELD, encode_calendar
from witnd.zone_data import UnknownZone

log = structlog.get_logger()


class Periods:
    """The calendar of the biller. `offsets_of` returns the UTC offsets of a zone by this host's data."""

    def __init__(self, kind: str, zone: str, keys: BillingKeys, offsets_of: Callable[[str], OffsetAt]) -> None:
        self.calendar = Calendar.of(kind)
        self._kind = kind
        self._zone = zone
        self._keys = keys
        self._offsets_of = offsets_of

    def begin(self, stored: Calendar | None, known: Calendar | None, now_ms: int, step: Commit) -> None:
        """Continue a calendar, or begin one if `known` is None. Add it to the first step if it must be stored."""
        self.calendar = self._planned(known, now_ms)
        if self.calendar != stored:
            step.add("HSET", self._keys.state, FIELD, encode_calendar(self.calendar))
            _log_rules(known, self.calendar)

    async def decide(self, now_ms: int, steps: Steps) -> bool:
        """Decide and store the bounds of the next period. Return whether they were not decided yet."""
        before, self.calendar = self.calendar, self._planned(self.calendar, now_ms)
        if self.calendar == before:
            return False
        step = steps.begin()
        step.add("HSET", self._keys.state, FIELD, encode_calendar(self.calendar))
        await steps.commit(step)
        _log_rules(before, self.calendar)
        return True

    def check_terms(self, catalogue: Catalogue, now_ms: int) -> None:
        """Raise `Unsafe` if a fee is charged by days and periods are hours."""
        if self._kind == HOUR and (found := terms_by_days(catalogue, now_ms)):
            problem = f"{found[0]} is true, and a period of an hour has no days"
            raise Unsafe(problem, "remove prorate, or set billing.period to day, week or month")

    def _planned(self, calendar: Calendar | None, now_ms: int) -> Calendar:
        """Return the calendar with the configured periods. Raises `Unsafe` without time zone data."""
        try:
            return plan_calendar(calendar, self._kind, self._zone, now_ms, self._offsets_of)
        except UnknownZone as unknown:
            raise Unsafe(str(unknown), "install the package tzdata, or update the time zone data of the host") from None


def _log_rules(old: Calendar | None, new: Calendar) -> None:
    """Log a new kind of period or time zone."""
    if old is not None and new.rules[:-1] != old.rules[:-1]:
        last = new.rules[-1]
        at = instant.render(last.start)
        log.info("billing.period_changes", period=last.kind, time_zone=last.zone, at=at)
