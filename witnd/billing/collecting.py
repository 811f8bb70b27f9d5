"""Assign lines to drafts and add them: a fold over the lines of all partitions."""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from msgspec import UNSET
from msgspec.structs import replace

from witnd.domain.invoices.invoice import Invoice, Row, empty_invoice, invoice_id
from witnd.domain.outcomes.resolution import Line
from witnd.domain.values import instant, money
from witnd.domain.values.period import Calendar, Period
from witnd.store.errors import Unsafe
from witnd.store.invoices.ledger import NewLine

# Ids are digests, and lines of a customer are frequent. A month of a large deployment fits.
MAX_CACHED_IDS = 100_000


class InvoiceFinder:
    """Finds the invoice of a line: customer, currency and the period it resolved in."""

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar
        self._period: Period | None = None
        self._ids: dict[tuple[str, str], str] = {}

    def find(self, customer_key: str, currency: str, billed_at: int) -> tuple[str, Period]:
        period = self._period
        if period is None or billed_at not in period:
            period = self._period = self._calendar.period_at(billed_at)
            self._ids.clear()
        id_ = self._ids.get((customer_key, currency))
        if id_ is None:
            if len(self._ids) >= MAX_CACHED_IDS:
                self._ids.clear()
            id_ = self._ids[customer_key, currency] = invoice_id(customer_key, currency, period)
        return id_, period


class AssignedLine:
    """A line with its invoice and row.

    The line of an outcome that was on hold at its deadline belongs to the period of its repair, because the period of
    its deadline may be closed. Its row keeps `resolved_at`.
    """

    __slots__ = ("invoice", "line", "new", "period", "resolved_at")

    def __init__(self, new: NewLine, line: Line, finder: InvoiceFinder) -> None:
        self.new = new
        self.line = line
        self.resolved_at = instant.parse(line.resolved_at)
        self.invoice, self.period = finder.find(line.customer_key, line.currency, line.billed_at)


def collect(
    assigned: Iterable[AssignedLine], heads: Mapping[str, Invoice], closed_to: int
) -> tuple[dict[str, Invoice], dict[tuple[str, int], list[Row]]]:
    """Return the heads after the lines, and the new rows by (invoice, partition).

    Raises `Unsafe` for a line of a closed period. Lines come in the order of resolution, so this only happens with
    changed or restored data.
    """
    gained: dict[str, tuple[AssignedLine, int, int, Decimal, int]] = {}
    rows: dict[tuple[str, int], list[Row]] = {}
    for one in assigned:
        line, id_ = one.line, one.invoice
        if one.period.end <= closed_to or ((head := heads.get(id_)) is not None and head.closed):
            raise Unsafe(
                f"line {line.id} of outcome {line.outcome_key!r} belongs to a period that is closed already",
                "restore the newer data, or run `witnd audit` to see what is wrong",
            )
        _, lines, unrated, sum_, digits = gained.get(id_) or (one, 0, 0, Decimal(0), 0)
        if line.amount is None:
            unrated += 1
        else:
            sum_ = money.exact_sum((sum_, Decimal(line.amount)))
        gained[id_] = (one, lines + 1, unrated, sum_, max(digits, line.digits))
        rows.setdefault((id_, one.new.partition), []).append(line_row(one))
    return {id_: _updated_head(heads.get(id_), *gain) for id_, gain in gained.items()}, rows


def _updated_head(
    head: Invoice | None, one: AssignedLine, lines: int, unrated: int, sum_: Decimal, digits: int
) -> Invoice:
    if head is None:
        head = empty_invoice(one.line.customer_key, one.line.currency, digits, one.period)
    return replace(
        head,
        lines=head.lines + lines,
        unrated=head.unrated + unrated,
        digits=max(head.digits, digits),
        subtotal=money.exact_sum((head.subtotal, sum_)),
    )


def line_row(one: AssignedLine) -> Row:
    line = one.line
    return Row(
        id=line.id,
        kind="outcome",
        agent_key=line.agent_key,
        rate_card=line.rate_card,
        price_hash=line.price_hash,
        amount=line.amount,
        amount_exact=line.amount_exact,
        rated=line.rated,
        price_per_unit=line.price_per_unit,
        outcome_key=line.outcome_key,
        resolved_at=one.resolved_at,
        contract_hash=line.contract_hash,
        unit=line.unit,
        working=line.working or None,
        repaired_at=None if line.repaired_at is UNSET else instant.parse(line.repaired_at),
        grade=line.grade,
    )
