"""How invoices speak to people, in English: amounts, quantities, days, periods and prices. What is shown where is left
to the pages."""

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
    """With so many digits after the point and groups of three: `−1,234.50`."""
    return grouped(minor_text(amount, digits))


def quantity(text: Decimal | str) -> str:
    """A number as exact as it is, in groups of three."""
    return grouped(plain(text) if isinstance(text, Decimal) else text)


def grouped(number: str) -> str:
    """A plain decimal with commas between groups of three digits, and the minus that is as wide as a digit."""
    sign = _MINUS if number.startswith("-") else ""
    whole, point, fraction = number.removeprefix("-").partition(".")
    first = len(whole) % 3
    groups = [whole[:first]] if first else []
    groups += [whole[at : at + 3] for at in range(first, len(whole), 3)]
    return sign + ",".join(groups) + point + fraction


def numbers(text: str) -> str:
    """The text with each number in groups of three, and with the minus that is as wide as a digit."""
    return _NUMBER.sub(lambda found: grouped(found[0]), text)


def day(ms: int) -> str:
    """`30 November 2026`."""
    return _written(_moment(ms))


def minute(ms: int) -> str:
    """`30 Nov 2026, 09:05`: short enough for a column, as a table of outcomes has one."""
    at = _moment(ms)
    return f"{at.day} {_MONTHS[at.month - 1][:3]} {at.year}, {at:%H:%M}"


def period(invoice: Invoice) -> str:
    """The days of its period, the last one included: `1 – 30 November 2026 (UTC)`."""
    return days(invoice.start, invoice.end)


def days(start: int, after: int) -> str:
    """Periods begin and end at midnight, so the last day is the one before the end, which itself is not in it."""
    first, last = _moment(start), _moment(after) - _DAY
    end = _written(last)
    if last <= first:
        return f"{_written(first)} (UTC)"
    if first.year != last.year:
        return f"{_written(first)} – {end} (UTC)"
    if first.month != last.month:
        return f"{first.day} {_MONTHS[first.month - 1]} – {end} (UTC)"
    return f"{first.day} – {end} (UTC)"


def _moment(ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=ms)


def _written(at: datetime) -> str:
    return f"{at.day} {_MONTHS[at.month - 1]} {at.year}"


def visible(text: str) -> str:
    """Text that others chose, with signs for the characters that a page cannot show."""
    return "".join([_visible(one) for one in text]) if not text.isprintable() else text


def _visible(one: str) -> str:
    code = ord(one)
    if code < _SPACE:
        return chr(_CONTROL_PICTURES + code)
    return "\N{SYMBOL FOR DELETE}" if code == _DELETE else one


def count(number: int, noun: str) -> str:
    return f"{grouped(str(number))} {noun}" + ("" if number == 1 else "s")


def rate(amount: Decimal | str, digits: int) -> str:
    """A price: as exact as it is, and with so many digits after the point at least."""
    text = plain(amount) if isinstance(amount, Decimal) else amount
    whole, _, fraction = text.partition(".")
    fraction = fraction.ljust(digits, "0")
    return grouped(f"{whole}.{fraction}" if fraction else whole)


def unit_price(price: Price) -> str:
    """What stands in the column of unit prices; prices of several steps have words only."""
    if price.kind == FLAT and price.price_per_unit is not None:
        return rate(price.price_per_unit, price.exponent)
    if price.kind == PERCENTAGE and price.percent is not None:
        return f"{quantity(price.percent)} %"
    if price.kind == PACKAGE and price.package_size is not None and price.price_per_package is not None:
        return f"{rate(price.price_per_package, price.exponent)} per {quantity(price.package_size)}"
    assert price.kind in (GRADUATED, VOLUME), price
    return "by tier"


def price_lines(price: Price) -> list[str]:
    """What was agreed, one line each; a plain price per unit needs none. For whoever pays, who may never have seen a
    rate card: `working.spoken` is for whoever writes them."""
    return [*_kind_lines(price), *_options(price)]


def _kind_lines(price: Price) -> Iterator[str]:
    if price.kind in (GRADUATED, VOLUME):
        yield _tiers(price)
    elif price.kind == PACKAGE and price.package_size is not None and price.price_per_package is not None:
        each, size = rate(price.price_per_package, price.exponent), quantity(price.package_size)
        yield f"{each} for each package of {size} that is begun"
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


def _options(price: Price) -> Iterator[str]:
    if price.free_quota:
        yield f"The first {quantity(price.free_quota)} of the period are free"
    if price.period_minimum:
        yield f"At least {rate(price.period_minimum, price.exponent)} for the period"
    if price.period_cap is not None:
        yield f"At most {rate(price.period_cap, price.exponent)} for the period"
