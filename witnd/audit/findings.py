"""Shared parts of the audit of invoices: differences and their remedies."""

from decimal import Decimal, InvalidOperation
from typing import Final

import msgspec

from witnd.audit.scope import MAX_DIFFERENCES, Mismatch
from witnd.domain.invoices.invoice import Row
from witnd.store.errors import DamagedInvoice
from witnd.store.invoices.codec import decode_row

# Errors of decoding bytes that witnd did not write.
UNREADABLE: Final = (
    msgspec.MsgspecError, ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError, DamagedInvoice,
)  # fmt: skip

# The rows of an invoice are copies of lines. If they differ, other data may have changed too.
RESTORE: Final = "do not issue this invoice; restore the keys of the invoices from a backup without audit differences"
FOREIGN_WRITE: Final = "find out what wrote this, as witnd does not; restore a backup without audit differences"


class Findings:
    """Differences of one invoice or of all. Keeps the first ones and counts all."""

    def __init__(self, invoice: str = "") -> None:
        self.invoice = invoice
        self.kept: list[Mismatch] = []
        self.count = 0

    def differ(self, what: str, expected: object, found: object, remedy: str, *, key: str = "") -> None:
        self.count += 1
        if len(self.kept) < MAX_DIFFERENCES:
            one = Mismatch(
                partition=None,
                invoice=self.invoice,
                key=key,
                what=what,
                expected=str(expected),
                found=str(found),
                remedy=remedy,
            )
            self.kept.append(one)

    def compare(self, what: str, expected: object, found: object, remedy: str, *, key: str = "") -> None:
        if expected != found:
            self.differ(what, expected, found, remedy, key=key)

    def merge(self, others: "Findings") -> None:
        """Add the differences of an invoice."""
        self.count += others.count
        self.kept += others.kept[: MAX_DIFFERENCES - len(self.kept)]


def decode_amount(raw: bytes | None) -> Decimal | None:
    """Return a stored amount, 0 if absent, or None if it is not a number."""
    try:
        amount = Decimal((raw or b"0").decode())
    except (InvalidOperation, UnicodeDecodeError):
        return None
    return amount if amount.is_finite() else None


def parse_row(record: bytes) -> Row | None:
    """Return a stored row, or None if it is unreadable."""
    try:
        row = decode_row(record)
        numbers = [Decimal(text) for text in (row.amount, row.unit) if text is not None]
    except UNREADABLE:
        return None
    return row if all(number.is_finite() for number in numbers) else None


def command_remedy(*words: object) -> str:
    """Return the remedy for a derived key: a Redis command."""
    return "keep a copy of the data, stop the daemon, then: " + " ".join(map(_quote, words))


def _quote(word: object) -> str:
    text = str(word)
    if text and not set(text) & set(" \"'\\") and text.isprintable():
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
