"""Audit all invoices: every line is on exactly one invoice, every sum matches its rows, closed invoices are
recalculated.

It reads one period after another: first its lines, then its invoices. Each invoice is read in one transaction with
the biller's position, and lines up to that position are read first. So the audit is also correct on a running system.
It needs memory for the invoices of one period, and writes nothing.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from decimal import Decimal
from functools import partial
from typing import Final

from witnd.audit.billing_events import check_billing_events
from witnd.audit.findings import FOREIGN_WRITE, RESTORE, Findings
from witnd.audit.invoices.balances import Balances
from witnd.audit.invoices.charges import charges_of, due_invoices, next_charged
from witnd.audit.invoices.check import AuditPoint, InvoiceChecker, LineTotals
from witnd.audit.invoices.indexes import SeriesDates, check_keys, check_numbers
from witnd.audit.invoices.lines import LineStreams, StreamLine, check_positions, line_content, mark
from witnd.audit.invoices.pricing import Prices
from witnd.audit.invoices.reversals import StreamReversals
from witnd.audit.invoices.snapshot import (
    COMMANDS_PER_INVOICE,
    END_OF_TIME,
    BillerSnapshot,
    decode_biller,
    decode_snapshot,
    snapshot_commands,
)
from witnd.audit.invoices.totals import InvoiceAudit, InvoiceTotals
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.catalogue.period_terms import period_terms
from witnd.domain.invoices.invoice import Invoice, edition_id, invoice_id
from witnd.domain.pricing.group import GroupKey
from witnd.domain.pricing.ratecard import Price
from witnd.domain.values import instant
from witnd.domain.values.money import exact_sum
from witnd.domain.values.period import NO_PERIOD, Calendar, Period
from witnd.store.keys import BillingKeys, Keys
from witnd.store.log.reader import entry_id
from witnd.store.query.reads import PAGE, Reads
from witnd.store.records.score import score_to_int

# How often an invoice that changed meanwhile is checked again.
ATTEMPTS: Final = 8
# Commands of one atomic read: a few ms of the server's time.
COMMANDS_MAX: Final = 1000


LoadCatalogue = Callable[[], Awaitable[Catalogue]]


async def audit_invoices(
    reads: Reads,
    keys: BillingKeys,
    partitions: Sequence[Keys],
    load_catalogue: LoadCatalogue,
    *,
    quick: bool,
    progress: Callable[[str], None],
) -> InvoiceAudit:
    """Audit the invoices. Raises the errors of reads. `load_catalogue` returns the current catalogue."""
    walk = _Walk(reads, keys, partitions, load_catalogue, progress, quick=quick)
    await walk.run()
    progress("invoices: lists, numbers, balances")
    await check_keys(reads, keys, len(partitions), walk.findings)
    await check_numbers(reads, keys, walk.findings)
    progress("invoices: billing events")
    await check_billing_events(reads, keys, partitions, load_catalogue, walk.findings)
    await walk.balances.walk()
    for currency, (count, amount) in walk.balances.sums.items():
        totals = walk.sums.currency(currency)
        totals.balances, totals.balance = count, amount
    return InvoiceAudit(
        exact=walk.exact,
        sums=dict(sorted(walk.sums.currencies.items())),
        differences=walk.findings.kept,
        difference_count=walk.findings.count,
    )


class _Walk:
    """Iterates over all periods with lines or invoices, oldest first."""

    def __init__(
        self,
        reads: Reads,
        keys: BillingKeys,
        partitions: Sequence[Keys],
        load_catalogue: LoadCatalogue,
        progress: Callable[[str], None],
        *,
        quick: bool,
    ) -> None:
        self.findings = Findings()
        self.balances = Balances(reads, keys, self.findings)
        self.sums = InvoiceTotals()
        self._dates = SeriesDates(reads, keys)
        self.exact = True
        self._reads, self._keys, self._partitions = reads, keys, partitions
        self._load_catalogue, self._progress = load_catalogue, progress
        self._streams = LineStreams(reads, partitions, self.findings)
        self._examiner = InvoiceChecker(reads, keys, self._streams, quick=quick)
        self._state = BillerSnapshot({}, None, 0)
        self._period = NO_PERIOD
        # Of the current period: line totals by invoice, invoice ids, and checked ids.
        self._tallies: dict[str, LineTotals] = {}
        self._revised: dict[str, LineTotals] = {}  # of revised invoices, whose other editions may come later
        self._ids: dict[tuple[str, str], str] = {}
        self._done: set[str] = set()
        self._reversals = StreamReversals(reads, keys, self._streams, self.findings)
        self._due: set[str] = set()  # of customers with a fee or commitment
        self._looked_at = 0

    async def run(self) -> None:
        self._state = decode_biller(self._keys.state, (await self._reads.pipeline(("HGETALL", self._keys.state)))[0])
        await check_positions(self._reads, self._partitions, self._state.positions, self.findings)
        await self._dates.start()
        if self._state.calendar is not None:
            end = 0
            while (at := await self._next(end)) is not None:
                await self._audit_period(self._calendar.period_at(at))
                end = self._period.end
        elif (await self._reads.pipeline(("EXISTS", self._keys.invoices)))[0]:
            self.findings.differ("calendar of the biller", "one: there are invoices", "none", RESTORE)
        await self._count_waiting()
        await self._reversals.check(self._state)
        if self.exact:
            self.sums.compare(self.findings)
            await self._dates.check(self.findings)

    @property
    def _calendar(self) -> Calendar:
        return self._state.calendar or Calendar.of("month")

    async def _next(self, end: int) -> int | None:
        """Return an instant of the next period with lines or invoices."""
        command = ("ZRANGEBYSCORE", self._keys.invoices, end, f"({END_OF_TIME}", "WITHSCORES", "LIMIT", 0, 1)
        found = (await self._reads.pipeline(command))[0]
        instants = [score_to_int(found[1])] if found else []
        if (at := await self._streams.next_instant(self._state.read)) is not None:
            instants.append(max(at, end))
        if (at := next_charged(await self._load_catalogue(), self._state, self._calendar, end)) is not None:
            instants.append(at)
        return min(instants, default=None)

    # -- one period ----------------------------------------------------------------------------------------------------

    async def _audit_period(self, period: Period) -> None:
        self._period = period
        self._tallies, self._revised, self._ids, self._done = {}, {}, {}, set()
        self._examiner.start_period(period, self._streams.positions, self._invoice_id)
        await self._collect()
        self._due = due_invoices(await self._load_catalogue(), self._state, period, self._calendar)
        for id_ in self._due:
            self._tallies.setdefault(id_, LineTotals())
        async for ids in self._invoice_ids():
            await self._check_invoices(ids)
        while left := list(self._tallies):
            await self._check_invoices(left)

    async def _invoice_ids(self) -> AsyncIterator[list[str]]:
        """Yield the period's invoices. Concurrent additions can repeat some."""
        start = 0
        while True:
            bounds = (self._period.start, f"({self._period.end}", "LIMIT", start, PAGE)
            page = (await self._reads.pipeline(("ZRANGEBYSCORE", self._keys.invoices, *bounds)))[0]
            yield [id_.decode() for id_ in page]
            if len(page) < PAGE:
                return
            start += PAGE

    async def _collect(self) -> None:
        """Sum the lines of the period up to the biller's position."""
        async for page in self._streams.lines_before(self._period.end, self._state.read):
            for item in page:
                totals = self.sums.currency(item.line.currency)
                totals.lines += 1
                totals.digits = max(totals.digits, item.line.digits)
                id_ = self._invoice_id(item) if item.at in self._period else None
                if id_ is None or id_ in self._done:
                    totals.waiting += 1
                    continue
                line_totals = self._tallies.get(id_)
                if line_totals is None:
                    line_totals = self._tallies[id_] = LineTotals()
                line_totals.lines += 1
                line_totals.mark += mark(line_content(item))
                if item.line.amount is None:
                    line_totals.unrated += 1
                else:
                    line_totals.settled = exact_sum((line_totals.settled, Decimal(item.line.amount)))

    def _invoice_id(self, item: StreamLine) -> str:
        whose = item.line.customer_key, item.line.currency
        id_ = self._ids.get(whose)
        if id_ is None:
            id_ = self._ids[whose] = invoice_id(*whose, self._period)
        return id_

    # -- invoices ------------------------------------------------------------------------------------------------------

    async def _check_invoices(self, ids: Sequence[str]) -> None:
        """Check new invoices, and those that changed meanwhile again."""
        waiting = [id_ for id_ in ids if id_ not in self._done]
        most = max(1, COMMANDS_MAX // (COMMANDS_PER_INVOICE + len(self._partitions)))
        for _ in range(ATTEMPTS):
            moved: list[str] = []
            for at in range(0, len(waiting), most):
                moved += await self._check_page(waiting[at : at + most])
            if not moved:
                return
            waiting = moved
        self.exact = False
        for id_ in waiting:
            self._finish(id_)

    async def _check_page(self, ids: Sequence[str]) -> list[str]:
        """Check invoices and return those that changed meanwhile."""
        partitions = [keys.partition for keys in self._partitions]
        raw, *answers = await self._reads.transaction_with_errors(
            ("HGETALL", self._keys.state), *snapshot_commands(self._keys, partitions, ids)
        )
        if isinstance(raw, Exception):
            await self._reads.pipeline(("HGETALL", self._keys.state))  # raises, by name
        self._state = state = decode_biller(self._keys.state, raw)
        await self._collect()
        catalogue = await self._load_catalogue()

        def terms_of(invoice: Invoice, group: GroupKey) -> Price | None:
            return period_terms(catalogue, invoice.customer_key, invoice.currency, group, invoice.end)

        prices = Prices(catalogue.price_by_hash, terms_of, partial(charges_of, catalogue, self._calendar))
        point = AuditPoint(self._calendar, state.closed_to, state.read, prices, catalogue)
        each, moved = COMMANDS_PER_INVOICE + len(partitions), []
        for place, id_ in enumerate(ids):
            snapshot, found = decode_snapshot(id_, answers[place * each : (place + 1) * each]), Findings(id_)
            line_totals = self._line_totals(id_ if isinstance(snapshot, str) else edition_id(snapshot.invoice, 1))
            if isinstance(snapshot, str):
                reason = "a fee or commitment is due" if id_ in self._due else "it is listed"
                expected = f"one of {line_totals.lines} lines" if line_totals.lines else f"one: {reason}"
                found.differ("invoice", expected, snapshot, RESTORE)
            else:
                result = await self._examiner.check(snapshot, line_totals, point, found)
                if result is None:
                    moved.append(id_)
                    continue
                self.sums.add(snapshot.invoice, line_totals.settled, result.added)
                self._dates.add(result.documents)
                if result.has_reversals:
                    self._reversals.expect(edition_id(snapshot.invoice, 1))
                if result.balance_missing:
                    await self.balances.check(snapshot.invoice.customer_key, snapshot.invoice.currency)
                if snapshot.invoice.revised_by is not None:
                    self._revised.setdefault(edition_id(snapshot.invoice, 1), line_totals)
            self._finish(id_)
            self.findings.merge(found)
        self._progress(f"invoices: {self._looked_at}, those of {self._period.first_day}")
        return moved

    def _line_totals(self, first: str) -> LineTotals:
        """Return the totals of the lines of an invoice, by the id of its first edition. All editions have the same
        lines."""
        return self._tallies.get(first) or self._revised.get(first) or LineTotals()

    def _finish(self, id_: str) -> None:
        self._done.add(id_)
        self._tallies.pop(id_, None)
        self._looked_at += 1

    # -- what is on no invoice yet -------------------------------------------------------------------------------------

    async def _count_waiting(self) -> None:
        """Count the lines after the biller's position. None of them may belong to a closed period."""
        [raw] = await self._reads.pipeline(("HGETALL", self._keys.state))
        state = self._state = decode_biller(self._keys.state, raw)
        last = await self._reads.pipeline(
            *(("XREVRANGE", keys.lines, "+", "-", "COUNT", 1) for keys in self._partitions)
        )
        ends = {
            keys.partition: entry_id(found[0][0]) if found else (0, 0)
            for keys, found in zip(self._partitions, last, strict=True)
        }
        async for page in self._streams.lines_before(END_OF_TIME, ends):
            for item in page:
                totals = self.sums.currency(item.line.currency)
                totals.lines += 1
                totals.digits = max(totals.digits, item.line.digits)
                totals.waiting += 1
                read = state.read.get(item.partition, (0, 0))
                if item.entry > read and item.at < state.closed_to:
                    until = instant.render(state.closed_to)
                    found_ = f"not read, and resolved {item.line.resolved_at}"
                    must = f"in an invoice: all until {until} are closed"
                    self.findings.differ("line", must, found_, FOREIGN_WRITE, key=item.line.outcome_key)
