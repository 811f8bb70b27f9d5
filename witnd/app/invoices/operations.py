"""Find and list invoices and credit notes; issue, void and revise an invoice. Each change is in the change log.

The domain decides what may be done. Payments are in `payments`, credits in `credit`, exports in `exports`.
"""

from decimal import Decimal
from typing import Final

from msgspec import Struct

from witnd.app.errors import Refused, checked_cursor, invalid, invalid_cursor, not_found
from witnd.app.invoices.change import check_reason, do, reuse_error
from witnd.app.invoices.facts import ExchangeRate, read_exchange_rate
from witnd.app.invoices.reversals import collected_through
from witnd.app.services import Services
from witnd.billing.reversals import pending_reversals, reversed_rows
from witnd.domain.invoices import cancel as cancelling
from witnd.domain.invoices import issue as issuing
from witnd.domain.invoices.invoice import Invoice
from witnd.domain.invoices.issue_terms import issue_terms
from witnd.domain.invoices.json_form import InvoiceJson, invoice_json
from witnd.domain.invoices.operations import (
    Change,
    CreditNote,
    Decision,
    Refusal,
    Unchanged,
    amount_text,
    invoice_label,
)
from witnd.domain.invoices.payment import parse_date
from witnd.domain.values import instant
from witnd.domain.values.mistake import Mistake
from witnd.domain.values.period_text import DateRange, parse_period
from witnd.store.access.change_log import Author
from witnd.store.invoices.change import Operation
from witnd.store.invoices.change_arguments import Snapshot
from witnd.store.invoices.reads import Ambiguous, InvoiceFilter
from witnd.store.invoices.series import credit_series, invoice_series
from witnd.store.page import Page

STAGES: Final = ("open", "draft", "issued", "paid", "void")
# Heads that are looked at in one request: less than a tenth of a second.
LOOKED_AT_MAX: Final = 2_000
# The reason of a revised invoice, unless another is given.
REVISED: Final = "replaced by a revised invoice"


class Revision(Struct, frozen=True, kw_only=True):
    """A revised invoice, and the draft of its next edition."""

    done: Operation | Unchanged
    draft: Invoice


class Shown(Struct, frozen=True, kw_only=True):
    """What the author has seen of an invoice: its revision, and its total with tax (None: any)."""

    revision: int
    total: Decimal | None


class Revised(InvoiceJson, frozen=True, kw_only=True):
    """The draft of the next edition, and the invoice that it replaces."""

    voided: InvoiceJson


# -- which -------------------------------------------------------------------------------------------------------------


def wanted(
    *,
    customer_key: str | None = None,
    currency: str | None = None,
    status: str | None = None,
    period: str | None = None,
) -> InvoiceFilter:
    """Parse a query: statuses are separated by commas; a period is a year, month, day or instant.

    A year or month means the invoices whose periods begin in it, a day or instant those it lies in.
    """
    stages = [] if status is None else status.split(",")
    for stage in stages:
        if stage not in STAGES:
            raise invalid("status", f"must be one of {', '.join(STAGES)}, got {stage!r}")
    asked = InvoiceFilter() if period is None else _in_period(period)
    return InvoiceFilter(
        customer=customer_key,
        currency=currency,
        stages=frozenset(stages),
        dates=asked.dates,
        around=asked.around,
    )


def _in_period(text: str) -> InvoiceFilter:
    try:
        return InvoiceFilter(around=instant.parse(text)) if "T" in text else in_period(parse_period(text))
    except ValueError as wrong:
        raise invalid("period", f"{text!r} {wrong}; use a year, month or day such as 2026-11") from None


def in_period(dates: DateRange) -> InvoiceFilter:
    """Return a filter for the periods that begin in a year or month, or contain a day. Dates are local."""
    return InvoiceFilter(dates=dates)


async def listed(
    services: Services, asked: InvoiceFilter, limit: int, after: str | None, *, looked_at_max: int | None = None
) -> Page[Invoice]:
    """Return a page of invoices, the newest period first. If few match, a short page can have a cursor."""
    with checked_cursor():
        return await services.invoices.page(asked, limit, after, most=looked_at_max or LOOKED_AT_MAX)


async def document(services: Services, name: str, *, can_shorten: bool = False) -> Invoice | CreditNote:
    """Return the invoice or credit note with this id or number. `can_shorten`: accept a prefix of an id, which reads
    all ids."""
    return await _find(services, name, "invoice or credit note", can_shorten=can_shorten)


async def named(services: Services, name: str, *, can_shorten: bool = False) -> Invoice:
    """Return the invoice with this id or number."""
    found = await _find(services, name, "invoice", can_shorten=can_shorten)
    if isinstance(found, CreditNote):
        raise Refused("NOT_FOUND", f"{name} is a credit note for {found.invoice_number}", remedy="give an invoice")
    return found


async def note_named(services: Services, name: str, *, can_shorten: bool = False) -> CreditNote:
    """Return the credit note with this id or number."""
    found = await _find(services, name, "credit note", can_shorten=can_shorten)
    if isinstance(found, Invoice):
        raise Refused("NOT_FOUND", f"{name} is an invoice", remedy="give a credit note")
    return found


async def _find(services: Services, name: str, kind: str, *, can_shorten: bool) -> Invoice | CreditNote:
    try:
        found = await services.invoices.find(name, can_shorten=can_shorten)
    except Ambiguous as several:
        remedy = "use a longer prefix, or the number"
        details = [Mistake("id", f"{several}; {remedy}")]
        raise Refused("VALIDATION_ERROR", str(several), details, remedy=remedy) from None
    if found is None:
        raise not_found(kind, name)
    return found


