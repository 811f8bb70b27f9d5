"""English texts of invoices: amounts, quantities, dates, periods and prices."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from witnd.domain.invoices.invoice import Invoice
from witnd.domain.pricing.ratecard import FLAT, GRADUATED, PACKAGE, PERCENTAGE, VOLUME, Price
from witnd.domain.values.money import minor_text, plain

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY: Final = timedelta(days=1)
_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_NUMBER: Final = re.compile(r"(?<![\w.])-?[0-9]+(?:\.[0-9]+)?", re.ASCII)
_MINUS: Final = "\N{MINUS SIGN}"
_CONTROL_PICTURES: Final = 0x2400
_DELETE: Final = 0x7F
_SPACE: Final = 0x20


def money(amount: Decimal, digits: int) -> str:
    """Format an amount with `digits` digits after the point: `−1,234.50`."""
    return group_digits(minor_text(amount, digits))


def quantity(text: Decimal | str) -> str:
    """Format a number without rounding, in groups of three."""
    return group_digits(plain(text) if isinstance(text, Decimal) else text)


def group_digits(number: str) -> str:
    """Group the digits of a decimal with commas, and use the typographic minus."""
    sign = _MINUS if number.startswith("-") else ""
    whole, point, fraction = number.removeprefix("-").partition(".")
    first = len(whole) % 3
    groups = [whole[:first]] if first else []
    groups += [whole[at : at + 3] for at in range(first, len(whole), 3)]
    return sign + ",".join(groups) + point + fraction


def format_numbers(text: str) -> str:
    """Apply `group_digits` to every number in a text."""
    return _NUMBER.sub(lambda found: group_digits(found[0]), text)


def day(ms: int) -> str:
    """Format a date: `30 November 2026`."""
    return _date_text(_datetime(ms))


def date(text: str) -> str:
    """Format a date such as `2026-11-30`: `30 November 2026`."""
    year, month, day_ = map(int, text.split("-"))
    return f"{day_} {_MONTHS[month - 1]} {year}"


def minute(ms: int) -> str:
    """Format an instant for a table column: `30 Nov 2026, 09:05`."""
    at = _datetime(ms)
    return f"{at.day} {_MONTHS[at.month - 1][:3]} {at.year}, {at:%H:%M}"


def period(invoice: Invoice) -> str:
    """Format the period of an invoice, including its last day: `1 – 30 November 2026 (UTC)`."""
    return days(invoice.start, invoice.end)


def days(start: int, after: int) -> str:
    """Format a range of days, without the day that starts at `after`."""
    return f"{dates(start, after)} (UTC)"


def month(ms: int) -> str:
    """Format a month: `November 2026`."""
    return f"{_MONTHS[_datetime(ms).month - 1]} {_datetime(ms).year}"


def dates(start: int, after: int) -> str:
    """Format a range of days where it is clear that they are those of UTC."""
    first, last = _datetime(start), _datetime(after) - _DAY
    end = _date_text(last)
    if last <= first:
        return _date_text(first)
    if first.year != last.year:
        return f"{_date_text(first)} – {end}"
    if first.month != last.month:
        return f"{first.day} {_MONTHS[first.month - 1]} – {end}"
    return f"{first.day} – {end}"


def _datetime(ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=ms)


def _date_text(at: datetime) -> str:
    return f"{at.day} {_MONTHS[at.month - 1]} {at.year}"


def show_control_characters(text: str) -> str:
    """Replace control characters of free text with visible symbols."""
    return "".join([_control_picture(one) for one in text]) if not text.isprintable() else text


def _control_picture(one: str) -> str:
    code = ord(one)
    if code < _SPACE:
        return chr(_CONTROL_PICTURES + code)
    return "\N{SYMBOL FOR DELETE}" if code == _DELETE else one


def count(number: int, noun: str) -> str:
    return f"{group_digits(str(number))} {noun}" + ("" if number == 1 else "s")


def rate(amount: Decimal | str, digits: int) -> str:
    """Format a price without rounding, with at least `digits` digits after the point."""
    text = plain(amount) if isinstance(amount, Decimal) else amount
    whole, _, fraction = text.partition(".")
    fraction = fraction.ljust(digits, "0")
    return group_digits(f"{whole}.{fraction}" if fraction else whole)


def unit_price(price: Price) -> str:
    """Return the text of the unit price column; empty for prices without a unit price."""
    if price.kind == FLAT and price.price_per_unit is not None:
        return rate(price.price_per_unit, price.exponent)
    if price.kind == PERCENTAGE and price.percent is not None:
        return f"{quantity(price.percent)} %"
    if price.kind == PACKAGE and price.package_size is not None and price.price_per_package is not None:
        return f"{rate(price.price_per_package, price.exponent)} per {quantity(price.package_size)}"
    assert price.kind in (GRADUATED, VOLUME), price
    return "by tier"


def price_lines(price: Price) -> list[str]:
    """Describe a price to a customer, one line per term; empty for a flat price. `working.price_text` is for
    operators."""
    return [*usage_lines(price), *period_lines(price)]


def usage_lines(price: Price) -> list[str]:
    """Return the lines on what outcomes cost."""
    quota = [f"The first {quantity(price.free_quota)} of the period are free"] if price.free_quota else []
    return [*_kind_lines(price), *quota]


def period_lines(price: Price) -> list[str]:
    """Return the lines on the bounds of the period."""
    found = [f"At least {rate(price.period_minimum, price.exponent)} for the period"] if price.period_minimum else []
    if price.period_cap is not None:
        found.append(f"At most {rate(price.period_cap, price.exponent)} for the period")
    return found


def _kind_lines(price: Price) -> Iterator[str]:
    if price.kind in (GRADUATED, VOLUME):
        yield _tiers(price)
    elif price.kind == PACKAGE and price.package_size is not None and price.price_per_package is not None:
        each, size = rate(price.price_per_package, price.exponent), quantity(price.package_size)
        yield f"{each} for each started package of {size}"
    elif price.kind == PERCENTAGE and price.percent is not None:
        bounds = [f"at least {rate(price.minimum, price.exponent)}"] if price.minimum else []
        bounds += [f"at most {rate(price.maximum, price.exponent)}"] if price.maximum is not None else []
        per_outcome = ", " + " and ".join(bounds) + " per outcome" if bounds else ""
        yield f"{quantity(price.percent)} % of each quantity{per_outcome}"


def _tiers(price: Price) -> str:
    steps = []
    for number, tier in enumerate(price.tiers):
        reach = "first" if number == 0 and price.kind == GRADUATED else "up to"
        where = f"{reach} {quantity(tier.up_to)}" if tier.up_to is not None else ("all" if number == 0 else "above")
        fee = f" plus {rate(tier.flat_fee, price.exponent)}" if tier.flat_fee else ""
        steps.append(f"{where} at {rate(tier.price_per_unit, price.exponent)}{fee}")
    manner = "Each unit at the price of its tier" if price.kind == GRADUATED else "All units at the price of the total"
    return f"{manner}: {', '.join(steps)}"
