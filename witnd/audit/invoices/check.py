"""Audit one invoice: its head, rows and credits against its lines."""

from collections.abc import AsyncIterator, Callable, Sequence
from decimal import Decimal
from typing import Final, NamedTuple
from zlib import crc32

from msgspec import Struct

from witnd.audit.findings import RESTORE, Findings, command_remedy, parse_row
from witnd.audit.invoices.balances import check_payments
from witnd.audit.invoices.credits import InvoiceCredits, check_credited_rows, check_credits
from witnd.audit.invoices.heads import check_head, check_references
from witnd.audit.invoices.lines import CONTENT, Content, LineStreams, Positions, StreamLine, line_content, row_content
from witnd.audit.invoices.pricing import GroupUnits, Prices, Pricing
from witnd.audit.invoices.reversals import check_reversals, read_reversals
from witnd.audit.invoices.rows import RowTotals, count_rows
from witnd.audit.invoices.snapshot import InvoiceSnapshot
from witnd.audit.invoices.tax.checks import TaxPoint, check_taxes
from witnd.audit.invoices.tax.recompute import RowTaxes
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.invoices.invoice import Invoice, Row, edition_id
from witnd.domain.invoices.manual import manual_rows
from witnd.domain.invoices.operations import CreditNote
from witnd.domain.values.money import difference, plain
from witnd.domain.values.period import NO_PERIOD, Calendar, Period
from witnd.store.keys import BillingKeys
from witnd.store.query.reads import PAGE, Reads

# Invoices for which differing rows are reported. Each requires reading the lines of the period again.
MAX_DETAILED: Final = 20
# Lines of one invoice that are compared at a time, to limit memory.
MAX_COMPARED_LINES: Final = 100_000

_ZERO: Final = Decimal(0)
_RUN_FULL_AUDIT: Final = "run `witnd audit` without --quick to see which value is right"


class LineTotals(Struct, kw_only=True):
    """The totals of an invoice's lines. `mark` is the sum of their marks, `settled` that of their amounts."""

    lines: int = 0
    unrated: int = 0
    settled: Decimal = _ZERO
    mark: int = 0


class AuditPoint(NamedTuple):
    """The biller's progress at the time of a check."""

    calendar: Calendar
    closed_to: int
    read: Positions
    prices: Prices
    catalogue: Catalogue


class CheckResult(NamedTuple):
    """The amount added when the period closed, whether the customer's balance is missing, the number and date of each
    document, and whether outcomes on it were reversed."""

    added: Decimal
    balance_missing: bool
    documents: list[tuple[str, str]]
    has_reversals: bool


