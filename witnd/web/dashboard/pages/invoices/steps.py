"""The steps of an invoice with their dates: what happened, and what comes next."""

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from witnd.app.daemon_services import DaemonServices
from witnd.app.invoices.document import InvoiceInFull
from witnd.domain.invoices.invoice import Invoice
from witnd.domain.values import instant
from witnd.domain.values.local_day import DAY_MS, day_number
from witnd.web.dashboard.present.words import link

# Payments, reversals and credit notes among the steps; their own lists have all.
ENTRIES_MAX: Final = 20


class Step(Struct, frozen=True, kw_only=True):
    """A step at an instant (ms), or on a date if there is one. `code` names it for programs. `amount`: of a payment
    or credit note. `is_coming`: it has not happened yet."""

    code: str
    name: str
    at: int
    date: str | None = None
    amount: str | None = None
    note: str = ""
    to: str | None = None
    to_name: str = ""
    tone: str = ""
    is_coming: bool = False
    counts_down: bool = False


def steps_of(services: DaemonServices, invoice: Invoice, full: InvoiceInFull, today: str) -> list[Step]:
    """Return the steps in the order of their instants; what has no instant yet comes last. `today`: the local date."""
    entries = sorted(_entries(full), key=lambda step: step.at)
    # A payment comes before the step in which it paid the invoice, also in the same millisecond.
    found = sorted([*entries[-ENTRIES_MAX:], *_life(services, invoice, today)], key=lambda step: step.at)
    return [*found, *_unknown(services, invoice)]


def _life(services: DaemonServices, invoice: Invoice, today: str) -> Iterator[Step]:
    """Yield the steps that an invoice can have only once."""
    if invoice.opened_at is None:
        yield Step(code="opened", name="Opened", at=invoice.start, note="when its period began")
    else:
        yield Step(
            code="opened",
            name=f"Opened as edition {invoice.edition}",
            at=invoice.opened_at,
            note="replaces",
            to=link("invoices", invoice.revises or ""),
            to_name=invoice.revises_number or "",
        )
    if invoice.edition == 1:
        if invoice.closed:
            yield Step(code="closed", name="Closed", at=invoice.end, note="when its period ended", tone="pending")
        else:
            yield Step(code="closes", name="Period ends", at=invoice.end, is_coming=True)
    if (issues_at := automatic_issue(services, invoice)) is not None:
        yield Step(code="issues", name="Automatic issue", at=issues_at, is_coming=True, counts_down=True)
    if invoice.issued_at is not None:
        dated = invoice.issue_date if invoice.issue_date != instant.render(invoice.issued_at)[:10] else None
        note = "" if dated is None else f"dated {dated}"
        yield Step(code="issued", name=f"Issued as {invoice.number}", at=invoice.issued_at, note=note, tone="open")
    if invoice.due_date is not None and invoice.status != "void":
        yield _due(invoice, invoice.due_date, today)
    if invoice.paid_at is not None:
        yield Step(code="paid", name="Paid", at=invoice.paid_at, tone="good")
    if invoice.voided_at is not None:
        yield _voided(invoice, invoice.voided_at)


def _due(invoice: Invoice, date: str, today: str) -> Step:
    late = days_late(date, today) if invoice.due else 0
    return Step(
        code="due-date",
        name="Due" if late <= 0 else "Overdue",
        at=max(day_number(date) * DAY_MS, invoice.issued_at or 0),  # it may be issued with an earlier date
        date=date,
        note="" if late <= 0 else f"{late} {'day' if late == 1 else 'days'} ago",
        tone="bad" if late > 0 else "",
        is_coming=bool(invoice.due) and late <= 0,
    )


def days_late(date: str, today: str) -> int:
    """Return how many days ago a due date was; 0 or less: it is not overdue."""
    return day_number(today) - day_number(date)


def _voided(invoice: Invoice, at: int) -> Step:
    if invoice.revised_by is None:
        return Step(code="voided", name="Voided", at=at, tone="bad")
    return Step(
        code="voided",
        name="Revised",
        at=at,
        note="replaced by",
        to=link("invoices", invoice.revised_by),
        to_name=f"edition {invoice.edition + 1}",
        tone="warn",
    )


def _entries(full: InvoiceInFull) -> Iterator[Step]:
    """Yield payments, their reversals, and credit notes."""
    for one in full.payments:
        words = ", ".join(text for text in (one.method, one.reference) if text)
        yield Step(
            code="payment", name="Payment", at=instant.parse(one.recorded_at), date=one.date, amount=one.amount,
            note=words, tone="" if one.reversed else "good",
        )  # fmt: skip
        if one.reversed_at is not None:
            at = instant.parse(one.reversed_at)
            yield Step(code="reversal", name="Payment reversed", at=at, amount=one.amount, tone="warn")
    for note in full.credit_notes:
        if note.issued_at is not None:
            yield Step(
                code="credit-note", name="Credit note", at=instant.parse(note.issued_at), amount=note.total,
                to=link("credit-notes", note.number or note.id), to_name=note.number or note.id[:12], tone="warn",
            )  # fmt: skip


def _unknown(services: DaemonServices, invoice: Invoice) -> Iterator[Step]:
    if invoice.status == "draft" and automatic_issue(services, invoice) is None:
        yield Step(code="issues", name="Issue", at=0, note="manual", is_coming=True)


def automatic_issue(services: DaemonServices, invoice: Invoice) -> int | None:
    """Return when a draft is issued (ms). None: a person has to issue it, or it is issued already."""
    if invoice.status != "draft":
        return None
    billing = services.config.billing
    # A closed draft without amounts, if `zero_invoices` is false.
    unwanted = invoice.closed and not (invoice.subtotal or invoice.manual or billing.zero_invoices)
    if billing.issue == "manual" or unwanted:
        return None
    return (invoice.end if invoice.opened_at is None else invoice.opened_at) + int(billing.grace * 1000)