async def notes_of(services: Services, invoice: Invoice, limit: int, after: str | None) -> Page[CreditNote]:
    """Return the credit notes of an invoice, the newest first; the cursor is the number of older ones."""
    last = invoice.notes
    if after is not None:
        if not (after.isascii() and after.isdigit() and len(after) <= len(str(last)) and int(after) <= last):
            raise invalid_cursor(after)
        last = int(after)
    first = max(0, last - limit)
    found = await services.invoices.notes_of(invoice, first, last)
    return Page(found[::-1], str(first) if first else None)


async def notes_listed(
    services: Services,
    limit: int,
    after: str | None,
    *,
    customer: str | None = None,
    invoice: Invoice | None = None,
    looked_at_max: int | None = None,
) -> Page[CreditNote]:
    """Return a page of credit notes of an invoice, of a customer, or all, the newest first."""
    if invoice is not None:
        return await notes_of(services, invoice, limit, after)
    with checked_cursor():
        most = looked_at_max or LOOKED_AT_MAX
        return await services.invoices.notes(limit, after, customer=customer, most=most)


def revised_json(revision: Revision) -> Revised:
    draft = invoice_json(revision.draft)
    return Revised(
        **{name: getattr(draft, name) for name in InvoiceJson.__struct_fields__},
        voided=invoice_json(revision.done.invoice),
    )


# -- doing -------------------------------------------------------------------------------------------------------------


async def issue(
    services: Services,
    author: Author,
    invoice: Invoice,
    *,
    date: str | None = None,
    exchange_rate: ExchangeRate | None = None,
    dry_run: bool = False,
    shown: Shown | None = None,
) -> Operation | Unchanged:
    """Issue a closed draft: give it its number, its taxes and a final total. `date`: an earlier issue date than today.
    `exchange_rate`: for its tax in the currency of the seller. `shown`: what the author has seen of the draft; if that
    is no longer so, nothing is done.

    `warnings` lists what the document lacks.
    """
    if date is not None:
        check_date(date)
    exchange = None if exchange_rate is None else read_exchange_rate(exchange_rate, invoice.currency)
    series, catalogue = invoice_series(services.config.billing), await services.learned()
    # Without a running daemon, reversals after the period are not collected.
    through = max(await collected_through(services) or 0, invoice.end)
    pending = await pending_reversals(services.invoices, invoice, through)

    def decide(seen: Snapshot) -> Decision:
        decision = issuing.issue(
            seen.invoice,
            seen.balance,
            series,
            seen.at,
            issue_terms(catalogue, seen.invoice, seen.at),
            through=through,
            reversed_=reversed_rows(catalogue, seen, pending),
            first_reversal=seen.first_reversal,
            today=seen.today,
            date=date,
            exchange=exchange,
            last_dates=seen.last_dates,
        )
        return decision if shown is None else _as_shown(shown, decision)

    rows = [one.row.id for one in pending]
    revision = None if shown is None else shown.revision
    done = await do(services, author, invoice, "issue", decide, rows=rows, dry_run=dry_run, revision=revision)
    if isinstance(done, Operation) and done.repeated and date not in (None, done.invoice.issue_date):
        raise reuse_error(author, f"issued this invoice on {done.invoice.issue_date}")
    return done


def _as_shown(shown: Shown, decision: Decision) -> Decision:
    """Refuse an issue with another total than the author has seen: the catalogue and reversals can change it."""
    if not isinstance(decision, Change) or shown.total in (None, decision.after.amount):
        return decision
    assert shown.total is not None, shown
    was, is_now = (amount_text(amount, decision.after) for amount in (shown.total, decision.after.amount))
    return Refusal(f"the total of {invoice_label(decision.before)} was {was} and is now {is_now}", "look at it again")


def check_date(date: str) -> None:
    try:
        parse_date(date)
    except ValueError as wrong:
        raise invalid("date", f"{date!r} {wrong}") from None


def warnings(invoice: Invoice) -> list[str]:
    """Return what an issued invoice, or the preview of one, lacks to be sent to a customer."""
    data = invoice.issue_data
    if data is None or data.seller is not None:
        return []
    then = "before you issue the invoice" if invoice.number is None else "and revise the invoice"
    return [f"the invoice has no seller; add a [seller] to the catalogue {then}"]


async def void(
    services: Services, author: Author, invoice: Invoice, reason: str, *, dry_run: bool = False
) -> Operation | Unchanged:
    """Void an issued invoice: write its money off."""
    check_reason(reason)
    series = credit_series(services.config.billing)
    decide = lambda seen: cancelling.void(seen.invoice, seen.balance, reason, series, seen.today)  # noqa: E731
    done = await do(services, author, invoice, "void", decide, dry_run=dry_run)
    if isinstance(done, Operation) and done.repeated and done.invoice.reason != reason:
        raise reuse_error(author, "voided this invoice for another reason")
    return done


async def revise(
    services: Services, author: Author, invoice: Invoice, reason: str | None = None, *, dry_run: bool = False
) -> Revision:
    """Void an issued invoice, and open a draft with the same rows as its next edition."""
    why = REVISED if reason is None else reason
    check_reason(why)
    series = credit_series(services.config.billing)
    decide = lambda seen: cancelling.revise(seen.invoice, seen.balance, why, series, seen.today)  # noqa: E731
    done = await do(services, author, invoice, "revise", decide, dry_run=dry_run)
    if isinstance(done, Operation):
        if done.repeated and reason not in (None, done.invoice.reason):
            raise reuse_error(author, "revised this invoice for another reason")
        if done.preview is not None and done.preview.draft is not None:
            return Revision(done=done, draft=done.preview.draft)
    draft = await services.invoices.get(done.invoice.revised_by or "")
    assert draft is not None, done
    return Revision(done=done, draft=draft)
