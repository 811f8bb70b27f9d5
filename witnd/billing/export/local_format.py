"""Numbers, dates and instants in the language of a document. Numbers are never rounded."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache, cached_property
from typing import TYPE_CHECKING, Final

from witnd.domain.values.money import minor_text, plain
from witnd.domain.values.period import HOUR, Period

if TYPE_CHECKING:
    from babel import Locale

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER: Final = re.compile(r"(?<![\w.])-?[0-9]+(?:\.[0-9]+)?", re.ASCII)
_MINUS: Final = "\N{MINUS SIGN}"
# Patterns of Unicode (LDML): a date, a date in a narrow column, a day of a known year, a month.
_PATTERNS: Final[Mapping[str, tuple[str, str, str, str]]] = {
    "en": ("d MMMM y", "d MMM y", "d MMMM", "MMMM y"),
    "de": ("d. MMMM y", "d. MMM y", "d. MMMM", "MMMM y"),
    "fr": ("d MMMM y", "d MMM y", "d MMMM", "MMMM y"),
}
# A day of a known month: in German with a point, in French the first one as an ordinal.
_DAY_OF_MONTH: Final = {"de": "{}."}
_FRENCH_FIRST: Final = "1er"


def utc_time(ms: int) -> datetime:
    """Return an instant (ms) in UTC."""
    return _EPOCH + timedelta(milliseconds=ms)


class LocalFormat:
    """Formats numbers and dates for a locale, with the names of months and countries of the Unicode CLDR (Babel)."""

    def __init__(self, locale: str) -> None:
        self.locale = locale
        self._date, self._short_date, self._day, self._month = _PATTERNS[locale]

    @cached_property
    def _cldr(self) -> "Locale":
        return _cldr(self.locale)

    @cached_property
    def _marks(self) -> tuple[str, str]:
        """The signs between groups of three digits, and before fractions."""
        if self.locale == "en":
            return ",", "."  # without Babel: the dashboard is English, and starts without it
        marks = self._cldr.number_symbols["latn"]
        return marks["group"], marks["decimal"]

    def money(self, amount: Decimal, digits: int) -> str:
        """Format an amount with `digits` digits after the point: `−1,234.50`."""
        return self.group_digits(minor_text(amount, digits))

    def quantity(self, number: Decimal | str) -> str:
        """Format a number without rounding, in groups of three."""
        return self.group_digits(plain(number) if isinstance(number, Decimal) else number)

    def group_digits(self, number: str) -> str:
        """Group the digits of a decimal, and use the typographic minus."""
        group, decimal = self._marks
        sign = _MINUS if number.startswith("-") else ""
        whole, point, fraction = number.removeprefix("-").partition(".")
        first = len(whole) % 3
        groups = [whole[:first]] if first else []
        groups += [whole[at : at + 3] for at in range(first, len(whole), 3)]
        return sign + group.join(groups) + (decimal if point else "") + fraction

    def format_numbers(self, text: str) -> str:
        """Apply `group_digits` to every number in a text."""
        return _NUMBER.sub(lambda found: self.group_digits(found[0]), text)

    def rate(self, amount: Decimal | str, digits: int) -> str:
        """Format a price without rounding, with at least `digits` digits after the point."""
        text = plain(amount) if isinstance(amount, Decimal) else amount
        whole, _, fraction = text.partition(".")
        fraction = fraction.ljust(digits, "0")
        return self.group_digits(f"{whole}.{fraction}" if fraction else whole)

    def date(self, text: str) -> str:
        """Format a date such as `2026-11-30`: `30 November 2026`."""
        return self._written(_noon(text), self._date)

    def minute(self, at: datetime | int) -> str:
        """Format a local time, or an instant (ms) in UTC, for a table column: `30 Nov 2026, 09:05`."""
        at = utc_time(at) if isinstance(at, int) else at
        return f"{self._written(at, self._short_date)}, {at:%H:%M}"

    def month(self, date: str) -> str:
        """Format the month of a date: `November 2026`."""
        return self._written(_noon(date), self._month)

    def period_days(self, period: Period) -> str:
        """Format a period without its time zone: `1 – 30 November 2026`. Hours are those of UTC."""
        if period.kind == HOUR:
            start = utc_time(period.start)
            return f"{self._written(start, self._date)}, {start:%H:%M} – {utc_time(period.end):%H:%M}"
        return self.dates(period.first_day, period.last_day)

    def dates(self, first_day: str, last_day: str) -> str:
        """Format a range of local dates, including the last one: `1 – 30 November 2026`."""
        first, last = _noon(first_day), _noon(last_day)
        end = self._written(last, self._date)
        if last <= first:
            return self._written(first, self._date)
        if first.year != last.year:
            return f"{self._written(first, self._date)} – {end}"
        if first.month != last.month:
            return f"{self._written(first, self._day)} – {end}"
        day = _DAY_OF_MONTH.get(self.locale, "{}").format(first.day)
        return f"{_FRENCH_FIRST if self.locale == 'fr' and first.day == 1 else day} – {end}"

    def country(self, code: str) -> str:
        """Return the name of a country by its ISO 3166-1 code."""
        return str(self._cldr.territories.get(code, code))

    def plural(self, number: int) -> str:
        """Return which of the texts for a number applies: `one` or `other`."""
        return "one" if number == 1 or (number == 0 and self.locale == "fr") else "other"

    def _written(self, at: datetime, pattern: str) -> str:
        from babel.dates import format_datetime  # noqa: PLC0415 - only needed to write dates

        text = str(format_datetime(at, pattern, locale=self._cldr))
        is_first = self.locale == "fr" and at.day == 1 and pattern.startswith("d ")
        return text.replace("1", _FRENCH_FIRST, 1) if is_first else text


def _noon(date: str) -> datetime:
    """Return an instant of a date, to format the date alone."""
    return datetime.fromisoformat(f"{date}T12:00:00+00:00")


@cache
def _cldr(locale: str) -> "Locale":
    from babel import Locale  # noqa: PLC0415 - as above

    return Locale(locale)
