"""Instants as local times, for documents. What the calendar has decided is the same on every host."""

from datetime import UTC as ZERO
from datetime import datetime
from typing import Final

from witnd.domain.values.period import UTC, Calendar
from witnd.zone_data import UnknownZone, load_zone


class LocalTimes:
    """Converts instants (ms) to times in one zone, whose IANA name is `zone`."""

    def __init__(self, calendar: Calendar, zone: str) -> None:
        self.zone = zone
        self._calendar = calendar

    def local(self, ms: int) -> datetime:
        """Return the local time of an instant."""
        if self.zone == UTC:
            return datetime.fromtimestamp(ms // 1000, ZERO).replace(microsecond=ms % 1000 * 1000)
        rule = self._calendar.rule_at(ms)
        if rule.zone == self.zone and ms <= rule.until:
            return rule.offsets.local(ms, self.zone)
        # After a change of the billing time zone, a document keeps the zone of its period.
        try:
            return datetime.fromtimestamp(ms // 1000, load_zone(self.zone)).replace(microsecond=ms % 1000 * 1000)
        except UnknownZone:
            last = next((one for one in reversed(self._calendar.rules) if one.zone == self.zone), rule)
            return last.offsets.local(ms, self.zone)

    def date(self, ms: int) -> str:
        """Return the local date of an instant, such as 2026-11-30."""
        return f"{self.local(ms):%Y-%m-%d}"

    def text(self, ms: int) -> str:
        """Return the local time with its offset, such as 2026-11-30T10:15:00.000+01:00. In UTC, it ends with Z."""
        text = self.local(ms).isoformat(timespec="milliseconds")
        return text.replace("+00:00", "Z") if self.zone == UTC else text


UTC_TIMES: Final = LocalTimes(Calendar.of("month"), UTC)
