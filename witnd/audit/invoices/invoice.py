"""The part of an audit about one invoice: its head, its rows and its credits, against the lines that belong to it."""

from collections.abc import AsyncIterator, Callable, Sequence
from decimal import Decimal
from typing import Final, NamedTuple
from zlib import crc32

from msgspec import Struct

from witnd.audit.findings import RESTORE, Findings, by_command, row_in
from witnd.audit.invoices.credits import Given, check_corrected, check_credits
from witnd.audit.invoices.heads import check_head, check_named
from witnd.audit.invoices.lines import CONTENT, Content, Positions, Streams, Told, line_content, row_content
from witnd.audit.invoices.rows import Counted, Pricing, count_rows
from witnd.audit.invoices.seen import Seen
from witnd.domain.invoices.invoice import Invoice, Row
from witnd.domain.pricing.ratecard import Price
from witnd.domain.values.money import difference, plain
from witnd.domain.values.period import Calendar, Period
from witnd.store.keys import BillingKeys
from witnd.store.query.reads import PAGE, Reads

# Invoices of which it is told which rows differ: that takes reading the lines of their period once more.
NAMED_MAX: Final = 20
# Lines of one invoice that are compared one by one at a time.
SLICE: Final = 100_000

_ZERO: Final = Decimal(0)
_FULL: Final = "`witnd audit` without --quick tells which of the two is right"


class Tally(Struct, kw_only=True):
    """What the lines of one invoice come to. `mark` is the sum of theirs; `settled` of the amounts they came with."""

    lines: int = 0
    unrated: int = 0
    settled: Decimal = _ZERO
    mark: int = 0


class Horizon(NamedTuple):
    """As of when an invoice is judged."""

    calendar: Calendar
    closed_to: int
    read: Positions
    price_of: Callable[[str], Price]


class Judged(NamedTuple):
    """What its period's close added to the invoice, and whether its customer's balance is missing."""

    added: Decimal
    balance_missing: bool


