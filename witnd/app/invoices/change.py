"""Execute an operation on an invoice once, and log it in the same step; or return what it would do."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final

from msgspec import Struct

from witnd.app.errors import Refused
from witnd.app.services import Services
from witnd.billing.einvoice.issued_documents import IssuedDocuments
from witnd.domain.invoices.invoice import Invoice
from witnd.domain.invoices.operations import (
    CreditNote,
    Decision,
    Refusal,
    Unchanged,
    invoice_label,
    reason_refusal,
)
from witnd.domain.outcomes.resolution import derived_id
from witnd.domain.values.mistake import Mistake
from witnd.store.access.change_log import Author
from witnd.store.invoices.change import Operation
from witnd.store.invoices.change_arguments import Snapshot
from witnd.store.invoices.change_entries import entry_maker

# Operations after which documents are stored: they issue an invoice or a credit note.
_ISSUING: Final = frozenset(("issue", "note", "void", "revise"))
# Operations that change what an invoice was issued with: its documents are stored before.
_CANCELLING: Final = frozenset(("void", "revise"))


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
    new: Invoice | None = None,
    revision: int | None = None,
) -> Operation | Unchanged:
    """Execute an operation once, and log it in the same step. With `dry_run`, only decide it. `new`: the invoice, if it
    may not exist yet. `revision`: the one that the author has seen; a newer one is refused. Raise CONFLICT if it is
    refused.

    `token` identifies the operation across calls; by default it follows from the author's idempotency key. Invoices
    store tokens, so their form must never change: a repeated credit would count as a new one.
    """
    if operation in _CANCELLING and not dry_run:
        await _store_documents(services, invoice)
    key = author.idempotency_key
    if token is None and key is not None:
        token = derived_id("api", operation, key)
    logged = entry_maker(author, operation)
    decision = decide if revision is None else _unchanged_since(revision, decide)
    done = await services.invoices.do(
        invoice.id, decision, rows=rows, token=token, logged=logged, dry_run=dry_run, new=new
    )
    if isinstance(done, Refusal):
        raise Refused("CONFLICT", done.problem, remedy=done.remedy)
    if isinstance(done, Operation) and done.preview is None and done.operation in _ISSUING:
        await _store_documents(services, done.invoice)
    return done


async def _store_documents(services: Services, invoice: Invoice) -> None:
    """Store the documents of an issued invoice and of its newest credit note."""
    issued = IssuedDocuments(services.invoices, await services.learned())
    if invoice.issue_data is not None:
        await issued.store(invoice)
    if invoice.notes:
        for note in await services.invoices.notes_of(invoice, invoice.notes - 1):
            await issued.store(note)


def _unchanged_since(revision: int, decide: Callable[[Snapshot], Decision]) -> Callable[[Snapshot], Decision]:
    """Return the decision about an invoice that must still have a revision."""

    def guarded(seen: Snapshot) -> Decision:
        if seen.invoice.revision != revision:
            return Refusal(f"{invoice_label(seen.invoice)} has changed since it was shown", "look at it again")
        return decide(seen)

    return guarded


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


class Effect(Struct, frozen=True, kw_only=True):
    """The invoice before and after an action. `number`: of the invoice or credit note that it would create; another
    document can take it first. `balance`: the customer's, afterwards."""

    before: Invoice
    after: Invoice
    number: str | None
    note: CreditNote | None
    balance: Decimal
    opens: Invoice | None  # the draft of the next edition


async def effect_of(services: Services, done: Operation | Unchanged) -> Effect | None:
    """Return the effect of a dry run, or None if it would change nothing."""
    if isinstance(done, Unchanged) or done.preview is None:
        return None
    change, invoice = done.preview, done.invoice
    balance = change.balance
    if balance is None:
        balance = await services.invoices.balance(invoice.customer_key, invoice.currency)
    return Effect(
        before=change.before,
        after=invoice,
        number=await services.invoices.next_number(change),
        note=change.note,
        balance=balance,
        opens=change.draft,
    )
