"""Exact decimal arithmetic and the text form of amounts, without floats."""

import re
from collections.abc import Iterable
from decimal import (
    ROUND_HALF_UP,
    Context,
    Decimal,
    DivisionByZero,
    Inexact,
    InvalidOperation,
    Overflow,
    Underflow,
)
from functools import cache

from iso4217 import Currency

LARGEST_SCALE = 12
# More than any price has, and few enough for products to stay well inside the precision.
LARGEST_WHOLE = 18

_SERIOUS = [InvalidOperation, DivisionByZero, Overflow, Underflow]
# A unit has at most 16 + 28 digits, a sum of them a few more, a price 30, so 1000 digits lose nothing. If they did,
# Inexact raises instead of rounding silently.
_EXACT = Context(prec=1000, traps=[*_SERIOUS, Inexact])
_ROUNDING = Context(prec=1000, rounding=ROUND_HALF_UP, traps=_SERIOUS)
_PRICE = re.compile(r"([0-9]+)(?:\.([0-9]+))?", re.ASCII)
_ZERO = Decimal(0)


@cache
def minor_digits(currency: str) -> int | None:
    """Return the minor digits of an ISO 4217 code, or None for unknown codes and those without a minor unit (XAU).

    The result changes with the library. Only code that writes a rate card calls this; readers use the digits stored
    with the card, line, invoice or credit note.
    """
    try:
        digits = Currency(currency).exponent
    except ValueError:
        return None
    return None if digits is None else int(digits)


def product(a: Decimal, b: Decimal) -> Decimal:
    """Return the exact product."""
    return _EXACT.multiply(a, b)


def exact_sum(amounts: Iterable[Decimal]) -> Decimal:
    """Return the exact sum; 0 for no amounts."""
    total = _ZERO
    for amount in amounts:
        total = _EXACT.add(total, amount)
    return total


def plus(a: Decimal, b: Decimal) -> Decimal:
    """Return the exact sum of two amounts."""
    return _EXACT.add(a, b)


def difference(a: Decimal, b: Decimal) -> Decimal:
    """Return `a` minus `b`, exactly."""
    return _EXACT.subtract(a, b)


def ceil_div(quantity: Decimal, size: Decimal) -> Decimal:
    """Return quantity / size rounded up. The quantity must be at least 0, the size above 0."""
    whole, rest = _EXACT.divmod(quantity, size)
    return _EXACT.add(whole, Decimal(bool(rest)))


def quotient(amount: Decimal, divisor: int, digits: int) -> Decimal:
    """Return amount / divisor, rounded half up to `digits` digits. The amount must be at least 0."""
    unit = _minor_unit(digits)
    step = product(Decimal(divisor), unit)
    half_up = plus(product(amount, Decimal(2)), step)
    return product(_EXACT.divide_int(half_up, product(step, Decimal(2))), unit)


@cache
def _minor_unit(digits: int) -> Decimal:
    return Decimal((0, (1,), -digits))


def to_minor(amount: Decimal, digits: int, rounding: str = ROUND_HALF_UP) -> Decimal:
    """Round the amount to `digits` digits, by default half up (halves away from zero)."""
    rounded = amount.quantize(_minor_unit(digits), rounding, context=_ROUNDING)
    return rounded if rounded else rounded.copy_abs()


def plain(amount: Decimal) -> str:
    """Return the canonical text of an exact number: no exponent, no trailing zeros, no negative zero."""
    text = str(amount)
    if text.isdigit():
        return text
    if "E" in text or not amount.is_finite():
        if not amount.is_finite():
            raise ValueError(f"{amount} is not a finite number")
        text = format(amount, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text if amount else "0"


def minor_text(amount: Decimal, digits: int) -> str:
    """Return the amount as text with exactly `digits` digits after the point, rounded half up."""
    return format(to_minor(amount, digits), "f")


def decimal_string(text: str) -> Decimal:
    """Parse a price: digits, optionally a point and up to 12 digits. Raises ValueError with the reason."""
    form = _PRICE.fullmatch(text)
    if form is None:
        if text.startswith("-") and _PRICE.fullmatch(text[1:]):
            raise ValueError("must not be negative; write 0 for something free")
        raise ValueError('must be a plain decimal number such as "0.99": digits, one point, digits')
    whole, fraction = form.groups(default="")
    if len(fraction) > LARGEST_SCALE:
        raise ValueError(f"has more than {LARGEST_SCALE} digits after the point; shorten it")
    if len(whole.lstrip("0")) > LARGEST_WHOLE:
        raise ValueError(f"has more than {LARGEST_WHOLE} digits before the point; shorten it")
    return Decimal(text)
