"""The billing unit: the quantity of an outcome, computed from the attributions of its events.

The tally is the state between events: None or (order, quantity). `order` is the event's `timestamp`, or the instant of
its acceptance (ms). Log order decides between equal ones.
"""

from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import TypeAlias

Tally: TypeAlias = tuple[int, Decimal] | None

METHODS = ("first", "last", "min", "max", "sum")
ONE = Decimal(1)
ZERO = Decimal(0)
# Doubles between 1e-12 and 1e15 have at most 17 digits, so a sum of 10^9 of them needs less than 60 digits.
_EXACT = Context(prec=120, traps=[Inexact, InvalidOperation])


def update_tally(method: str, tally: Tally, order: int, quantity: Decimal) -> Tally:
    """Return the tally after an event with a numeric attribution."""
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
    """Return the billed quantity of a confirmed outcome: 1 without attributions, never below 0."""
    if tally is None:
        return ONE
    return tally[1] if tally[1] > 0 else ZERO
