"""Encodes and decodes payments and refunds: MessagePack arrays with a format number."""

from decimal import Decimal
from typing import Final

import msgspec

from witnd.domain.invoices.invoice import PaymentEntry
from witnd.domain.invoices.payment import Refund, parse_date, refund_id
from witnd.domain.values.money import plain
from witnd.store.errors import DamagedInvoice, Unsafe
from witnd.store.invoices.codec import RESTORE, finite
from witnd.store.records.sealed import DAMAGE

FORMAT: Final = 1

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode


def encode_payment(entry: PaymentEntry) -> bytes:
    return _pack(
        (
            FORMAT,
            entry.at,
            plain(entry.amount),
            plain(entry.applied),
            entry.date,
            entry.method,
            entry.reference,
            entry.reverses,
        )
    )


def decode_payment(record: bytes) -> PaymentEntry:
    """Return a payment or reversal. Raises `DamagedInvoice` or `Unsafe`."""
    try:
        fields = _unpack(record)
        _check_format(fields[0])
        _, at, amount, applied, date, method, reference, reverses = fields
        return PaymentEntry(
            at=int(at),
            amount=_positive(amount),
            applied=finite(applied),
            date=parse_date(date),
            method=method,
            reference=reference,
            reverses=None if reverses is None else int(reverses),
        )
    except DAMAGE as wrong:
        raise DamagedInvoice(
            f"a payment of an invoice is unreadable: {wrong}; it starts with {record[:60]!r}", RESTORE
        ) from None


def encode_refund(refund: Refund) -> bytes:
    return _pack(
        (
            FORMAT,
            refund.recorded_at,
            refund.currency,
            refund.digits,
            plain(refund.amount),
            refund.date,
            refund.method,
            refund.reference,
        )
    )


def decode_refund(customer_key: str, index: int, record: bytes) -> Refund:
    """Return a customer's refund by its place in the list. Raises `DamagedInvoice` or `Unsafe`."""
    try:
        fields = _unpack(record)
        _check_format(fields[0])
        _, at, currency, digits, amount, date, method, reference = fields
        return Refund(
            id=refund_id(customer_key, index),
            customer_key=customer_key,
            currency=currency,
            digits=int(digits),
            amount=_positive(amount),
            date=parse_date(date),
            method=method,
            reference=reference,
            recorded_at=int(at),
        )
    except DAMAGE as wrong:
        raise DamagedInvoice(
            f"refund {index} of customer {customer_key!r} is unreadable: {wrong}; it starts with {record[:60]!r}",
            RESTORE,
        ) from None


def _positive(text: str) -> Decimal:
    amount = finite(text)
    if amount <= 0:
        raise ValueError(f"amount {text!r}")
    return amount


def _check_format(number: int) -> None:
    if number > FORMAT:
        raise Unsafe(
            f"a payment or refund has format {number}, and this witnd reads formats up to {FORMAT}",
            "run the newer witnd that wrote it",
        )
