"""Audit the head of an invoice: its period, status and lists."""

from decimal import Decimal
from typing import Final, TypeGuard

from witnd.audit.findings import FOREIGN_WRITE, RESTORE, Findings, command_remedy
from witnd.audit.invoices.snapshot import END_OF_TIME, InvoiceSnapshot, decode_score
from witnd.domain.invoices.ageing import due_day
from witnd.domain.invoices.invoice import Invoice, edition_id
from witnd.domain.invoices.issue_data import IssueData
from witnd.domain.invoices.issue_terms import PAYMENT_TERMS_DAYS
from witnd.domain.invoices.payment import parse_date
from witnd.domain.values import instant
from witnd.domain.values.local_day import day_number, day_text
from witnd.domain.values.money import plain
from witnd.domain.values.period import Calendar
from witnd.store.invoices.change_arguments import balance_field
from witnd.store.keys import BillingKeys
from witnd.store.query.reads import Reads

_ZERO: Final = Decimal(0)
# Fields that each status requires.
_TIMESTAMPS: Final = {
    "draft": (),
    "issued": ("issued_at",),
    "paid": ("issued_at", "paid_at"),
    "void": ("issued_at", "voided_at", "reason"),
}


def check_head(
    keys: BillingKeys, snapshot: InvoiceSnapshot, calendar: Calendar, closed_to: int, findings: Findings
) -> None:
    """Check what a single snapshot shows."""
    invoice = snapshot.invoice
    findings.compare("id", edition_id(invoice, invoice.edition), invoice.id, RESTORE)
    _check_edition(invoice, findings)
    _check_period(keys, invoice, calendar, findings)
    _check_lists(keys, snapshot, findings)
    _check_receivable(keys, snapshot, findings)
    _check_life(keys, snapshot, calendar, findings)
    # Periods close in the order of their ends. Of the last period, some drafts may still be open.
    if not invoice.closed and invoice.end < closed_to:
        until = instant.render(closed_to)
        found = f"open until {instant.render(invoice.end)}"
        remedy = f"{RESTORE}; witnd does not close it any more, because later periods are closed"
        findings.differ("closed", f"closed: all until {until} are", found, remedy)


def _check_period(keys: BillingKeys, invoice: Invoice, calendar: Calendar, findings: Findings) -> None:
    """Compare the period of an invoice with the calendar, of which it is a copy."""
    if invoice.start >= calendar.until:
        until = instant.render(calendar.until)
        findings.differ("start of the period", f"before {until}", instant.render(invoice.start), RESTORE)
        return
    period = calendar.period_at(invoice.start)
    for name, must in (("start", period.start), ("end", period.end)):
        found = getattr(invoice, name)
        remedy = command_remedy("HSET", keys.invoice(invoice.id), name, must)
        findings.compare(f"{name} of the period", instant.render(must), instant.render(found), remedy)
    findings.compare("kind of period", period.kind, invoice.period, RESTORE)
    for name, expected in (("zone", period.zone), ("first_day", period.first_day), ("last_day", period.last_day)):
        remedy = command_remedy("HSET", keys.invoice(invoice.id), name, expected)
        findings.compare(name, expected, getattr(invoice, name), remedy)


def _check_edition(invoice: Invoice, findings: Findings) -> None:
    """Check the links between the editions of an invoice."""
    before = None if invoice.edition == 1 else edition_id(invoice, invoice.edition - 1)
    findings.compare("revises", before, invoice.revises, RESTORE)
    if (invoice.opened_at is None) != (invoice.edition == 1):
        expected = "none" if invoice.edition == 1 else "known"
        findings.differ("opened_at", expected, invoice.opened_at or "none", RESTORE)
    if invoice.revised_by is not None:
        findings.compare("revised_by", edition_id(invoice, invoice.edition + 1), invoice.revised_by, RESTORE)
        findings.compare("status of a revised invoice", "void", invoice.status, RESTORE)


