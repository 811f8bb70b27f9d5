"""Find and list invoices and credit notes; issue, void and revise an invoice. Each change is in the change log.

The domain decides what may be done. Payments are in `payments`, credits in `credit`, exports in `exports`.
"""

from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

from witnd.app.errors import Refused, checked_cursor, invalid, invalid_cursor, not_found
from witnd.app.services import Services
from witnd.domain.invoices import operations as invoicing
from witnd.domain.invoices.invoice import Invoice
from witnd.domain.invoices.json_form import (
    CreditNoteJson,
    InvoiceJson,
    PaymentJson,
    credit_note_json,
    invoice_json,
    payment_json,
)
from witnd.domain.invoices.operations import CreditNote, Decision, Refusal, Unchanged, reason_refusal
from witnd.domain.outcomes.resolution import derived_id
from witnd.domain.values import instant
from witnd.domain.values.mistake import Mistake
from witnd.domain.values.money import minor_text
from witnd.domain.values.period import Period, parse_period
from witnd.store.access.change_log import Author
from witnd.store.invoices.change import Operation
from witnd.store.invoices.change_arguments import Snapshot
from witnd.store.invoices.change_entries import entry_maker
from witnd.store.invoices.reads import Ambiguous, InvoiceFilter
from witnd.store.invoices.series import invoice_series
from witnd.store.page import Page

STAGES: Final = ("open", "draft", "issued", "paid", "void")
# Heads that are looked at in one request: less than a tenth of a second.
LOOKED_AT_MAX: Final = 2_000
# Credit notes that come with their invoice; the list of credit notes has all.
NOTES_SHOWN: Final = 100
# The reason of a revised invoice, unless another is given.
REVISED: Final = "replaced by a revised invoice"


class InvoiceInFull(InvoiceJson, frozen=True, kw_only=True):
    """An invoice with its payments and its newest credit notes. `balance`: the customer's balance in its currency."""

    balance: str
    payments: list[PaymentJson]
    credit_notes: list[CreditNoteJson]


class Revision(Struct, frozen=True, kw_only=True):
    """A revised invoice, and the draft of its next edition."""

    done: Operation | Unchanged
    draft: Invoice


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
        begins_from=asked.begins_from,
        begins_before=asked.begins_before,
        around=asked.around,
    )


def _in_period(text: str) -> InvoiceFilter:
    try:
        return InvoiceFilter(around=instant.parse(text)) if "T" in text else in_period(parse_period(text))
    except ValueError as wrong:
        raise invalid("period", f"{text!r} {wrong}; use a year, month or day such as 2026-11") from None


def in_period(period: Period) -> InvoiceFilter:
    """Return a filter for the periods that begin in a year or month, or contain a day."""
    if period.kind == "day":
        return InvoiceFilter(around=period.start)
    return InvoiceFilter(begins_from=period.start, begins_before=period.end)


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


async def in_full(services: Services, invoice: Invoice) -> InvoiceInFull:
    notes = await services.invoices.notes_of(invoice, max(0, invoice.notes - NOTES_SHOWN))
    balance = await services.invoices.balance(invoice.customer_key, invoice.currency)
    payments = await services.invoices.payments(invoice.id) if invoice.payment_entries else []
    head = invoice_json(invoice)
    return InvoiceInFull(
        **{name: getattr(head, name) for name in InvoiceJson.__struct_fields__},
        balance=minor_text(balance, invoice.digits),
        payments=[payment_json(invoice, one) for one in payments],
        credit_notes=[credit_note_json(note) for note in reversed(notes)],
    )


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
    services: Services, author: Author, invoice: Invoice, *, dry_run: bool = False
) -> Operation | Unchanged:
    """Issue a closed draft: give it its number and a final total."""
    series = invoice_series(services.config.billing)
    decide = lambda seen: invoicing.issue(seen.invoice, seen.balance, series, seen.at)  # noqa: E731 - as in the others
    return await do(services, author, invoice, "issue", decide, dry_run=dry_run)


async def void(
    services: Services, author: Author, invoice: Invoice, reason: str, *, dry_run: bool = False
) -> Operation | Unchanged:
    """Void an issued invoice: write its money off."""
    check_reason(reason)
    decide = lambda seen: invoicing.void(seen.invoice, seen.balance, reason)  # noqa: E731
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
    decide = lambda seen: invoicing.revise(seen.invoice, seen.balance, why)  # noqa: E731
    done = await do(services, author, invoice, "revise", decide, dry_run=dry_run)
    if isinstance(done, Operation):
        if done.repeated and reason not in (None, done.invoice.reason):
            raise reuse_error(author, "revised this invoice for another reason")
        if done.preview is not None and done.preview.draft is not None:
            return Revision(done=done, draft=done.preview.draft)
    draft = await services.invoices.get(done.invoice.revised_by or "")
    assert draft is not None, done
    return Revision(done=done, draft=draft)


def check_reason(reason: str) -> None:
    if (wrong := reason_refusal(reason)) is not None:
        raise Refused(
            "VALIDATION_ERROR", f"reason: {wrong.problem}", [Mistake("reason", str(wrong))], remedy=wrong.remedy
        )


async def do(
    services: Services,
    author: Author,
    invoice: Invoice,
    operation: str,
    decide: Callable[[Snapshot], Decision],
    *,
    rows: Sequence[str] = (),
    token: str | None = None,
    dry_run: bool = False,
) -> Operation | Unchanged:
    """Execute an operation once, and log it in the same step. With `dry_run`, only decide it. Raise CONFLICT if the
    domain refuses it.

    `token` identifies the operation across calls; by default it follows from the author's idempotency key. Invoices
    store tokens, so their form must never change: a repeated credit would count as a new one.
    """
    key = author.idempotency_key
    if token is None and key is not None:
        token = derived_id("api", operation, key)
    logged = entry_maker(author, operation)
    done = await services.invoices.do(invoice.id, decide, rows=rows, token=token, logged=logged, dry_run=dry_run)
    if isinstance(done, Refusal):
        raise Refused("CONFLICT", done.problem, remedy=done.remedy)
    return done


class Reused(Refused):
    """The idempotency key was used for another operation. `how`: what that operation did."""

    how = ""


def reuse_error(author: Author, how: str) -> Reused:
    """Return the error for a reused key. `how`: what the earlier operation did, as words that follow "it "."""
    refused = Reused(
        "CONFLICT", f"Idempotency-Key {author.idempotency_key!r} was used before: it {how}; choose another key"
    )
    refused.how = how
    return refused
