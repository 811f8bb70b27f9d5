"""Exact decimal arithmetic and the spelling of amounts. No float comes near it.

Whether something is billed, and at which price, is left to others.
"""

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
# Far more than any price has, and few enough for products to stay well inside the precision.
LARGEST_WHOLE = 18

_SERIOUS = [InvalidOperation, DivisionByZero, Overflow, Underflow]
# A unit has at most 16 + 28 digits, a sum of them a few more, a price 30: 1000 digits lose nothing,
# and if they ever did, Inexact raises instead of rounding somebody's money in silence.
_EXACT = Context(prec=1000, traps=[*_SERIOUS, Inexact])
_ROUNDING = Context(prec=1000, rounding=ROUND_HALF_UP, traps=_SERIOUS)
_PRICE = re.compile(r"([0-9]+)(?:\.([0-9]+))?", re.ASCII)
_ZERO = Decimal(0)


@cache
def minor_digits(currency: str) -> int | None:
    """Digits after the point of an ISO 4217 code; None for an unknown one and for such as XAU.

    The answer changes with the library. Only the writer of a rate card calls this; readers use the digits that were
    stored with the card, the line, the invoice or the credit note.
    """
    try:
        digits = Currency(currency).exponent
    except ValueError:
        return None
    return None if digits is None else int(digits)


def exact(a: Decimal, b: Decimal) -> Decimal:
    """The product, without rounding."""
    return _EXACT.multiply(a, b)


def exact_sum(amounts: Iterable[Decimal]) -> Decimal:
    """The sum, without rounding; 0 of nothing."""
    total = _ZERO
    for amount in amounts:
        total = _EXACT.add(total, amount)
    return total


def plus(a: Decimal, b: Decimal) -> Decimal:
    """The sum of two, without rounding."""
    return _EXACT.add(a, b)


def difference(a: Decimal, b: Decimal) -> Decimal:
    """`a` less `b`, without rounding."""
    return _EXACT.subtract(a, b)


def begun(quantity: Decimal, size: Decimal) -> Decimal:
    """How many wholes of that size the quantity begins: one that is begun counts. Both >= 0, the size more than 0."""
    whole, rest = _EXACT.divmod(quantity, size)
    return _EXACT.add(whole, Decimal(bool(rest)))


@cache
def _minor_unit(digits: int) -> Decimal:
    return Decimal((0, (1,), -digits))


def to_minor(amount: Decimal, digits: int, rounding: str = ROUND_HALF_UP) -> Decimal:
    """The amount rounded half up (at the half away from zero) to that many digits, unless another way is asked for."""
    rounded = amount.quantize(_minor_unit(digits), rounding, context=_ROUNDING)
    return rounded if rounded else rounded.copy_abs()


def plain(amount: Decimal) -> str:
    """The one spelling of an exact number: no exponent, no needless zeros, no minus before zero."""
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
    """The amount with exactly that many digits after the point, rounded half up."""
    return format(to_minor(amount, digits), "f")


def decimal_string(text: str) -> Decimal:
    """A price: digits, perhaps a point and up to 12 digits. Raises ValueError with the reason."""
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