def _check_lists(keys: BillingKeys, snapshot: InvoiceSnapshot, findings: Findings) -> None:
    invoice = snapshot.invoice
    waits = invoice.closed and invoice.status == "draft"
    places = [
        ("the list of invoices", keys.invoices, snapshot.listed, invoice.start),
        ("the list of open drafts", keys.open, snapshot.open, None if invoice.closed else invoice.end),
    ]
    # The setting for issuing invoices without any amount may have been different then. With manual lines, the biller
    # adds it when it has adjusted the discounts, or an operation does.
    has_lines = any(line.applied for line in invoice.manual) and snapshot.to_adjust is None
    is_empty = not invoice.subtotal and not has_lines
    if not (waits and snapshot.to_issue is None and is_empty):
        must = (invoice.opened_at or invoice.end) if waits else None
        places.append(("the list of drafts to be issued", keys.to_issue, snapshot.to_issue, must))
    # It stays in this list when its lines are removed, and for a moment when its period closes.
    if (invoice.manual and not invoice.closed) or snapshot.to_adjust is not None:
        must = invoice.end if invoice.status == "draft" and invoice.edition == 1 else None
        places.append(("the list of drafts with manual lines", keys.to_adjust, snapshot.to_adjust, must))
    for name, key, found, place in places:
        remedy = (
            command_remedy("ZREM", key, invoice.id) if place is None else command_remedy("ZADD", key, place, invoice.id)
        )
        findings.compare(f"place in {name}", _list_place(place), _list_place(found), remedy)
    if invoice.closed and any(snapshot.rows):
        remedy = command_remedy("UNLINK", *(keys.rows(invoice.id, number) for number in range(len(snapshot.rows))))
        findings.differ("rows of a draft", "none: it is closed", sum(snapshot.rows), remedy)


def _check_receivable(keys: BillingKeys, snapshot: InvoiceSnapshot, findings: Findings) -> None:
    """Check that an unpaid invoice is in the list of unpaid ones, by the number of the day it is due, and until it is
    overdue in that of invoices that are not overdue."""
    invoice = snapshot.invoice
    if invoice.due_date is not None and not _is_date(invoice.due_date):
        return  # reported elsewhere
    due = due_day(invoice)
    lists = (
        ("unpaid invoices", keys.receivables, due, snapshot.receivable),
        ("invoices that are not overdue", keys.not_overdue, due if invoice.is_awaited else None, snapshot.not_overdue),
    )
    for name, key, must, score in lists:
        remedy = (
            command_remedy("ZREM", key, invoice.id) if must is None else command_remedy("ZADD", key, must, invoice.id)
        )
        expected, found = ("not in it" if day is None else str(day) for day in (must, score))
        findings.compare(f"day in the list of {name}", expected, found, remedy)


def _list_place(ms: int | None) -> str:
    if ms is None:
        return "not in it"
    return instant.render(ms) if 0 <= ms < END_OF_TIME else str(ms)


def _check_life(keys: BillingKeys, snapshot: InvoiceSnapshot, calendar: Calendar, findings: Findings) -> None:
    invoice = snapshot.invoice
    findings.compare("revision", snapshot.changes, invoice.revision, FOREIGN_WRITE)
    stamps = _TIMESTAMPS.get(invoice.status)
    if stamps is None:
        findings.differ("status", "draft, issued, paid or void", invoice.status, RESTORE)
        return
    for name in ("issued_at", "paid_at", "voided_at", "reason"):
        found = getattr(invoice, name)
        if (found is not None) != (name in stamps):
            expected = "known" if name in stamps else "none"
            findings.differ(f"{name} where the status is {invoice.status}", expected, found or "none", RESTORE)
    if invoice.status == "draft":
        for name in ("number", "total", "issue_date", "due_date"):
            findings.compare(f"{name} of a draft", None, getattr(invoice, name), RESTORE)
        for name in ("issue_data", "note_taxes"):
            if getattr(invoice, name):
                findings.differ(f"{name} of a draft", "none", "there are some", RESTORE)
        for name in ("balance_used", "payments_total", "payments_applied", "noted", "noted_net", "notes_applied"):
            findings.compare(f"{name} of a draft", "0", plain(getattr(invoice, name)), RESTORE)
        for name in ("notes", "payment_entries", "live_payments"):
            findings.compare(f"{name} of a draft", 0, getattr(invoice, name), RESTORE)
        return
    if not invoice.closed:
        findings.differ("closed", f"closed: it is {invoice.status}", "open", RESTORE)
    if invoice.issue_data is None:
        findings.differ("issue_data", f"known: it is {invoice.status}", "none", RESTORE)
    if (invoice.total or _ZERO) < _ZERO or invoice.balance_used < _ZERO:
        expected = "0 or more, with 0 or more of the balance used"
        findings.differ("total", expected, f"{invoice.total}, {plain(invoice.balance_used)}", RESTORE)
    _check_dates(keys, invoice, calendar, findings)
    _check_due(keys, invoice, findings)


