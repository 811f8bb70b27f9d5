"""Audit the rows of one invoice: their order and their amounts.

Amounts are recalculated from the frozen prices without the code that closes periods.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from msgspec import Struct, field

from witnd.audit.findings import RESTORE, Findings
from witnd.audit.invoices.lines import mark, row_content
from witnd.domain.invoices.invoice import Invoice, Row, row_id
from witnd.domain.pricing.ratecard import Price
from witnd.domain.pricing.rating import Meter, OutcomePrice, rate_at_settlement
from witnd.domain.values import instant
from witnd.domain.values.money import exact_sum, minor_text, plain

# Rows of an invoice that stay in memory for the second pass.
MAX_KEPT_ROWS: Final = 5000

_ZERO: Final = Decimal(0)
_PRICED: Final = ("price_per_unit", "amount", "amount_exact", "working")


class RowTotals(Struct, kw_only=True):
    """The totals of an invoice's rows. `totals` are units by price, `wanted` the requested rows."""

    lines: int = 0
    unrated: int = 0
    subtotal: Decimal = _ZERO
    at_settlement: Decimal = _ZERO  # the part of rows rated at settlement
    mark: int = 0
    totals: dict[str, Decimal] = field(default_factory=dict)
    wanted: dict[str, Row] = field(default_factory=dict)
    kept: list[Row] | None = field(default_factory=list)  # None if there are too many


async def count_rows(
    invoice: Invoice, lists: Sequence[AsyncIterator[list[Row]]], asked: Mapping[str, object], findings: Findings
) -> RowTotals:
    """Sum the rows of each list, and check their order."""
    row_totals = RowTotals()
    for pages in lists:
        last: tuple[int, bytes] = (0, b"")
        adjusting = False
        async for page in pages:
            for row in page:
                if row.kind == "outcome":
                    last = _check_place(invoice, row, last, findings, adjusting=adjusting)
                elif row.kind == "credit" or not invoice.closed:
                    findings.differ(f"row {row.id}", "none", f"a {row.kind}", RESTORE, key=row.outcome_key or "")
                else:
                    adjusting = True
                if row.id in asked:
                    row_totals.wanted[row.id] = row
                _add(row_totals, row)
    return row_totals


def _check_place(
    invoice: Invoice, row: Row, last: tuple[int, bytes], findings: Findings, *, adjusting: bool
) -> tuple[int, bytes]:
    at, key = row.billed_at, row.outcome_key or ""
    if not invoice.start <= at < invoice.end:
        period = f"from {instant.render(invoice.start)}, before {instant.render(invoice.end)}"
        findings.differ("row: resolved_at", period, instant.render(at), RESTORE, key=key)
    if adjusting:
        findings.differ("place of the row", "before fees, minimums and caps", "behind one", RESTORE, key=key)
    # Rows of the same instant are ordered only after the close.
    place = (at, key.encode() if invoice.closed else b"")
    if place < last:
        found = f"{instant.render(at)}, behind {instant.render(last[0])} {last[1].decode()}".rstrip()
        findings.differ("place of the row", "in order of resolved_at, then key", found, RESTORE, key=key)
    return max(place, last)


def _add(row_totals: RowTotals, row: Row) -> None:
    if row.kind == "outcome":
        row_totals.lines += 1
        row_totals.mark += mark(row_content(row))
    if row.amount is None:
        row_totals.unrated += 1
    else:
        amount = Decimal(row.amount)
        row_totals.subtotal = exact_sum((row_totals.subtotal, amount))
        if row.kind == "outcome" and row.rated == "at_settlement":
            row_totals.at_settlement = exact_sum((row_totals.at_settlement, amount))
    if row.kind == "outcome" and row.rated == "at_close":
        so_far = row_totals.totals.get(row.price_hash, _ZERO)
        row_totals.totals[row.price_hash] = exact_sum((so_far, Decimal(row.unit or 0)))
    if row_totals.kept is not None:
        row_totals.kept.append(row)
        if len(row_totals.kept) > MAX_KEPT_ROWS:
            row_totals.kept = None


class Pricing:
    """Recalculates the rows of a closed invoice: `check` each outcome in order, then `close` with the other rows.
    `subtotal` is the expected sum."""

    def __init__(
        self, invoice: Invoice, price_of: Callable[[str], Price], totals: Mapping[str, Decimal], findings: Findings
    ) -> None:
        self.subtotal = _ZERO
        self._invoice = invoice
        self._price_of = price_of
        self._totals = totals
        self._findings = findings
        self._prices: dict[str, Price | None] = {}
        self._meters: dict[str, tuple[Price, Meter]] = {}

    def check(self, row: Row) -> None:
        price = self._price(row.price_hash)
        if price is None:
            return
        unit = Decimal(row.unit or 0)
        if price.is_rated_at_close:
            if price.hash not in self._meters:
                self._meters[price.hash] = price, Meter(price, self._totals.get(price.hash, _ZERO))
            rated = self._meters[price.hash][1].add(unit)
        else:
            rated = rate_at_settlement(price, unit)
        self.subtotal = exact_sum((self.subtotal, rated.amount))
        must = _price_fields(price, rated)
        if must == tuple(getattr(row, name) for name in _PRICED):
            return
        for name, expected in zip(_PRICED, must, strict=True):
            said = getattr(row, name)
            self._findings.compare(
                f"row: {name}", _comparable(expected), _comparable(said), RESTORE, key=row.outcome_key or ""
            )

    def _price(self, digest: str) -> Price | None:
        """Return the price, or None if it is missing from the catalogue, which is reported once."""
        if digest not in self._prices:
            try:
                self._prices[digest] = self._price_of(digest)
            except KeyError:
                self._prices[digest] = None
                remedy = "restore the catalogue of this deployment; it must never lose a version"
                self._findings.differ(f"price {digest}", "in the catalogue", "unknown", remedy)
        return self._prices[digest]

    def close(self, found: Sequence[Row]) -> None:
        """Compare the rows without an outcome with the expected adjustments."""
        must = {row.id: row for row in self._adjustments()}
        self.subtotal = exact_sum((self.subtotal, *(Decimal(row.amount or 0) for row in must.values())))
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
            self._findings.differ("fees, minimums and caps", "by agent and price", "in another order", RESTORE)

    def _adjustments(self) -> list[Row]:
        rows: list[Row] = []
        for price, meter in sorted(self._meters.values(), key=lambda group: (group[0].agent, group[0].hash)):
            rows += [
                Row(
                    id=row_id(self._invoice.id, one.kind, price.hash, str(number)),
                    kind=one.kind,
                    agent_key=price.agent,
                    rate_card=price.rate_card,
                    price_hash=price.hash,
                    amount=minor_text(one.amount, price.exponent),
                    amount_exact=plain(one.exact),
                    rated="at_close",
                    working=one.working,
                )
                for number, one in enumerate(meter.close())
            ]
        return rows


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
        return f"{row.kind} of {row.amount} for agent {row.agent_key}"
    names = [name for name in row.__struct_fields__ if getattr(row, name) != getattr(other, name)]
    return ", ".join(f"{name} {_comparable(getattr(row, name))}" for name in names)