class Examiner:
    """Judges one invoice after the other, of one period after the other."""

    def __init__(self, reads: Reads, keys: BillingKeys, streams: Streams, *, quick: bool) -> None:
        self._reads = reads
        self._keys = keys
        self._streams = streams
        self._quick = quick
        self._named = 0
        self._period = Period(0, 0, "")
        self._began: Positions = {}
        self._invoice_of: Callable[[Told], str] = lambda _: ""

    def begin(self, period: Period, began: Positions, invoice_of: Callable[[Told], str]) -> None:
        """Invoices of this period come next; its lines are behind these positions."""
        self._period, self._began, self._invoice_of = period, began, invoice_of

    async def judge(self, seen: Seen, tally: Tally, horizon: Horizon, findings: Findings) -> Judged | None:
        """None where something was done to the invoice meanwhile, and what was found says nothing."""
        invoice, keys = seen.invoice, self._keys
        check_head(keys, seen, horizon.calendar, horizon.closed_to, findings)
        balance = await check_named(self._reads, keys, invoice, findings)
        given: dict[str, Given] = {}
        if seen.credits or seen.credited or invoice.notes or invoice.credited or invoice.noted:
            given = await check_credits(self._reads, keys, invoice, findings)
        counted = await count_rows(invoice, self._lists(seen, findings), given, findings)
        check_corrected(given, counted.asked, findings)
        findings.compare("lines", tally.lines, invoice.lines, self._set("lines", tally.lines, invoice))
        unrated = 0 if invoice.closed else tally.unrated
        findings.compare("unrated", unrated, invoice.unrated, self._set("unrated", unrated, invoice))
        findings.compare("rows without an amount", unrated, counted.unrated, RESTORE)
        if (counted.lines, counted.mark) != (tally.lines, tally.mark):
            await self._name(seen, tally, counted, horizon.read, findings)
        elif invoice.closed:
            await self._check_closed(seen, counted, horizon.price_of, findings)
        else:
            remedy = self._set("subtotal", plain(tally.settled), invoice)
            findings.compare("subtotal", plain(tally.settled), plain(invoice.subtotal), remedy)
            findings.compare("amounts of the rows", plain(tally.settled), plain(counted.subtotal), RESTORE)
        if await self._moved(invoice):
            return None
        return Judged(difference(counted.subtotal, counted.at_settlement), not balance)

    def _set(self, name: str, value: object, invoice: Invoice) -> str:
        return by_command("HSET", self._keys.invoice(invoice.id), name, value)

    async def _moved(self, invoice: Invoice) -> bool:
        raw = (await self._reads.pipeline(("HMGET", self._keys.invoice(invoice.id), "closed", "revision")))[0]
        closed, revision = raw
        return closed != (b"1" if invoice.closed else b"0") or int(revision or 0) != invoice.revision

    # -- rows ----------------------------------------------------------------------------------------------------------

    def _lists(self, seen: Seen, findings: Findings) -> list[AsyncIterator[list[Row]]]:
        keys, id_ = self._keys, seen.invoice.id
        if seen.invoice.closed:
            return [self._pages(keys.lines(id_), seen.lines, findings)]
        return [self._pages(keys.rows(id_, number), length, findings) for number, length in enumerate(seen.rows)]

    async def _pages(self, name: str, length: int, findings: Findings) -> AsyncIterator[list[Row]]:
        """The first rows of a list: it only grows, or is gone where the period was closed."""
        for start in range(0, length, PAGE):
            records = (await self._reads.pipeline(("LRANGE", name, start, min(start + PAGE, length) - 1)))[0]
            rows = [row_in(record) for record in records]
            for place, row in enumerate(rows, start):
                if row is None:
                    findings.differ(f"row {place} of {name}", "one that witnd wrote", "unreadable", RESTORE)
            yield [row for row in rows if row is not None]

    async def _check_closed(
        self, seen: Seen, counted: Counted, price_of: Callable[[str], Price], findings: Findings
    ) -> None:
        """Its amounts are those that the frozen prices make of the lines."""
        invoice = seen.invoice
        if self._quick:
            findings.compare("subtotal", plain(counted.subtotal), plain(invoice.subtotal), _FULL)
            return
        pricing = Pricing(invoice, price_of, counted.totals, findings)
        rest: list[Row] = []
        async for page in _again(counted.held, self._lists(seen, Findings())):
            for row in page:
                if row.kind == "outcome":
                    pricing.check(row)
                else:
                    rest.append(row)
        pricing.close(rest)
        must = plain(pricing.subtotal)
        findings.compare("subtotal", must, plain(invoice.subtotal), self._set("subtotal", must, invoice))

    # -- which lines ---------------------------------------------------------------------------------------------------

    async def _name(self, seen: Seen, tally: Tally, counted: Counted, read: Positions, findings: Findings) -> None:
        """Tell which rows are not what the lines say."""
        self._named += 1
        if self._named > NAMED_MAX:
            expected = f"of {tally.lines} lines"
            findings.differ("rows", expected, f"{counted.lines}, or with other content", RESTORE)
            return
        before = findings.count
        slices = max(tally.lines, counted.lines) // SLICE + 1
        for number in range(slices):
            lines: dict[str, Content] = {}
            async for page in self._streams.again(self._period.start, self._period.end, self._began, read):
                for told in page:
                    key = told.line.outcome_key
                    if self._invoice_of(told) == seen.invoice.id and _slice(key, slices) == number:
                        lines[key] = line_content(told)
            met: set[str] = set()
            for pages in self._lists(seen, Findings()):
                async for rows in pages:
                    for row in rows:
                        key = row.outcome_key or ""
                        if row.kind == "outcome" and _slice(key, slices) == number:
                            _compare(key, lines.get(key), row_content(row), findings, again=key in met)
                            met.add(key)
            for key in lines.keys() - met:
                findings.differ("row", "one: there is a line", "none", RESTORE, key=key)
        if findings.count == before:
            # Its lines themselves are there more than once.
            findings.differ("rows", f"of {tally.lines} lines", f"{counted.lines}", RESTORE)


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


async def _again(held: list[Row] | None, lists: Sequence[AsyncIterator[list[Row]]]) -> AsyncIterator[list[Row]]:
    if held is not None:
        yield held
        return
    for pages in lists:
        async for page in pages:
            yield page