def _check_dates(keys: BillingKeys, invoice: Invoice, calendar: Calendar, findings: Findings) -> None:
    if invoice.issued_at is None:
        return  # reported before
    # An operator may choose an earlier date, but none before the last day of the period.
    first = invoice.last_day
    last = max(first, calendar.day_at(invoice.issued_at).date)
    if not _is_date(invoice.issue_date) or not first <= invoice.issue_date <= last:
        remedy = command_remedy("HSET", keys.invoice(invoice.id), "issue_date", last)
        findings.differ("issue_date", f"from {first} to {last}", invoice.issue_date or "none", remedy)
    elif invoice.issue_data is not None:
        due = day_text(day_number(invoice.issue_date) + _payment_terms(invoice.issue_data))
        remedy = command_remedy("HSET", keys.invoice(invoice.id), "due_date", due)
        findings.compare("due_date", due, invoice.due_date, remedy)


def _is_date(text: str | None) -> TypeGuard[str]:
    try:
        return text is not None and bool(parse_date(text))
    except ValueError:
        return False


def _payment_terms(data: IssueData) -> int:
    """Return the days from issue until an invoice is due: those of the buyer, else those of the seller."""
    if data.buyer is not None and data.buyer.payment_terms_days is not None:
        return data.buyer.payment_terms_days
    return PAYMENT_TERMS_DAYS if data.seller is None else data.seller.payment_terms_days


def _check_due(keys: BillingKeys, invoice: Invoice, findings: Findings) -> None:
    """Check that what is due matches the status: 0 if paid, above 0 if issued. Nothing pays a void invoice."""
    if invoice.status == "void":
        for name in ("balance_used", "payments_total", "payments_applied"):
            findings.compare(f"{name} of a void invoice", "0", plain(getattr(invoice, name)), RESTORE)
        # With taxes, one credit note cancels the whole invoice.
        cancelled = (invoice.total or _ZERO) if invoice.tax_rows else _ZERO
        for name in ("noted", "notes_applied"):
            findings.compare(f"{name} of a void invoice", plain(cancelled), plain(getattr(invoice, name)), RESTORE)
        for name, number in (("notes", int(bool(invoice.tax_rows))), ("live_payments", 0)):
            findings.compare(f"{name} of a void invoice", number, getattr(invoice, name), RESTORE)
        return
    due = invoice.due
    if due is None:
        return  # reported before
    if due < _ZERO:
        findings.differ("due", "0 or more", plain(due), RESTORE)
    must = "issued" if due > _ZERO else "paid"
    what = f"status where {plain(due)} is due"
    findings.compare(what, must, invoice.status, command_remedy("HSET", keys.invoice(invoice.id), "status", must))


async def check_references(reads: Reads, keys: BillingKeys, invoice: Invoice, findings: Findings) -> bool:
    """Check the references to an invoice, which are written before or with its head. Return whether its customer's
    balance exists, if one must."""
    commands = (
        ("ZSCORE", keys.customer(invoice.customer_key), invoice.id),
        ("HGET", keys.numbers, invoice.number or ""),
        ("HEXISTS", keys.balance, balance_field(invoice.customer_key, invoice.currency)),
        ("HGET", keys.invoice(invoice.revises or ""), "revised_by"),
        ("HGET", keys.invoice(invoice.revised_by or ""), "revises"),
    )
    score, name, balance, before, after = await reads.pipeline(*commands)
    for what, other, link in (("before", invoice.revises, before), ("after", invoice.revised_by, after)):
        if other is not None:
            found = "none" if link is None else link.decode()
            findings.compare(f"link of the edition {what}", invoice.id, found, RESTORE)
    listed = decode_score(score)
    list_ = keys.customer(invoice.customer_key)
    remedy = command_remedy("ZADD", list_, invoice.start, invoice.id)
    findings.compare("place in the list of its customer", _list_place(invoice.start), _list_place(listed), remedy)
    if invoice.status != "draft":
        if invoice.number is None:
            findings.differ("number", f"one: it is {invoice.status}", "none", RESTORE)
        else:
            found = "none" if name is None else name.decode()
            remedy = command_remedy("HSET", keys.numbers, invoice.number, invoice.id)
            findings.compare(f"number {invoice.number}", f"of invoice {invoice.id}", f"of invoice {found}", remedy)
    return bool(balance) or not (invoice.noted or invoice.payments_total or invoice.balance_used)
