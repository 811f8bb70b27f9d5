"""Consistent snapshots of invoices and the biller: Redis commands and decoded replies."""

from collections.abc import Sequence
from math import isfinite
from typing import Any, Final, NamedTuple

from msgspec import Struct

from witnd.audit.findings import UNREADABLE
from witnd.domain.invoices.invoice import Invoice
from witnd.domain.outcomes.event import EntryId
from witnd.domain.values.period import Calendar
from witnd.store.invoices.codec import decode_invoice
from witnd.store.invoices.ledger import stored_calendar
from witnd.store.keys import BillingKeys
from witnd.store.query.reads import Command
from witnd.store.records.line_position import LinePosition
from witnd.store.records.state_fields import StateFields

# After every instant that witnd can write.
END_OF_TIME: Final = 253_402_300_800_000
COMMANDS_PER_INVOICE: Final = 15  # without those per partition


class BillerSnapshot(NamedTuple):
    """The progress of the biller."""

    positions: dict[int, LinePosition]
    calendar: Calendar | None
    closed_to: int
    charged_to: int = 0

    @property
    def read(self) -> dict[int, EntryId]:
        return {partition: position.entry for partition, position in self.positions.items()}


class InvoiceSnapshot(Struct, frozen=True, kw_only=True):
    """An invoice and the lengths of its lists at one time. Scores in lists are None if absent."""

    invoice: Invoice
    listed: int | None
    open: int | None
    to_issue: int | None
    to_adjust: int | None
    receivable: int | None
    not_overdue: int | None
    lines: int
    credits: int
    credited: int
    changes: int
    payments: list[bytes]
    reversals: int
    pending: list[bytes]  # outcome keys and instants of reversals that are not credited yet
    reversed: int | None
    rows: list[int]  # per partition


def decode_biller(key: str, flat: Sequence[bytes]) -> BillerSnapshot:
    """Decode the biller's state."""
    fields = StateFields.from_hash(key, flat)
    fields.number("seq")
    return BillerSnapshot(
        positions=fields.positions(),
        calendar=stored_calendar(fields),
        closed_to=fields.number("closed_to"),
        charged_to=fields.number("charged_to"),
    )


def snapshot_commands(keys: BillingKeys, partitions: Sequence[int], ids: Sequence[str]) -> list[Command]:
    """Return the commands whose replies `decode_snapshot` decodes."""
    commands: list[Command] = []
    for id_ in ids:
        commands += (
            ("HGETALL", keys.invoice(id_)),
            ("ZSCORE", keys.invoices, id_),
            ("ZSCORE", keys.open, id_),
            ("ZSCORE", keys.to_issue, id_),
            ("ZSCORE", keys.to_adjust, id_),
            ("ZSCORE", keys.receivables, id_),
            ("ZSCORE", keys.not_overdue, id_),
            ("LLEN", keys.lines(id_)),
            ("LLEN", keys.credits(id_)),
            ("HLEN", keys.credited(id_)),
            ("HLEN", keys.changes(id_)),
            ("LRANGE", keys.payments(id_), 0, -1),
            ("HLEN", keys.reversals(id_)),
            ("ZRANGE", keys.pending_reversals(id_), 0, -1, "WITHSCORES"),
            ("ZSCORE", keys.reversed, id_),
            *(("LLEN", keys.rows(id_, number)) for number in partitions),
        )
    return commands


def decode_snapshot(id_: str, answers: Sequence[Any]) -> InvoiceSnapshot | str:
    """Return the snapshot of an invoice, or why it is unreadable."""
    if any(isinstance(one, Exception) for one in answers):
        return "unreadable: one of its keys holds another type of data"
    flat, listed, open_, to_issue, to_adjust, receivable, not_overdue, *more = answers
    lines, credits_, credited, changes, payments, *more = more
    reversals, pending, reversed_, *rows = more
    try:
        invoice = decode_invoice(id_, {flat[i]: flat[i + 1] for i in range(0, len(flat), 2)})
    except UNREADABLE:
        return "unreadable"
    if invoice is None:
        return "none"
    if not 0 <= invoice.start < invoice.end < END_OF_TIME:
        return "unreadable"
    return InvoiceSnapshot(
        invoice=invoice,
        listed=decode_score(listed),
        open=decode_score(open_),
        to_issue=decode_score(to_issue),
        to_adjust=decode_score(to_adjust),
        receivable=decode_score(receivable),
        not_overdue=decode_score(not_overdue),
        lines=lines,
        credits=credits_,
        credited=credited,
        changes=changes,
        payments=payments,
        reversals=reversals,
        pending=pending,
        reversed=decode_score(reversed_),
        rows=rows,
    )


def decode_score(answer: bytes | None) -> int | None:
    if answer is None:
        return None
    score = float(answer)
    return int(score) if isfinite(score) else -1  # not in any period
