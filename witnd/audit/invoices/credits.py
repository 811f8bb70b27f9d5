"""Audit credit rows, credit notes and customer balances."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from msgspec import Struct, field

from witnd.audit.findings import RESTORE, UNREADABLE, Findings, command_remedy, decode_amount, parse_row
from witnd.audit.invoices.snapshot import decode_score
from witnd.domain.invoices.credit import CREDITABLE
from witnd.domain.invoices.invoice import Invoice, Row, edition_id, row_id
from witnd.domain.invoices.operations import CreditNote, note_ids
from witnd.domain.values.money import exact_sum, plain
from witnd.store.invoices.codec import encode_row
from witnd.store.invoices.note_codec import decode_note
from witnd.store.keys import BillingKeys
from witnd.store.query.reads import PAGE, Command, Reads

NOTES_CHUNK: Final = 100

_ZERO: Final = Decimal(0)
# Fields that a credit copies from the corrected row.
_SAME: Final = ("agent_key", "rate_card", "price_hash", "outcome_key", "contract_hash", "rated")


class RowCredits(Struct, kw_only=True):
    """The credits of one row: their sum and the first credit."""

    row: Row
    amount: Decimal = _ZERO


class InvoiceCredits(Struct, kw_only=True):
    """The credits of an invoice: of each row, those of each row before issue, and the credit notes in their order."""

    rows: dict[str, RowCredits] = field(default_factory=dict)
    drafted: dict[str, Decimal] = field(default_factory=dict)
    notes: list[CreditNote] = field(default_factory=list)


async def check_credits(reads: Reads, keys: BillingKeys, invoice: Invoice, findings: Findings) -> InvoiceCredits:
    """Sum the credits of each row of an invoice, and compare them with the sums of the invoice."""
    found = InvoiceCredits()
    given = found.rows
    credited = noted = net = applied = _ZERO
    start = 0
    while True:
        page = (await reads.pipeline(("LRANGE", keys.credits(invoice.id), start, start + PAGE - 1)))[0]
        rows = [parse_row(record) for record in page]
        for place, row in enumerate(rows, start):
            if row is None:
                findings.differ(f"credit {place}", "one that witnd wrote", "unreadable", RESTORE)
        credited = exact_sum(
            (credited, _add_credits(invoice, given, [row for row in rows if row is not None], findings))
        )
        start += len(page)
        if len(page) < PAGE:
            break
    found.drafted = {row: one.amount for row, one in given.items()}
    all_notes = note_ids(invoice)
    for at in range(0, invoice.notes, NOTES_CHUNK):
        ids = all_notes[at : at + NOTES_CHUNK]
        for note in await _notes(reads, keys, invoice, ids, findings):
            found.notes.append(note)
            _add_credits(invoice, given, note.rows, findings)
            noted = exact_sum((noted, note.total))
            net = exact_sum((net, note.amount))
            applied = exact_sum((applied, note.applied))
    head = keys.invoice(invoice.id)
    sums = (
        ("credited", invoice.credited, credited),
        ("noted", invoice.noted, noted),
        ("noted_net", invoice.noted_net, net),
        ("notes_applied", invoice.notes_applied, applied),
    )
    for name, stored, must in sums:
        findings.compare(name, plain(must), plain(stored), command_remedy("HSET", head, name, plain(must)))
    await _check_credited(reads, keys, invoice, given, findings)
    return found


def _add_credits(invoice: Invoice, given: dict[str, RowCredits], rows: Sequence[Row], findings: Findings) -> Decimal:
    """Add credit rows in their order. Return the credited amount."""
    total = _ZERO
    for row in rows:
        key = row.outcome_key or ""
        if row.kind != "credit" or row.corrects is None or row.amount is None:
            findings.differ(f"row {row.id} of the credits", "a credit of a row", f"a {row.kind}", RESTORE, key=key)
            continue
        one = given.setdefault(row.corrects, RowCredits(row=row))
        # Credits of earlier editions stay as they are.
        ids = [
            row_id(edition_id(invoice, edition), "credit", row.corrects, plain(one.amount))
            for edition in range(invoice.edition, 0, -1)
        ]
        if row.id not in ids:
            findings.compare("credit: id", ids[0], row.id, RESTORE, key=key)
        amount = Decimal(row.amount).copy_negate()
        if amount <= 0:
            findings.differ("credit: amount", "below 0", row.amount, RESTORE, key=key)
        one.amount = exact_sum((one.amount, amount))
        total = exact_sum((total, amount))
    return total


async def _notes(
    reads: Reads, keys: BillingKeys, invoice: Invoice, ids: Sequence[str], findings: Findings
) -> list[CreditNote]:
    commands: list[Command] = []
    for id_ in ids:
        commands += (("HGETALL", keys.note(id_)), ("ZSCORE", keys.notes, id_))
    answers = await reads.transaction(*commands)
    found: list[CreditNote] = []
    for id_, flat, score in zip(ids, answers[::2], answers[1::2], strict=True):
        try:
            note = decode_note(id_, {flat[i]: flat[i + 1] for i in range(0, len(flat), 2)})
        except UNREADABLE:
            note = None
        if note is None or not note.amount.is_finite() or any(parse_row(encode_row(row)) is None for row in note.rows):
            findings.differ(f"credit note {id_}", "one", "unreadable" if flat else "none", RESTORE)
            continue
        found.append(note)
        _check_note(keys, invoice, note, score, findings)
    numbers = [note.number or "" for note in found]
    for note, name in zip(found, await _number_owners(reads, keys, numbers), strict=True):
        remedy = command_remedy("HSET", keys.numbers, note.number, note.id)
        findings.compare(f"number {note.number}", f"of credit note {note.id}", f"of credit note {name}", remedy)
    return found


async def _number_owners(reads: Reads, keys: BillingKeys, numbers: Sequence[str]) -> list[str]:
    """Return the owners of the numbers."""
    if not numbers:
        return []
    ids = (await reads.pipeline(("HMGET", keys.numbers, *numbers)))[0]
    return ["none" if id_ is None else id_.decode() for id_ in ids]


def _check_note(keys: BillingKeys, invoice: Invoice, note: CreditNote, score: bytes | None, findings: Findings) -> None:
    what = f"credit note {note.number}"
    must: dict[str, Any] = {
        "invoice": invoice.id,
        "invoice_number": invoice.number,
        "customer_key": invoice.customer_key,
        "currency": invoice.currency,
        "amount": exact_sum(Decimal(row.amount or 0) for row in note.rows).copy_negate(),
    }
    if invoice.status == "void":
        must["amount"] = invoice.net  # it cancels the whole invoice, without rows
    for name, expected in must.items():
        findings.compare(f"{what}: {name}", expected, getattr(note, name), RESTORE)
    if not _ZERO <= note.applied <= note.total:
        findings.differ(f"{what}: applied", f"0 to {plain(note.total)}", plain(note.applied), RESTORE)
    listed = decode_score(score)
    remedy = command_remedy("ZADD", keys.notes, note.issued_at, note.id)
    findings.compare(f"{what} in the list of notes", note.issued_at, listed, remedy)


async def _check_credited(
    reads: Reads, keys: BillingKeys, invoice: Invoice, given: Mapping[str, RowCredits], findings: Findings
) -> None:
    """Check the stored credited amount of each row."""
    name = keys.credited(invoice.id)
    stored: dict[str, Decimal | None] = {}
    cursor = "0"
    while True:
        after, flat = (await reads.pipeline(("HSCAN", name, cursor, "COUNT", PAGE)))[0]
        stored |= {flat[i].decode(): decode_amount(flat[i + 1]) for i in range(0, len(flat), 2)}
        cursor = after.decode()
        if cursor == "0":
            break
    for id_ in dict.fromkeys((*given, *stored)):
        must = given[id_].amount if id_ in given else _ZERO
        key = given[id_].row.outcome_key or "" if id_ in given else ""
        remedy = command_remedy("HSET", name, id_, plain(must))
        findings.compare(f"credited of row {id_}", plain(must), _plain(stored.get(id_, _ZERO)), remedy, key=key)


def check_credited_rows(given: Mapping[str, RowCredits], rows: Mapping[str, Row], findings: Findings) -> None:
    """Check that credited rows exist, are creditable, and are not credited above their amount."""
    for id_, one in given.items():
        row, key = rows.get(id_), one.row.outcome_key or ""
        if row is None:
            findings.differ(f"row {id_}, which a credit corrects", "a row of the invoice", "none", RESTORE, key=key)
            continue
        if row.kind not in CREDITABLE:
            findings.differ(f"row {id_}, which a credit corrects", " or ".join(CREDITABLE), row.kind, RESTORE, key=key)
        if one.amount > Decimal(row.amount or 0):
            most = f"at most {row.amount or 0}"
            findings.differ(f"credits of row {id_}", most, plain(one.amount), RESTORE, key=key)
        for name in _SAME:
            if (row.kind, name) != ("manual", "rated"):  # a credit was rated at settlement or at close
                findings.compare(f"credit: {name}", getattr(row, name), getattr(one.row, name), RESTORE, key=key)


def _plain(amount: Decimal | None) -> str:
    return "no number" if amount is None else plain(amount)
