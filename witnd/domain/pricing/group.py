"""Rate a group: the outcomes of one customer, currency, period, agent and grade, in order of (resolved_at, key).

A group can have outcomes under several prices: those of all versions of its entry, and of other cards and customers'
own entries. Each outcome is rated under its own price, at the position where the outcomes before it left the group.
"""

from decimal import Decimal
from typing import Final, NamedTuple

from witnd.domain.pricing.cost import Working, not_none, tiers_with_fee, units_cost
from witnd.domain.pricing.ratecard import PACKAGE, VOLUME, Price
from witnd.domain.pricing.rating import Adjustment, OutcomePrice, bound, fee
from witnd.domain.values.money import difference, plain, plus, to_minor

_ZERO: Final = Decimal(0)


class GroupKey(NamedTuple):
    """What the outcomes of a group share, within one invoice. `grade` is None for entries without a grade."""

    agent: str
    grade: str | None = None

    @classmethod
    def of(cls, price: Price) -> "GroupKey":
        """Return the group of the outcomes under a price."""
        return cls(price.agent, price.grade)

    @property
    def parts(self) -> tuple[str, str]:
        """The members as text, for ids."""
        return self.agent, self.grade or ""


class Position:
    """The units of a group so far: free ones used, and charged ones."""

    __slots__ = ("charged", "free_used")

    def __init__(self, free_used: Decimal = _ZERO, charged: Decimal = _ZERO) -> None:
        self.free_used = free_used
        self.charged = charged

    def settle(self, unit: Decimal) -> None:
        """Add an outcome that was rated at settlement. It uses no quota."""
        self.charged = plus(self.charged, unit)

    def add(self, price: Price, unit: Decimal) -> Decimal:
        """Add an outcome that is rated at close, and return how many of its units are charged."""
        quota = price.free_quota
        if quota and (left := difference(quota, self.free_used)) > 0:
            free = min(unit, left)
            self.free_used = plus(self.free_used, free)
            unit = difference(unit, free)
        self.charged = plus(self.charged, unit)
        return unit


class _RoundedSum:
    """An exact sum and its value rounded to the minor unit."""

    __slots__ = ("exact", "rounded")

    def __init__(self, exact: Decimal, digits: int) -> None:
        self.exact = exact
        self.rounded = to_minor(exact, digits)


class GroupMeter:
    """Rates one group: `settle` or `add` each outcome in order, then `close` for the group's fees and bounds.

    `charged_total`: the charged units of the whole group. The other arguments continue in the middle of a group:
    `spent` is the exact sum of what is rated at close, by the minor digits of the prices, and `runs` the charged units
    of each package, by size and price.
    """

    __slots__ = (
        "_charged_total", "_fees", "_lines", "_position", "_runs", "_settled", "_settled_exact", "_sums", "_volume",
    )  # fmt: skip

    def __init__(
        self,
        charged_total: Decimal,
        *,
        position: Position | None = None,
        spent: dict[int, Decimal] | None = None,
        runs: dict[tuple[Decimal, Decimal], Decimal] | None = None,
    ) -> None:
        self._charged_total = charged_total
        self._position = position or Position()
        self._sums = {digits: _RoundedSum(exact, digits) for digits, exact in (spent or {}).items()}
        self._runs = runs or {}
        self._settled = self._settled_exact = _ZERO
        self._lines = 0
        # By tier: the price of the first line that owes the fee, and the number of that line.
        self._fees: dict[int, tuple[int, Price]] = {}
        # The last line under a volume price.
        self._volume: tuple[int, Price] | None = None

    def settle(self, unit: Decimal, amount: Decimal, exact: Decimal) -> None:
        """Add an outcome that was rated at settlement. It keeps its amount."""
        self._position.settle(unit)
        self._settled = plus(self._settled, amount)
        self._settled_exact = plus(self._settled_exact, exact)

    def add(self, price: Price, unit: Decimal) -> OutcomePrice:
        """Rate the next outcome. Its amount is the change of the group's rounded sum, so that no minor unit is lost
        or added."""
        assert price.is_rated_at_close, price
        position, digits = self._position, price.exponent
        working: Working = {"kind": price.kind}
        if price.free_quota:
            working["free_before"] = plain(position.free_used)
        before = position.charged
        charged = position.add(price, unit)
        run = self._package_run(price, charged) if price.kind == PACKAGE else _ZERO
        each, exact, said, tiers = units_cost(price, charged, before, self._charged_total, run)
        self._lines += 1
        if price.tiers:
            self._note_fees(price, tiers)
        spent = self._sums.get(digits) or self._sum(digits)
        spent_before, rounded_before = spent.exact, spent.rounded
        spent.exact = plus(spent_before, exact)
        spent.rounded = to_minor(spent.exact, digits)
        amount = difference(spent.rounded, rounded_before)
        working |= {
            "charged_before": plain(before),
            "unit": plain(unit),
            "free": plain(difference(unit, charged)) if price.free_quota else "0",
            "charged": plain(charged),
            **said,
            "exact": plain(exact),
            "sum_before": plain(spent_before),
            "rounded": format(amount, "f"),
        }
        return OutcomePrice(each, exact, amount, working)

    def close(self, terms: Price) -> list[Adjustment]:
        """Return the fees of the tiers, in their order, then the adjustment to the minimum or cap of `terms`."""
        found: list[Adjustment] = []
        charged = self._position.charged
        for number, price in self._due_fees(charged):
            spent = self._sum(price.exponent)
            one = fee(price, number, charged, spent.exact)
            spent.exact = plus(spent.exact, one.exact)
            spent.rounded = plus(spent.rounded, one.amount)
            found.append(one)
        exact, total = self._settled_exact, self._settled
        for spent in self._sums.values():
            exact, total = plus(exact, spent.exact), plus(total, spent.rounded)
        bounded = bound(terms, exact, total)
        return found if bounded is None else [*found, bounded]

    def _sum(self, digits: int) -> _RoundedSum:
        """Return the running sum of amounts with this many digits. All prices of a currency have the same, unless ISO
        4217 changed it between two cards."""
        found = self._sums.get(digits)
        if found is None:
            found = self._sums[digits] = _RoundedSum(_ZERO, digits)
        return found

    def _package_run(self, price: Price, charged: Decimal) -> Decimal:
        """Return the charged units so far under the same package terms, and add these."""
        package = not_none(price.package_size), not_none(price.price_per_package)
        before = self._runs.get(package, _ZERO)
        self._runs[package] = plus(before, charged)
        return before

    def _note_fees(self, price: Price, tiers: tuple[int, ...]) -> None:
        """Note which tier fees the newest line owes."""
        if price.kind == VOLUME:
            self._volume = self._lines, price
            return
        for number in tiers:
            if number not in self._fees and price.tiers[number - 1].flat_fee:
                self._fees[number] = self._lines, price

    def _due_fees(self, charged: Decimal) -> list[tuple[int, Price]]:
        """Return the tiers whose fee is due, in order, each with the price of the first line that owes it."""
        owed = dict(self._fees)
        if self._volume is not None:
            for number in tiers_with_fee(self._volume[1], charged):
                owed[number] = min(owed.get(number, self._volume), self._volume, key=lambda one: one[0])
        return [(number, price) for number, (_, price) in sorted(owed.items())]
