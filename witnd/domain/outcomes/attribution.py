"""The billing unit: how the quantity of an outcome is taken from its events (contract section 6).

The tally is what has to be remembered between events: nothing, or (order, quantity). `order` is the instant that an
event's own `timestamp` or its acceptance gives it; events of equal order count in the order of the log.
"""

from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import TypeAlias

Tally: TypeAlias = tuple[int, Decimal] | None

METHODS = ("first", "last", "min", "max", "sum")
ONE = Decimal(1)
ZERO = Decimal(0)
# Doubles between 1e-12 and 1e15 have at most 17 digits, so a sum of 10^9 of them needs less than 60; never rounded.
_EXACT = Context(prec=120, traps=[Inexact, InvalidOperation])


def update_tally(method: str, tally: Tally, order: int, quantity: Decimal) -> Tally:
    """The tally after one more event that carries a numeric attribution."""
    if tally is None:
        return (order, quantity)
    before, so_far = tally
    if method == "last":
        return (order, quantity) if order >= before else tally
    if method == "first":
        return (order, quantity) if order < before else tally
    if method == "sum":
        return (order, _EXACT.add(so_far, quantity))
    if method == "min":
        return (order, quantity) if quantity < so_far else tally
    return (order, quantity) if quantity > so_far else tally


def unit(tally: Tally) -> Decimal:
    """The quantity a confirmed outcome is billed for: 1 without any attribution, never below 0."""
    if tally is None:
        return ONE
    return tally[1] if tally[1] > 0 else ZERO
