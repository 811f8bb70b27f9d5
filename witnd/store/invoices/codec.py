"""Encodes and decodes invoices: heads are hashes of text, rows are MessagePack arrays with a format number.

A head has two writers with separate fields: the biller writes the sums, operations (issue, pay, …) write the state. So
neither overwrites the other.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, Final, TypeVar

import msgspec

from witnd.domain.invoices.invoice import KINDS, Invoice, Row, Status
from witnd.domain.invoices.issue_data import IssueData
from witnd.domain.invoices.sums import Sums, TaxOverride
from witnd.domain.invoices.tax import ManualLine, TaxRow
from witnd.domain.outcomes.resolution import derived_id
from witnd.domain.values.money import plain
from witnd.store.errors import DamagedInvoice, Unsafe
from witnd.store.records.sealed import DAMAGE

FORMAT: Final = 1

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode
# Parts of a head are JSON: a person can read them, and no other program has to.
_json = msgspec.json.Encoder().encode
_sums = msgspec.json.Decoder(Sums).decode
_amounts = msgspec.json.Decoder(dict[str, Decimal]).decode
_places = msgspec.json.Decoder(dict[int, int]).decode
_manual = msgspec.json.Decoder(tuple[ManualLine, ...]).decode
_overrides = msgspec.json.Decoder(tuple[TaxOverride, ...]).decode
_tax_rows = msgspec.json.Decoder(tuple[TaxRow, ...]).decode
_issue_data = msgspec.json.Decoder(IssueData).decode

T = TypeVar("T")
RESTORE = "restore the keys of this invoice from a backup of Redis; settlement continues meanwhile"


@contextmanager
def contradictions(id_: str) -> Iterator[None]:
    """Raise `DamagedInvoice` if parts of a head contradict each other, so that the caller can skip this invoice."""
    try:
        yield
    except (*DAMAGE, KeyError) as wrong:
        raise DamagedInvoice(f"the taxes of invoice {id_} cannot be calculated: {wrong!r}", RESTORE) from wrong


def encode_row(row: Row) -> bytes:
    return _pack(
        (
            FORMAT,
            KINDS.index(row.kind),
            # The id of an outcome's row follows from its key.
            None if row.kind == "outcome" else bytes.fromhex(row.id),
            row.agent_key,
            row.rate_card,
            None if row.price_hash is None else bytes.fromhex(row.price_hash),
            row.amount,
            row.amount_exact,
            row.rated == "at_close",
            row.price_per_unit,
            row.outcome_key,
            row.resolved_at,
            None if row.contract_hash is None else bytes.fromhex(row.contract_hash),
            row.unit,
            row.working,
            None if row.corrects is None else bytes.fromhex(row.corrects),
            row.reason,
            row.repaired_at,
            *(() if row.tax is None and row.grade is None and row.reversed_at is None else _rare_fields(row)),
        )
    )


def _rare_fields(row: Row) -> tuple[object, ...]:
    """Return the last fields, which most rows do not have."""
    return (row.tax, row.grade) if row.reversed_at is None else (row.tax, row.grade, row.reversed_at)


def decode_row(record: bytes) -> Row:
    """Return a row. Raises `DamagedInvoice`, because without the row the sums of its invoice would be wrong."""
    try:
        return _decode_row(record)
    except DAMAGE as wrong:
        raise DamagedInvoice(
            f"a row of an invoice is unreadable: {wrong}; it starts with {record[:60]!r}", RESTORE
        ) from None


def _decode_row(record: bytes) -> Row:
    fields = _unpack(record)
    _check_format(fields[0])
    (_, kind, id_, agent, card, price, amount, exact, at_close, per_unit, outcome, resolved, contract, unit, working,
     corrects, reason, repaired, *more) = fields  # fmt: skip
    tax, grade, reversed_at = (*more, None)[:3] if more else (None, None, None)
    return Row(
        id=derived_id("line", outcome) if id_ is None else id_.hex(),
        kind=KINDS[kind],
        agent_key=agent,
        rate_card=card,
        price_hash=None if price is None else price.hex(),
        amount=amount,
        amount_exact=exact,
        rated="at_close" if at_close else "at_settlement",
        price_per_unit=per_unit,
        outcome_key=outcome,
        resolved_at=resolved,
        contract_hash=None if contract is None else contract.hex(),
        unit=unit,
        working=working,
        corrects=None if corrects is None else corrects.hex(),
        reason=reason,
        repaired_at=repaired,
        grade=grade,
        tax=tax,
        reversed_at=reversed_at,
    )


def decode_invoice(id_: str, raw: Mapping[bytes, bytes]) -> Invoice | None:
    """Return the head from its hash, or None for an empty hash. Raises `DamagedInvoice` or `Unsafe`."""
    try:
        return _decode_invoice(id_, raw)
    except (*DAMAGE, KeyError) as wrong:
        raise DamagedInvoice(f"the head of invoice {id_} is unreadable: {wrong!r}", RESTORE) from None


def _decode_invoice(id_: str, raw: Mapping[bytes, bytes]) -> Invoice | None:
    fields = {name.decode(): text.decode() for name, text in raw.items()}
    if not fields:
        return None
    _check_format(int(fields["format"]))
    status: Any = fields.get("status", "draft")
    closed = fields["closed"]
    if closed not in ("0", "1"):
        raise ValueError(f"closed {closed!r}")
    return Invoice(
        id=id_,
        customer_key=fields["customer_key"],
        currency=fields["currency"],
        digits=int(fields["digits"]),
        start=int(fields["start"]),
        end=int(fields["end"]),
        period=fields["period"],
        zone=fields["zone"],
        first_day=fields["first_day"],
        last_day=fields["last_day"],
        lines=int(fields["lines"]),
        unrated=int(fields["unrated"]),
        subtotal=finite(fields["subtotal"]),
        closed=closed == "1",
        reversed=int(fields.get("reversed", "0")),
        sums=_sums(fields["sums"]) if closed == "1" else None,
        revision=int(fields.get("revision", "0")),
        status=_status(status),
        number=fields.get("number"),
        issued_at=_instant(fields, "issued_at"),
        paid_at=_instant(fields, "paid_at"),
        voided_at=_instant(fields, "voided_at"),
        reason=fields.get("reason"),
        credited=finite(fields.get("credited", "0")),
        credit_sums=_part(fields, "credit_sums", _amounts, {}),
        commitment_credited=finite(fields.get("commitment_credited", "0")),
        manual=_part(fields, "manual", _manual, ()),
        overrides=_part(fields, "overrides", _overrides, ()),
        total=finite(fields["total"]) if "total" in fields else None,
        issued_through=_instant(fields, "issued_through"),
        issue_date=fields.get("issue_date"),
        due_date=fields.get("due_date"),
        balance_used=finite(fields.get("balance_used", "0")),
        noted=finite(fields.get("noted", "0")),
        noted_net=finite(fields.get("noted_net", "0")),
        note_taxes=_part(fields, "note_taxes", _tax_rows, ()),
        issue_data=_issue_data(fields["issue_data"]) if "total" in fields else None,
        notes_applied=finite(fields.get("notes_applied", "0")),
        notes=int(fields.get("notes", "0")),
        reversal_notes=_part(fields, "reversal_notes", _places, {}),
        payments_total=finite(fields.get("payments_total", "0")),
        payments_applied=finite(fields.get("payments_applied", "0")),
        live_payments=int(fields.get("live_payments", "0")),
        payment_entries=int(fields.get("payment_entries", "0")),
        paid_count=int(fields.get("paid_count", "0")),
        overdue_at=_instant(fields, "overdue_at"),
        edition=int(fields.get("edition", "1")),
        revises=fields.get("revises"),
        revises_number=fields.get("revises_number"),
        revised_by=fields.get("revised_by"),
        opened_at=_instant(fields, "opened_at"),
    )


def billed_fields(invoice: Invoice) -> list[str | int]:
    """Return the biller's fields of a head, as arguments of HSET."""
    return [
        "format", FORMAT,
        "customer_key", invoice.customer_key,
        "currency", invoice.currency,
        "digits", invoice.digits,
        "start", invoice.start,
        "end", invoice.end,
        "period", invoice.period,
        "zone", invoice.zone,
        "first_day", invoice.first_day,
        "last_day", invoice.last_day,
        "lines", invoice.lines,
        "unrated", invoice.unrated,
        "subtotal", plain(invoice.subtotal),
        "closed", int(invoice.closed),
        *_reversed_field(invoice),
    ]  # fmt: skip


