"""Audit the amounts of a closed invoice: recalculate them from the catalogue, without the code that closes periods."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final

from witnd.audit.findings import RESTORE, Findings
from witnd.domain.invoices.invoice import Invoice, Row, adjustment_row, charge_row, edition_id
from witnd.domain.pricing.charge import PeriodCharges, charges
from witnd.domain.pricing.group import GroupKey, GroupMeter, Position
from witnd.domain.pricing.ratecard import Price
from witnd.domain.pricing.rating import OutcomePrice, rate_at_settlement
from witnd.domain.values import instant
from witnd.domain.values.money import exact_sum, minor_text, plain

_ZERO: Final = Decimal(0)
_PRICED: Final = ("price_per_unit", "amount", "amount_exact", "working")


class Prices:
    """The prices of the catalogue by hash, the price of a group in effect at the end of a period, and the fees and
    commitment of an invoice."""

    def __init__(
        self,
        price_of: Callable[[str], Price],
        terms_of: Callable[[Invoice, GroupKey], Price | None],
        charges_of: Callable[[Invoice], PeriodCharges | None],
    ) -> None:
        self.terms_of = terms_of
        self.charges_of = charges_of
        self._price_of = price_of

    def find(self, digest: str | None) -> Price | None:
        """Return a price, or None if it is missing from the catalogue."""
        try:
            return None if digest is None else self._price_of(digest)
        except KeyError:
            return None


class GroupUnits:
    """Counts the charged units of each group: `add` each row in order."""

    def __init__(self, prices: Prices) -> None:
        self._prices = prices
        self._positions: dict[GroupKey, Position] = {}

    def add(self, row: Row) -> None:
        price = self._prices.find(row.price_hash) if row.kind == "outcome" else None
        if price is None or row.reversed_at is not None:
            return
        position = self._positions.setdefault(GroupKey.of(price), Position())
        if price.is_rated_at_close:
            position.add(price, _unit(row))
        else:
            position.settle(_unit(row))

    def charged(self, group: GroupKey) -> Decimal:
        position = self._positions.get(group)
        return _ZERO if position is None else position.charged


class Pricing:
    """Recalculates the rows of a closed invoice: `check` each outcome in order, then `close` with the other rows.
    `subtotal` is the expected sum."""

    def __init__(self, invoice: Invoice, prices: Prices, units: GroupUnits, findings: Findings) -> None:
        self.subtotal = _ZERO
        self._counted = _ZERO  # without reversed rows that were rated at settlement, on which no commitment acts
        self._invoice = invoice
        self._prices = prices
        self._units = units
        self._findings = findings
        self._unknown: set[str] = set()
        # With the price of the last outcome, which decides if no entry is in effect at the end of the period.
        self._meters: dict[GroupKey, tuple[GroupMeter, Price]] = {}

    def check(self, row: Row) -> None:
        price = self._price(row.price_hash)
        if price is None:
            return
        group, unit = GroupKey.of(price), _unit(row)
        meter, _ = self._meters.get(group) or (GroupMeter(self._units.charged(group)), price)
        self._meters[group] = meter, price
        if price.is_rated_at_close:
            # The price of a reversed outcome can be the last one of its group.
            rated = meter.add(price, unit if row.reversed_at is None else _ZERO)
            rated = rated if row.reversed_at is None else _reversed(price, row)
        else:
            rated = rate_at_settlement(price, unit)
            if row.reversed_at is None:
                meter.settle(unit, rated.amount, rated.exact)
        if price.is_rated_at_close or row.reversed_at is None:
            self._counted = exact_sum((self._counted, rated.amount))
        self.subtotal = exact_sum((self.subtotal, rated.amount))
        must = _price_fields(price, rated)
        if must == tuple(getattr(row, name) for name in _PRICED):
            return
        for name, expected in zip(_PRICED, must, strict=True):
            said = getattr(row, name)
            self._findings.compare(
                f"row: {name}", _comparable(expected), _comparable(said), RESTORE, key=row.outcome_key or ""
            )

    def _price(self, digest: str | None) -> Price | None:
        """Return the price, or None if it is missing from the catalogue, which is reported once."""
        found = self._prices.find(digest)
        if found is None and digest is not None and digest not in self._unknown:
            self._unknown.add(digest)
            remedy = "restore the catalogue of this deployment; it must never lose a version"
            self._findings.differ(f"price {digest}", "in the catalogue", "unknown", remedy)
        return found

    def close(self, found: Sequence[Row]) -> None:
        """Compare the rows without an outcome with the expected adjustments."""
        must = {row.id: row for row in self._adjustments()}
        self.subtotal = exact_sum((self.subtotal, *(Decimal(row.amount or 0) for row in must.values())))
        if (due := self._prices.charges_of(self._invoice)) is not None:
            more = charges(due, exact_sum((self._counted, *(Decimal(row.amount or 0) for row in must.values()))))
            must |= {row.id: row for row in [charge_row(edition_id(self._invoice, 1), one) for one in more]}
            self.subtotal = exact_sum((self.subtotal, *(one.amount for one in more)))
        stored: dict[str, Row] = {}
        for row in found:
            if row.id in stored:
                self._findings.differ(f"row {row.id} ({row.kind})", "once", "again", RESTORE)
            stored[row.id] = row
        for id_ in dict.fromkeys((*must, *stored)):
            expected, there = must.get(id_), stored.get(id_)
            if expected != there:
                self._findings.differ(f"row {id_}", _row_text(expected, there), _row_text(there, expected), RESTORE)
        if must == stored and list(must) != list(stored):
            self._findings.differ(
                "fees, minimums and caps", "by agent, fees by tier, then recurring fees", "in another order", RESTORE
            )

    def _adjustments(self) -> list[Row]:
        rows: list[Row] = []
        for group, (meter, last) in sorted(self._meters.items(), key=lambda item: item[0].parts):
            terms = self._prices.terms_of(self._invoice, group) or last
            rows += [adjustment_row(edition_id(self._invoice, 1), group, one) for one in meter.close(terms)]
        return rows


def _unit(row: Row) -> Decimal:
    return Decimal(row.unit or 0)


def _reversed(price: Price, row: Row) -> OutcomePrice:
    """Return the price of an outcome that was reversed within its period."""
    zero = minor_text(_ZERO, price.exponent)
    working = {"kind": "reversed", "reversed_at": instant.render(row.reversed_at or 0), "unit": row.unit}
    return OutcomePrice(None, _ZERO, Decimal(zero), working | {"exact": "0", "rounded": zero})


def _price_fields(price: Price, rated: OutcomePrice) -> tuple[Any, ...]:
    each = None if rated.price_per_unit is None else plain(rated.price_per_unit)
    return each, minor_text(rated.amount, price.exponent), plain(rated.exact), rated.working


def _comparable(value: object) -> object:
    return "none" if value is None else value


def _row_text(row: Row | None, other: Row | None) -> str:
    """Return a row as text, limited to the fields that differ from the other."""
    if row is None:
        return "none"
    if other is None or (row.kind, row.amount) != (other.kind, other.amount):
        of = "" if row.agent_key is None else f" for agent {row.agent_key}"
        return f"{row.kind} of {row.amount}{of}"
    names = [name for name in row.__struct_fields__ if getattr(row, name) != getattr(other, name)]
    return ", ".join(f"{name} {_comparable(getattr(row, name))}" for name in names)
