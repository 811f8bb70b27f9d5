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
    """A reversal of an outcome on an invoice: the id of the reversing event, and the line's place (ms)."""

    entry: str
    billed_at: int

    @property
    def accepted_at(self) -> int:
        """The instant (ms) of the reversing event."""
        return int(self.entry.partition("-")[0])


_decode: Final = msgspec.json.Decoder(StoredReversal).decode


def encode_reversal(line: ReversalLine) -> bytes:
    return _encode(StoredReversal(line.entry, line.billed_at))


def decode_reversals(id_: str, fields: Mapping[bytes, bytes]) -> dict[str, StoredReversal]:
    """Return the reversals of an invoice by outcome key. Raises `DamagedInvoice`."""
    try:
        return {key.decode(): _decode(text) for key, text in fields.items()}
    except (msgspec.MsgspecError, ValueError) as wrong:
        raise DamagedInvoice(f"the reversals of invoice {id_} are unreadable: {wrong}", RESTORE) from None


def reversed_in_period(invoice: Invoice, reversals: Mapping[str, StoredReversal]) -> dict[str, int]:
    """Return the outcomes that were reversed before the end of the period, with the instants (ms)."""
    return {key: one.accepted_at for key, one in reversals.items() if one.accepted_at < invoice.end}
