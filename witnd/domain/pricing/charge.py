"""What recurring fees and a commitment come to in one period, each with its working."""

from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from itertools import groupby
from typing import Final, Literal, NamedTuple, TypeAlias

from witnd.domain.pricing.cost import Working
from witnd.domain.values.money import difference, exact_sum, plain, product, quotient, to_minor

ChargeKind: TypeAlias = Literal["recurring", "commitment", "commitment_cap"]
# Digits of the exact amount of a part of a period, which can be endless.
QUOTIENT_DIGITS: Final = 12


class PeriodAmount(NamedTuple):
    """An amount for a period. `exact` is not rounded, of a part of the period to 12 digits. `working`: how the parts
    add up, empty for a full period."""

    amount: Decimal
    exact: Decimal
    working: Working


class FeeCharge(NamedTuple):
    """A recurring fee for a period. `tax`: the key of its tax, None for the customer's."""

    key: str
    name: str
    card: str
    amount: PeriodAmount
    tax: str | None = None


class CommitmentCharge(NamedTuple):
    """The least and the most that the outcomes of a period cost. `tax`: the key of its tax, None for the
    customer's."""

    card: str
    minimum: PeriodAmount
    cap: Decimal | None
    tax: str | None = None


class PeriodCharges(NamedTuple):
    """The fees in order of their keys, and the commitment, in one currency. `card`: the last one of the period."""

    card: str
    currency: str
    digits: int
    fees: tuple[FeeCharge, ...]
    commitment: CommitmentCharge | None

    @property
    def is_due(self) -> bool:
        """Whether the customer owes something without any outcome."""
        return bool(self.fees) or (self.commitment is not None and bool(self.commitment.minimum.amount))


class Charge(NamedTuple):
    """A row of an invoice that no agent causes. Caps are negative. `tax`: the key of the fee's or commitment's tax,
    None for the customer's."""

    kind: ChargeKind
    key: str  # of the fee; empty for a commitment
    card: str
    exact: Decimal
    amount: Decimal
    working: Working
    tax: str | None = None


def full(amount: Decimal, digits: int, *, is_minimum: bool = False) -> PeriodAmount:
    """Return the amount of a full period. A minimum that is finer than the minor unit is rounded up."""
    rounded = to_minor(amount, digits, ROUND_CEILING) if is_minimum else to_minor(amount, digits)
    return PeriodAmount(rounded, amount, {})


def prorated(days: Sequence[Decimal], natural: int, digits: int) -> PeriodAmount:
    """Return the sum of the amounts of all days, divided by the days of the natural period and rounded once."""
    runs = [(amount, len(list(same))) for amount, same in groupby(days)]
    total = exact_sum(product(amount, Decimal(count)) for amount, count in runs)
    parts = [{"days": str(count), "amount": plain(amount)} for amount, count in runs if amount]
    exact = quotient(total, natural, QUOTIENT_DIGITS)
    return PeriodAmount(quotient(total, natural, digits), exact, {"days": str(natural), "parts": parts})


def charges(terms: PeriodCharges, total: Decimal) -> list[Charge]:
    """Return the fees, then the adjustment to the commitment. `total`: the sum of all outcomes and their adjustments.

    A cap that is finer than the minor unit is rounded down. If it is below the minimum, it wins.
    """
    found = [
        _charge("recurring", fee.key, fee.card, fee.amount, {"fee": fee.key, "name": fee.name}, fee.tax)
        for fee in terms.fees
    ]
    if terms.commitment is None:
        return found
    minimum, cap = terms.commitment.minimum, terms.commitment.cap
    target = max(total, minimum.amount)
    if cap is not None:
        target = min(target, to_minor(cap, terms.digits, ROUND_FLOOR))
    if target == total:
        return found
    amount = difference(target, total)
    kind: ChargeKind = "commitment" if amount > 0 else "commitment_cap"
    said: Working = {"period_minimum": plain(minimum.exact), **minimum.working}
    if kind == "commitment_cap":
        assert cap is not None
        said = {"period_cap": plain(cap)}
    said["total_before"] = format(total, "f")
    change = PeriodAmount(amount, amount, {})
    return [*found, _charge(kind, "", terms.commitment.card, change, said, terms.commitment.tax)]


def _charge(kind: ChargeKind, key: str, card: str, one: PeriodAmount, said: Working, tax: str | None) -> Charge:
    working = {"kind": kind, **said, **one.working, "exact": plain(one.exact), "rounded": format(one.amount, "f")}
    return Charge(kind, key, card, one.exact, one.amount, working, tax)
