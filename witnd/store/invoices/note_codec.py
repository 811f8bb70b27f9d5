"""Encodes and decodes credit notes: hashes of text, with rows in the format of invoices."""

from collections.abc import Mapping
from typing import Final

import msgspec

from witnd.domain.invoices.operations import CreditNote
from witnd.domain.invoices.tax import TaxRow
from witnd.domain.values.money import plain
from witnd.store.errors import DamagedInvoice, Unsafe
from witnd.store.invoices.codec import RESTORE, decode_row, encode_row, field_text, finite
from witnd.store.records.sealed import DAMAGE

FORMAT: Final = 1

_pack = msgspec.msgpack.Encoder().encode
_rows = msgspec.msgpack.Decoder(list[bytes]).decode
_tax_rows = msgspec.json.Decoder(tuple[TaxRow, ...]).decode


def note_fields(note: CreditNote) -> list[str | bytes | int]:
    """Return all fields except number and instant, as arguments of HSET."""
    return [
        "format", FORMAT,
        "invoice", note.invoice,
        "invoice_number", note.invoice_number,
        "customer_key", note.customer_key,
        "currency", note.currency,
        "digits", note.digits,
        "amount", plain(note.amount),
        "applied", plain(note.applied),
        "reason", note.reason,
        "rows", _pack([encode_row(row) for row in note.rows]),
        *(["tax_rows", field_text(note.tax_rows)] if note.tax_rows else []),
    ]  # fmt: skip


def decode_note(id_: str, raw: Mapping[bytes, bytes]) -> CreditNote | None:
    """Return the credit note from its hash, or None for an empty hash. Raises `DamagedInvoice` or `Unsafe`."""
    try:
        return _decode_note(id_, raw) if raw else None
    except (*DAMAGE, KeyError) as wrong:
        raise DamagedInvoice(f"credit note {id_} is unreadable: {wrong!r}", RESTORE) from None


def _decode_note(id_: str, raw: Mapping[bytes, bytes]) -> CreditNote:
    fields = {name.decode(): text.decode() for name, text in raw.items() if name != b"rows"}
    if int(fields["format"]) > FORMAT:
        raise Unsafe(
            f"a credit note has format {fields['format']}, and this witnd reads formats up to {FORMAT}",
            "run the newer witnd that wrote it",
        )
    return CreditNote(
        id=id_,
        invoice=fields["invoice"],
        invoice_number=fields["invoice_number"],
        customer_key=fields["customer_key"],
        currency=fields["currency"],
        digits=int(fields["digits"]),
        amount=finite(fields["amount"]),
        applied=finite(fields["applied"]),
        reason=fields["reason"],
        rows=tuple(decode_row(row) for row in _rows(raw[b"rows"])),
        tax_rows=_tax_rows(fields["tax_rows"]) if "tax_rows" in fields else (),
        number=fields["number"],
        issued_at=int(fields["issued_at"]),
    )
