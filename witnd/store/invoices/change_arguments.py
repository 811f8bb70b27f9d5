"""What one operation on an invoice reads, and the keys and arguments of the script that writes it."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from msgspec import Struct
from msgspec.structs import asdict

from witnd.domain.invoice_events import events_of
from witnd.domain.invoices.ageing import due_day
from witnd.domain.invoices.invoice import Invoice, PaymentEntry, Row, edition_id
from witnd.domain.invoices.operations import Change
from witnd.domain.invoices.payment import payment_id
from witnd.domain.values.local_day import LocalDay
from witnd.domain.values.money import plain
from witnd.domain.values.period import Calendar
from witnd.store.access.change_log import Change as Logged
from witnd.store.access.change_log import encode_change
from witnd.store.errors import DamagedInvoice
from witnd.store.invoices.codec import RESTORE, billed_fields, edition_fields, encode_row, field_text
from witnd.store.invoices.note_codec import note_fields
from witnd.store.invoices.payment_codec import encode_payment
from witnd.store.keys import BillingKeys
from witnd.store.records.event_codec import event_head
from witnd.store.server.scripts import Argument

# The fields that operations set. The biller sets all others, and the script sets instants.
_FIELDS: Final = (
    "revision", "status", "paid_at", "reason", "credited", "credit_sums", "commitment_credited", "manual", "overrides",
    "total", "issue_data", "issue_date", "due_date", "balance_used", "noted", "noted_net", "note_taxes",
    "notes_applied", "notes", "reversal_notes", "issued_through",
    "payments_total", "payments_applied", "live_payments", "payment_entries",
    "revised_by", "paid_count",
)  # fmt: skip


# Whether an invoice enters or leaves a list; None: neither.
_CHOICE: Final = {True: "1", False: "0", None: ""}


class Snapshot(Struct, frozen=True, kw_only=True):
    """The input of a decision, read in one transaction; texts are in stored form."""

    invoice: Invoice
    at: int  # the server's clock, ms
    calendar: Calendar
    balance_text: bytes
    credited_texts: Mapping[str, bytes]  # of the requested rows
    payments: tuple[PaymentEntry, ...]
    record: bytes | None  # of the operation's token, if it was written before
    last_dates: Mapping[str, str] = {}  # the latest date in each series of numbers
    is_new: bool = False  # the invoice does not exist yet
    first_reversal: int | None = None  # the earliest reversal (ms) that is not credited yet

    @property
    def today(self) -> LocalDay:
        """The local day in the billing time zone."""
        return self.calendar.day_at(self.at)

    @property
    def balance(self) -> Decimal:
        return Decimal(self.balance_text.decode() or "0")

    def credited(self, row: str) -> Decimal:
        """Return the sum of the earlier credits of a row."""
        return Decimal(self.credited_texts[row].decode() or "0")


def balance_field(customer_key: str, currency: str) -> str:
    """Return the field of a customer's balance in the hash of balances."""
    return f"{currency}:{customer_key}"


def change_keys(keys: BillingKeys, change: Change) -> list[str]:
    """Return the keys of the script."""
    id_, note = change.before.id, change.note
    next_ = edition_id(change.before, change.before.edition + 1)
    return [
        keys.invoice(id_),
        keys.changes(id_),
        keys.balance,
        keys.credited(id_),
        keys.credits(id_),
        keys.to_issue,
        keys.series,
        keys.numbers,
        keys.notes,
        keys.invoice(id_) if note is None else keys.note(note.id),
        keys.change_log,
        keys.payments(id_),
        keys.currencies(change.before.customer_key),
        keys.first_numbers,
        keys.lines(id_),
        keys.invoice(next_),
        keys.lines(next_),
        keys.credits(next_),
        keys.credited(next_),
        keys.invoices,
        keys.customer(change.before.customer_key),
        keys.open,
        keys.to_adjust,
        keys.series_dates,
        keys.line_tokens(change.before.customer_key),
        keys.pending_reversals(id_),
        keys.pending_reversals(next_),
        keys.reversals(id_),
        keys.reversals(next_),
        keys.reversed,
        keys.receivables,
        keys.not_overdue,
        keys.events,
    ]


