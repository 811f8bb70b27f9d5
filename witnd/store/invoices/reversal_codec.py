"""Encodes and decodes the reversals of outcomes on an invoice."""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct

from witnd.domain.invoices.invoice import Invoice
from witnd.domain.outcomes.reversal import ReversalLine
from witnd.store.errors import DamagedInvoice
from witnd.store.invoices.codec import RESTORE

_encode: Final = msgspec.json.Encoder().encode


class StoredReversal(Struct, frozen=True):
    """A reversal of an outcome on an invoice: the id of the reversing event, the line's place (ms), and the instant
    (ms) of the reversal."""

    entry: str
    billed_at: int
    reversed_at: int


_decode: Final = msgspec.json.Decoder(StoredReversal).decode


def encode_reversal(line: ReversalLine) -> bytes:
    return _encode(StoredReversal(line.entry, line.billed_at, line.at))


def decode_reversals(id_: str, fields: Mapping[bytes, bytes]) -> dict[str, StoredReversal]:
    """Return the reversals of an invoice by outcome key. Raises `DamagedInvoice`."""
    try:
        return {key.decode(): _decode(text) for key, text in fields.items()}
    except (msgspec.MsgspecError, ValueError) as wrong:
        raise DamagedInvoice(f"the reversals of invoice {id_} are unreadable: {wrong}", RESTORE) from None


def reversed_in_period(invoice: Invoice, reversals: Mapping[str, StoredReversal]) -> dict[str, int]:
    """Return the outcomes that were reversed before the end of the period, with the instants (ms)."""
    return {key: one.reversed_at for key, one in reversals.items() if one.reversed_at < invoice.end}