def sums_fields(invoice: Invoice) -> list[str | int]:
    """Return the sums of a closed invoice by tax key, as arguments of HSET."""
    return ["sums", field_text(invoice.sums)]


def field_text(part: object) -> str:
    """Return the stored text of a part of a head."""
    if isinstance(part, Decimal):
        return plain(part)
    return part if isinstance(part, str) else _json(part).decode()


def edition_fields(invoice: Invoice) -> list[str | int]:
    """Return the fields of the draft of a next edition, as arguments of HSET. The script adds `opened_at`."""
    return [
        *billed_fields(invoice),
        *sums_fields(invoice),
        "credited", plain(invoice.credited),
        "credit_sums", field_text(invoice.credit_sums),
        "commitment_credited", plain(invoice.commitment_credited),
        "manual", field_text(invoice.manual),
        "overrides", field_text(invoice.overrides),
        "edition", invoice.edition,
        "revises", invoice.revises or "",
        "revises_number", invoice.revises_number or "",
        *_through_field(invoice),
    ]  # fmt: skip


def grown_fields(invoice: Invoice) -> list[str | int]:
    """Return the fields that a new line changes, as arguments of HSET."""
    return [
        "lines", invoice.lines,
        "unrated", invoice.unrated,
        "subtotal", plain(invoice.subtotal),
        "digits", invoice.digits,
        *_reversed_field(invoice),
    ]  # fmt: skip


def _through_field(invoice: Invoice) -> list[str | int]:
    """Return the instant before which reversals are credited by rows, if it is known."""
    return [] if invoice.issued_through is None else ["issued_through", invoice.issued_through]


def _reversed_field(invoice: Invoice) -> list[str | int]:
    """Return the number of reversed rows, if there are any."""
    return ["reversed", invoice.reversed] if invoice.reversed else []


def _part(fields: Mapping[str, str], name: str, decode: Callable[[str], T], absent: T) -> T:
    text = fields.get(name)
    return absent if text is None else decode(text)


def _status(text: Status) -> Status:
    return text


def finite(text: str) -> Decimal:
    """Return an amount of money. Raises `ValueError`."""
    amount = Decimal(text)
    if not amount.is_finite():
        raise ValueError(f"amount {text!r}")
    return amount


def _instant(fields: Mapping[str, str], name: str) -> int | None:
    text = fields.get(name)
    return None if text is None else int(text)


def _check_format(number: int) -> None:
    if number > FORMAT:
        raise Unsafe(
            f"an invoice has format {number}, and this witnd reads formats up to {FORMAT}",
            "run the newer witnd that wrote it",
        )