def change_arguments(
    snapshot: Snapshot, change: Change, token: str, logged: Logged | None, known: int
) -> list[Argument]:
    """Return the arguments of the script. `known`: the last known number of the series."""
    invoice, note, series = change.before, change.note, change.series or ""
    account = "" if change.balance is None else balance_field(invoice.customer_key, invoice.currency)
    is_moved = change.balance is not None and change.balance != snapshot.balance
    credited: list[Argument] = []
    for row, amount in change.credited.items():
        credited += [row, snapshot.credited_texts[row], plain(amount)]
    set_, removed = _changed_fields(invoice, change.after)
    return [
        token,
        change.operation,
        invoice.id,
        invoice.revision,
        invoice.status,
        int(invoice.closed),
        change.until or "",
        invoice.currency,
        invoice.digits,
        account,
        snapshot.balance_text,
        plain(change.balance) if change.balance is not None and is_moved else "",
        *_counted(credited),
        *_counted([encode_row(row) for row in change.rows]),
        *_counted([] if change.payment is None else [encode_payment(change.payment)]),
        series,
        known,
        change.first,
        _document_date(snapshot, change),
        "" if change.date is None else "1",
        "" if note is None else note.id,
        *_counted(change.timestamp_fields),
        _CHOICE[change.waits],
        _CHOICE[change.is_pending],
        made_by(change),
        b"" if logged is None else encode_change(logged)[:-1],
        *_counted(set_),
        *_counted(removed),
        *_counted([] if note is None else note_fields(note)),
        "" if change.draft is None else change.draft.id,
        invoice.start,
        "1" if change.draft is not None and (change.draft.subtotal or change.draft.manual) else "",
        *_counted([] if change.draft is None else edition_fields(change.draft)),
        invoice.opened_at or invoice.end,
        *_counted(billed_fields(invoice) if snapshot.is_new else []),
        "1" if change.for_customer else "",
        *_counted(list(change.corrected)),
        *_receivable(change),
        _CHOICE[_awaited(change)],
        *_counted([event_head(event) for event in events_of(change)]),
    ]


def _document_date(snapshot: Snapshot, change: Change) -> str:
    """Return the date of the document that a change numbers."""
    is_issue = change.operation == "issue" and change.after.issue_date is not None
    return change.after.issue_date or "" if is_issue else snapshot.today.date


def _awaited(change: Change) -> bool | None:
    """Return whether the invoice waits for its due date from now on; None: as before."""
    before, after = change.before.is_awaited, change.after.is_awaited
    return None if before == after else after


def _receivable(change: Change) -> list[Argument]:
    """Return whether the invoice is in the list of unpaid ones from now on, and the number of the day it is due."""
    try:
        before, after = due_day(change.before), due_day(change.after)
    except ValueError:
        raise DamagedInvoice(f"the due date of invoice {change.before.id} is damaged", RESTORE) from None
    if before == after:
        return ["", ""]
    return ["0", ""] if after is None else ["1", after]


def rows_mark(rows: Sequence[Row]) -> str:
    """Return the mark of credit rows that one operation appended: the first id, and their number if there are more."""
    return rows[0].id if len(rows) == 1 else f"{rows[0].id}:{len(rows)}"


def made_by(change: Change) -> str:
    """Return the id of what a change creates; empty for the number that the script assigns."""
    if change.made is not None:
        return change.made
    if change.note is not None:
        return change.note.id
    if change.rows and change.operation != "issue":
        return rows_mark(change.rows)
    if change.payment is not None:
        return payment_id(change.before.id, change.before.payment_entries)
    return ""


def _counted(words: Sequence[Argument]) -> list[Argument]:
    """Return words as a list of the script: their number, then the words."""
    return [len(words), *words]


def _changed_fields(before: Invoice, after: Invoice) -> tuple[list[Argument], list[Argument]]:
    """Return the fields that a change sets, as arguments of HSET, and those that it deletes."""
    old, new = asdict(before), asdict(after)
    words: list[Argument] = []
    removed: list[Argument] = []
    for name in _FIELDS:
        value = new[name]
        if value is None and old[name] is not None:
            removed.append(name)
        elif value != old[name]:
            words += [name, value if isinstance(value, int) else field_text(value)]
    return words, removed
