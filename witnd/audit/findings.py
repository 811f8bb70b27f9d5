"""What an audit of invoices shares: where differences are told, and the commands that put a key right."""

from decimal import Decimal, InvalidOperation
from typing import Final

import msgspec

from witnd.audit.scope import KEPT, Mismatch
from witnd.domain.invoices.invoice import Row
from witnd.store.errors import DamagedInvoice
from witnd.store.invoices.codec import decode_row

# What decoding raises for bytes that witnd did not write.
UNREADABLE: Final = (
    msgspec.MsgspecError, ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError, DamagedInvoice,
)  # fmt: skip

# The rows of an invoice are a copy of lines: where they differ, nobody knows what else was changed.
RESTORE: Final = (
    "the lines of the partitions are the record: issue nothing of it, and restore the keys of the invoices "
    "from a backup that audits clean"
)
OTHERS: Final = "witnd does not write this: find out who did, and restore a backup that audits clean"


class Findings:
    """Differences of one invoice, or of what is kept about all of them; the first ones are kept, all are counted."""

    def __init__(self, invoice: str = "") -> None:
        self.invoice = invoice
        self.kept: list[Mismatch] = []
        self.count = 0

    def differ(self, what: str, expected: object, found: object, remedy: str, *, key: str = "") -> None:
        self.count += 1
        if len(self.kept) < KEPT:
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

    def take(self, others: "Findings") -> None:
        """Add those of an invoice."""
        self.count += others.count
        self.kept += others.kept[: KEPT - len(self.kept)]


def amount_in(raw: bytes | None) -> Decimal | None:
    """A stored amount, 0 where there is none; None for what is no number."""
    try:
        amount = Decimal((raw or b"0").decode())
    except (InvalidOperation, UnicodeDecodeError):
        return None
    return amount if amount.is_finite() else None


def row_in(record: bytes) -> Row | None:
    """A stored row; None for what is none."""
    try:
        row = decode_row(record)
        numbers = [Decimal(text) for text in (row.amount, row.unit) if text is not None]
    except UNREADABLE:
        return None
    return row if all(number.is_finite() for number in numbers) else None


def by_command(*words: object) -> str:
    """The remedy for a key that only repeats what others say: a command of Redis."""
    return "keep a copy of the data, stop the daemon, then: " + " ".join(map(_quoted, words))


def _quoted(word: object) -> str:
    text = str(word)
    if text and not set(text) & set(" \"'\\") and text.isprintable():
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
