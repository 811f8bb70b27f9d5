"""Audit the reversals on invoices: against the reversal entries of the streams of lines, and against the credits."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from witnd.audit.findings import FOREIGN_WRITE, RESTORE, UNREADABLE, Findings, command_remedy
from witnd.audit.invoices.credits import InvoiceCredits
from witnd.audit.invoices.lines import LineStreams, Positions, StreamReversal
from witnd.audit.invoices.snapshot import END_OF_TIME, BillerSnapshot, InvoiceSnapshot, decode_biller
from witnd.domain.invoices.invoice import Invoice, Row, invoice_id
from witnd.domain.invoices.operations import reversal_note_id
from witnd.domain.outcomes.resolution import derived_id
from witnd.domain.values import instant
from witnd.domain.values.period import Calendar
from witnd.store.invoices.codec import decode_invoice
from witnd.store.invoices.reversal_codec import StoredReversal, decode_reversals
from witnd.store.keys import BillingKeys
from witnd.store.query.reads import Reads

_ZERO: Final = Decimal(0)
# Editions that are followed. Each needs a person who revises the invoice.
MAX_EDITIONS: Final = 1000


class InvoiceReversals(NamedTuple):
    """The reversals of an invoice by outcome key, and the instants (ms) of those that are not credited yet."""

    all: Mapping[str, StoredReversal]
    pending: Mapping[str, int]

    @property
    def rows(self) -> set[str]:
        """The ids of the reversed rows."""
        return {derived_id("line", key) for key in self.all}

    def in_period(self, invoice: Invoice) -> dict[str, int]:
        """Return the outcomes that were reversed before the end of the period, with the instants (ms)."""
        return {key: one.reversed_at for key, one in self.all.items() if one.reversed_at < invoice.end}


NONE: Final = InvoiceReversals({}, {})


async def read_reversals(
    reads: Reads, keys: BillingKeys, snapshot: InvoiceSnapshot, findings: Findings
) -> InvoiceReversals:
    """Return the reversals of an invoice, and check their number and their lists."""
    invoice = snapshot.invoice
    if not snapshot.reversals and not invoice.reversed and not snapshot.pending and snapshot.reversed is None:
        return NONE
    [flat] = await reads.pipeline(("HGETALL", keys.reversals(invoice.id)))
    try:
        found = decode_reversals(invoice.id, {flat[i]: flat[i + 1] for i in range(0, len(flat), 2)})
        instants = {key: one.reversed_at for key, one in found.items()}
    except UNREADABLE:
        findings.differ("reversals", "readable", "unreadable", RESTORE)
        return NONE
    reversals = InvoiceReversals(found, _pending(snapshot))
    for key, at in reversals.pending.items():
        must = instants.get(key)
        if must != at:
            expected = "none: it is not reversed" if must is None else instant.render(must)
            findings.differ("reversal to be credited", expected, instant.render(at), RESTORE, key=key)
    first = min(reversals.pending.values(), default=None)
    remedy = (
        command_remedy("ZREM", keys.reversed, invoice.id)
        if first is None
        else command_remedy("ZADD", keys.reversed, first, invoice.id)
    )
    findings.compare("place in the list of reversed invoices", first, snapshot.reversed, remedy)
    in_period = len(reversals.in_period(invoice))
    findings.compare(
        "reversed", in_period, invoice.reversed, command_remedy("HSET", keys.invoice(invoice.id), "reversed", in_period)
    )
    return reversals


def _pending(snapshot: InvoiceSnapshot) -> dict[str, int]:
    flat = snapshot.pending
    return {flat[i].decode(): int(float(flat[i + 1])) for i in range(0, len(flat), 2)}


def check_reversals(
    snapshot: InvoiceSnapshot,
    reversals: InvoiceReversals,
    rows: Mapping[str, Row],
    credits_: InvoiceCredits,
    calendar: Calendar,
    findings: Findings,
) -> None:
    """Check the rows of reversed outcomes, their credits, and the credit notes for them. `rows` has the reversed rows
    of a closed invoice, as stored."""
    invoice = snapshot.invoice
    in_period = reversals.in_period(invoice)
    for key in reversals.all:
        row = rows.get(derived_id("line", key))
        if row is None:
            findings.differ("row of a reversed outcome", "one", "none", RESTORE, key=key)
            continue
        if invoice.closed:
            findings.compare("row: reversed_at", _at(in_period.get(key)), _at(row.reversed_at), RESTORE, key=key)
        if key in in_period and row.rated == "at_close":
            if key in reversals.pending:
                findings.differ("reversal to be credited", "none: the row costs nothing", "one", RESTORE, key=key)
        elif key not in reversals.pending:
            _check_credit(invoice, row, credits_, findings)
    _check_notes(invoice, reversals, credits_, calendar, findings)


def _check_credit(invoice: Invoice, row: Row, credits_: InvoiceCredits, findings: Findings) -> None:
    """Check that nothing remains of a reversed row, unless it was limited by what remained of the invoice."""
    if invoice.status == "void" or _has_reductions(invoice):
        return
    given = credits_.rows.get(row.id)
    credited = _ZERO if given is None else given.amount
    if credited < Decimal(row.amount or 0):
        expected = f"{row.amount}: the outcome is reversed"
        findings.differ("credits of the row", expected, str(credited), RESTORE, key=row.outcome_key or "")


def _has_reductions(invoice: Invoice) -> bool:
    """Return whether less than its rows may remain of an invoice."""
    sums = invoice.sums
    has_cap = sums is not None and (sums.commitment < 0 or any(group.cap for group in sums.groups))
    return has_cap or any(line.amount < 0 for line in invoice.manual)


def _check_notes(
    invoice: Invoice,
    reversals: InvoiceReversals,
    credits_: InvoiceCredits,
    calendar: Calendar,
    findings: Findings,
) -> None:
    """Check that each credit note for reversals has the rows of its period of acceptance, after the issue."""
    by_id = {note.id: note for note in credits_.notes}
    through = invoice.issued_through
    if through is None and invoice.issued_at is not None:
        findings.differ("issued_through", "set: the invoice is issued", "none", RESTORE)
    for place, start in invoice.reversal_notes.items():
        note = by_id.get(reversal_note_id(invoice.id, start))
        if note is None:
            findings.differ(f"credit note {place + 1}", "one for reversals", "none", RESTORE)
            continue
        period = calendar.period_at(start)
        findings.compare(f"credit note {note.number}: period", period.start, start, RESTORE)
        for row in note.rows:
            key = row.outcome_key or ""
            one = reversals.all.get(key)
            if one is None or one.reversed_at not in period or one.reversed_at < (through or 0):
                from_, to = instant.render(max(period.start, through or 0)), instant.render(period.end)
                found = "not reversed" if one is None else f"reversed at {instant.render(one.reversed_at)}"
                must = f"an outcome reversed from {from_}, before {to}"
                findings.differ(f"row of credit note {note.number}", must, found, RESTORE, key=key)


def _at(ms: int | None) -> str:
    return "none" if ms is None else instant.render(ms)


# -- against the streams -----------------------------------------------------------------------------------------------


class StreamReversals:
    """Compares the reversals of all invoices with the streams of lines."""

    def __init__(self, reads: Reads, keys: BillingKeys, streams: LineStreams, findings: Findings) -> None:
        self._reads = reads
        self._keys = keys
        self._streams = streams
        self._findings = findings
        self._entries: dict[str, dict[str, StreamReversal]] = {}  # by first edition and outcome key

    def expect(self, first: str) -> None:
        """Record an invoice with reversals, by the id of its first edition."""
        self._entries.setdefault(first, {})

    async def check(self, state: BillerSnapshot) -> None:
        """Compare them, after the streams were read."""
        self._take(state)
        for first in list(self._entries):
            try:
                invoice, stored, raw = await self._newest(first)
            except UNREADABLE:
                continue  # reported with the invoice
            state = decode_biller(self._keys.state, raw)
            # The biller may have read more since the streams were read. These lines are on no checked invoice.
            async for _ in self._streams.lines_before(END_OF_TIME, state.read):
                pass
            self._take(state)
            found = Findings(first if invoice is None else invoice.id)
            _compare(stored, self._entries[first], state.read, found)
            self._findings.merge(found)

    def _take(self, state: BillerSnapshot) -> None:
        """Group the entries of the streams by their invoices."""
        calendar = state.calendar
        for one in self._streams.reversals if calendar is not None else ():
            assert calendar is not None
            line = one.line
            first = invoice_id(line.customer_key, line.currency, calendar.period_at(line.billed_at))
            entries = self._entries.setdefault(first, {})
            if line.outcome_key in entries:
                found = f"again, as entry {one.place[0]} of partition {one.partition}"
                self._findings.differ("reversal", "once", found, FOREIGN_WRITE, key=line.outcome_key)
            entries[line.outcome_key] = one
        self._streams.reversals.clear()

    async def _newest(self, first: str) -> tuple[Invoice | None, dict[str, StoredReversal], Sequence[bytes]]:
        """Return the newest edition of an invoice, its reversals and the biller's state, read at one time."""
        id_, keys = first, self._keys
        for _ in range(MAX_EDITIONS):
            head, stored, state = await self._reads.transaction(
                ("HGETALL", keys.invoice(id_)), ("HGETALL", keys.reversals(id_)), ("HGETALL", keys.state)
            )
            invoice = decode_invoice(id_, {head[i]: head[i + 1] for i in range(0, len(head), 2)})
            if invoice is None or invoice.revised_by is None:
                fields = {stored[i]: stored[i + 1] for i in range(0, len(stored), 2)}
                return invoice, decode_reversals(id_, fields), state
            id_ = invoice.revised_by
        raise ValueError(f"invoice {first} has more than {MAX_EDITIONS} editions")


def _compare(
    stored: Mapping[str, StoredReversal],
    entries: Mapping[str, StreamReversal],
    read: Positions,
    findings: Findings,
) -> None:
    """Compare the reversals of an invoice with the entries of the streams up to the biller's positions."""
    must = {key: one for key, one in entries.items() if one.place <= read.get(one.partition, (0, 0))}
    for key in dict.fromkeys((*must, *stored)):
        expected, there = must.get(key), stored.get(key)
        if expected is None:
            findings.differ("reversal", "none: no line has it", "one", FOREIGN_WRITE, key=key)
        elif there is None:
            findings.differ("reversal", f"by event {expected.line.entry}", "none", RESTORE, key=key)
        elif (there.entry, there.billed_at, there.reversed_at) != (
            expected.line.entry,
            expected.line.billed_at,
            expected.line.at,
        ):
            found = f"by event {there.entry}"
            findings.differ("reversal", f"by event {expected.line.entry}", found, RESTORE, key=key)