class InvoiceChecker:
    """Checks the invoices of one period after another."""

    def __init__(self, reads: Reads, keys: BillingKeys, streams: LineStreams, *, quick: bool) -> None:
        self._reads = reads
        self._keys = keys
        self._streams = streams
        self._quick = quick
        self._named = 0
        self._period = NO_PERIOD
        self._began: Positions = {}
        self._invoice_of: Callable[[StreamLine], str] = lambda _: ""

    def start_period(self, period: Period, began: Positions, invoice_of: Callable[[StreamLine], str]) -> None:
        """Start a period, whose lines come after these positions."""
        self._period, self._began, self._invoice_of = period, began, invoice_of

    async def check(
        self, snapshot: InvoiceSnapshot, line_totals: LineTotals, point: AuditPoint, findings: Findings
    ) -> CheckResult | None:
        """Check an invoice. Returns None if it changed meanwhile; then ignore the findings."""
        invoice, keys = snapshot.invoice, self._keys
        check_head(keys, snapshot, point.calendar, point.closed_to, findings)
        check_payments(keys, snapshot, findings)
        balance = await check_references(self._reads, keys, invoice, findings)
        credits_ = InvoiceCredits()
        if snapshot.credits or snapshot.credited or invoice.notes or invoice.credited or invoice.noted:
            credits_ = await check_credits(self._reads, keys, invoice, findings)
        given = credits_.rows
        reversals = await read_reversals(self._reads, keys, snapshot, findings)
        units = GroupUnits(point.prices) if invoice.closed and not self._quick else None
        taxes = RowTaxes(point.prices, [*given, *(one.row for one in invoice.overrides)])
        wanted = {*given, *reversals.rows}
        row_totals = await count_rows(invoice, self._lists(snapshot, findings), wanted, units, taxes, findings)
        check_reversals(snapshot, reversals, row_totals.wanted, credits_, point.calendar, findings)
        manual = {row.id: row for row in manual_rows(invoice)}
        check_credited_rows(given, manual | row_totals.wanted, findings)
        check_taxes(keys, snapshot, TaxPoint(point.catalogue, taxes, credits_), findings)
        findings.compare("lines", line_totals.lines, invoice.lines, self._set("lines", line_totals.lines, invoice))
        unrated = 0 if invoice.closed else line_totals.unrated
        findings.compare("unrated", unrated, invoice.unrated, self._set("unrated", unrated, invoice))
        findings.compare("rows without an amount", unrated, row_totals.unrated, RESTORE)
        if (row_totals.lines, row_totals.mark) != (line_totals.lines, line_totals.mark):
            await self._report_differing_rows(snapshot, line_totals, row_totals, point.read, findings)
        elif invoice.closed:
            await self._check_closed(snapshot, row_totals, point.prices, units, findings)
        else:
            remedy = self._set("subtotal", plain(line_totals.settled), invoice)
            findings.compare("subtotal", plain(line_totals.settled), plain(invoice.subtotal), remedy)
            findings.compare("amounts of the rows", plain(line_totals.settled), plain(row_totals.subtotal), RESTORE)
        if await self._has_changed(invoice):
            return None
        added = difference(row_totals.subtotal, row_totals.at_settlement)
        documents = _documents(invoice, credits_.notes, point.calendar)
        return CheckResult(added, not balance, documents, bool(reversals.all))

    def _set(self, name: str, value: object, invoice: Invoice) -> str:
        return command_remedy("HSET", self._keys.invoice(invoice.id), name, value)

    async def _has_changed(self, invoice: Invoice) -> bool:
        raw = (await self._reads.pipeline(("HMGET", self._keys.invoice(invoice.id), "closed", "revision")))[0]
        closed, revision = raw
        return closed != (b"1" if invoice.closed else b"0") or int(revision or 0) != invoice.revision

    # -- rows ----------------------------------------------------------------------------------------------------------

    def _lists(self, snapshot: InvoiceSnapshot, findings: Findings) -> list[AsyncIterator[list[Row]]]:
        keys, id_ = self._keys, snapshot.invoice.id
        if snapshot.invoice.closed:
            return [self._pages(keys.lines(id_), snapshot.lines, findings)]
        return [self._pages(keys.rows(id_, number), length, findings) for number, length in enumerate(snapshot.rows)]

    async def _pages(self, name: str, length: int, findings: Findings) -> AsyncIterator[list[Row]]:
        """Yield the first rows of a list, which only grows, or is removed when the period closes."""
        for start in range(0, length, PAGE):
            records = (await self._reads.pipeline(("LRANGE", name, start, min(start + PAGE, length) - 1)))[0]
            rows = [parse_row(record) for record in records]
            for place, row in enumerate(rows, start):
                if row is None:
                    findings.differ(f"row {place} of {name}", "one that witnd wrote", "unreadable", RESTORE)
            yield [row for row in rows if row is not None]

    async def _check_closed(
        self,
        snapshot: InvoiceSnapshot,
        row_totals: RowTotals,
        prices: Prices,
        units: GroupUnits | None,
        findings: Findings,
    ) -> None:
        """Recalculate the amounts of a closed invoice from the catalogue, unless the audit is quick."""
        invoice = snapshot.invoice
        if units is None:
            findings.compare("subtotal", plain(row_totals.subtotal), plain(invoice.subtotal), _RUN_FULL_AUDIT)
            return
        pricing = Pricing(invoice, prices, units, findings)
        rest: list[Row] = []
        async for page in _replay(row_totals.kept, self._lists(snapshot, Findings())):
            for row in page:
                if row.kind == "outcome":
                    pricing.check(row)
                else:
                    rest.append(row)
        pricing.close(rest)
        must = plain(pricing.subtotal)
        findings.compare("subtotal", must, plain(invoice.subtotal), self._set("subtotal", must, invoice))

    # -- which lines ---------------------------------------------------------------------------------------------------

    async def _report_differing_rows(
        self,
        snapshot: InvoiceSnapshot,
        line_totals: LineTotals,
        row_totals: RowTotals,
        read: Positions,
        findings: Findings,
    ) -> None:
        """Report the rows that differ from the lines."""
        self._named += 1
        if self._named > MAX_DETAILED:
            expected = f"of {line_totals.lines} lines"
            findings.differ("rows", expected, f"{row_totals.lines}, or with other content", RESTORE)
            return
        before, first = findings.count, edition_id(snapshot.invoice, 1)
        slices = max(line_totals.lines, row_totals.lines) // MAX_COMPARED_LINES + 1
        for number in range(slices):
            lines: dict[str, Content] = {}
            async for page in self._streams.lines_between(self._period.start, self._period.end, self._began, read):
                for item in page:
                    key = item.line.outcome_key
                    if self._invoice_of(item) == first and _slice(key, slices) == number:
                        lines[key] = line_content(item)
            met: set[str] = set()
            for pages in self._lists(snapshot, Findings()):
                async for rows in pages:
                    for row in rows:
                        key = row.outcome_key or ""
                        if row.kind == "outcome" and _slice(key, slices) == number:
                            _compare(key, lines.get(key), row_content(row), findings, again=key in met)
                            met.add(key)
            for key in lines.keys() - met:
                findings.differ("row", "one: there is a line", "none", RESTORE, key=key)
        if findings.count == before:
            # The lines themselves are duplicated.
            findings.differ("rows", f"of {line_totals.lines} lines", f"{row_totals.lines}", RESTORE)


def _documents(invoice: Invoice, notes: Sequence[CreditNote], calendar: Calendar) -> list[tuple[str, str]]:
    found = [(note.number or "", calendar.day_at(note.issued_at or 0).date) for note in notes]
    return found if invoice.number is None else [(invoice.number, invoice.issue_date or ""), *found]


def _slice(key: str, slices: int) -> int:
    return crc32(key.encode()) % slices


def _compare(key: str, line: Content | None, row: Content, findings: Findings, *, again: bool) -> None:
    if line is None:
        findings.differ("row", "none: no line belongs to this invoice", "one", RESTORE, key=key)
    elif again:
        findings.differ("row", "once", "again", RESTORE, key=key)
    elif line != row:
        for name, expected, found in zip(CONTENT, line, row, strict=True):
            findings.compare(f"row: {name}", expected, found, RESTORE, key=key)


async def _replay(held: list[Row] | None, lists: Sequence[AsyncIterator[list[Row]]]) -> AsyncIterator[list[Row]]:
    if held is not None:
        yield held
        return
    for pages in lists:
        async for page in pages:
            yield page
