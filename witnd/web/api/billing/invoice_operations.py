"""Operations on invoices: issue, pay, void and credit them."""

from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from witnd.app.errors import Refused, all_invalid, invalid
from witnd.app.invoices import credit as crediting
from witnd.app.invoices import operations as invoices
from witnd.app.invoices import payments
from witnd.app.invoices.credit import Credited, Item, RowsCredited
from witnd.app.invoices.document import LackJson, lacks_json
from witnd.app.invoices.facts import ExchangeRate, Facts
from witnd.app.invoices.operations import REVISED, Revised
from witnd.app.invoices.payments import Recorded
from witnd.domain.invoices.credit import MAX_ITEMS
from witnd.domain.invoices.invoice import Invoice
from witnd.domain.invoices.json_form import InvoiceJson, invoice_json
from witnd.domain.values.mistake import Mistake
from witnd.store.access.change_log import Author
from witnd.web.http.event_identity import header_key
from witnd.web.http.route import Call, route


class PaymentIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A payment. `date` is when it arrived; default: today."""

    amount: str
    date: str | None = None
    method: str | None = None
    reference: str | None = None


class CreditItem(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line to credit, by its id, or by the outcome that it bills. `amount` defaults to all that is left of it."""

    line: str | None = None
    outcome_key: str | None = None
    amount: str | None = None


class CreditNoteIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The lines to credit together, and the reason, which the customer may see. With `dry_run`, nothing is changed: the
    response shows the credit as it would be, without a number."""

    items: list[CreditItem]
    reason: str
    dry_run: bool = False


class VoidIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The reason, which the customer may see. With `dry_run`, nothing is changed: the response shows what would be."""

    reason: str
    dry_run: bool = False


class IssueIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`date`: an issue date before today, but not before the last day of the period or the latest date in the series.
    `exchange_rate`: for the tax in the seller's currency, if the invoice has another one. With `dry_run`, nothing is
    changed: the response shows the invoice as it would be issued, without a number."""

    date: str | None = None
    exchange_rate: ExchangeRate | None = None
    dry_run: bool = False


class Issued(InvoiceJson, frozen=True, kw_only=True):
    """The issued invoice. `warnings` lists what it lacks before you can send it, `lacks` what it lacks to be an
    electronic invoice (EN 16931), by the paths of its fields."""

    warnings: list[str]
    lacks: list[LackJson]


class ReviseIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The reason, which the customer may see. With `dry_run`, nothing is changed: the response shows what would be."""

    reason: str = REVISED
    dry_run: bool = False


class CreditIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The line to credit, by outcome or id. `amount` defaults to all that is left of the line. With `dry_run`, nothing
    is changed."""

    reason: str
    outcome_key: str | None = None
    row_id: str | None = None
    amount: str | None = None
    dry_run: bool = False


@route(
    "POST",
    "/v1/invoices/{id}/issue",
    says="Issue a closed draft: it gets its number and a final total. Repeating the request changes nothing.",
    scope="billing",
    repeatable=True,
    body=IssueIn,
    optional_body=True,
    answer=Issued,
    refusals=("CONFLICT",),
)
async def issue_invoice(call: Call[Any]) -> Issued:
    body: IssueIn = call.body()
    found = await invoices.named(call.services, call.path["id"])
    done = await invoices.issue(
        call.services, author(call), found, date=body.date, exchange_rate=body.exchange_rate, dry_run=body.dry_run
    )
    head = invoice_json(done.invoice)
    fields = {name: getattr(head, name) for name in InvoiceJson.__struct_fields__}
    data = done.invoice.issue_data
    lacking = [] if data is None else lacks_json(done.invoice, data)
    return Issued(**fields, warnings=invoices.warnings(done.invoice), lacks=lacking)


@route(
    "POST",
    "/v1/invoices/{id}/pay",
    says="Record a payment of all that is due, received today. Repeating the request changes nothing.",
    scope="billing",
    repeatable=True,
    answer=InvoiceJson,
    refusals=("CONFLICT",),
)
async def pay_invoice(call: Call[Any]) -> InvoiceJson:
    found = await invoices.named(call.services, call.path["id"])
    return invoice_json((await payments.pay(call.services, author(call), found)).invoice)


@route(
    "POST",
    "/v1/invoices/{id}/void",
    says="Void an issued invoice: its money is written off, nothing is due, and its number is not used again.",
    scope="billing",
    repeatable=True,
    body=VoidIn,
    answer=InvoiceJson,
    refusals=("CONFLICT",),
)
async def void_invoice(call: Call[Any]) -> InvoiceJson:
    body: VoidIn = call.body()
    found = await invoices.named(call.services, call.path["id"])
    done = await invoices.void(call.services, author(call), found, body.reason, dry_run=body.dry_run)
    return invoice_json(done.invoice)


@route(
    "POST",
    "/v1/invoices/{id}/revise",
    says="Void an issued invoice, and open a draft with the same lines as its next edition. The response is the draft. "
    "Repeating the request changes nothing.",
    scope="billing",
    repeatable=True,
    status=201,
    body=ReviseIn,
    optional_body=True,
    answer=Revised,
    refusals=("CONFLICT",),
)
async def revise_invoice(call: Call[Any]) -> Revised:
    body: ReviseIn = call.body()
    found = await invoices.named(call.services, call.path["id"])
    revision = await invoices.revise(call.services, author(call), found, body.reason, dry_run=body.dry_run)
    return invoices.revised_json(revision)


@route(
    "POST",
    "/v1/invoices/{id}/credit",
    says="Credit all or part of a line: as a line on a draft, or with a credit note after issue. "
    "Requests with the same `Idempotency-Key` credit once.",
    scope="billing",
    repeatable=True,
    status=201,
    body=CreditIn,
    answer=Credited,
    refusals=("CONFLICT",),
)
async def credit_invoice(call: Call[Any]) -> Credited:
    body: CreditIn = call.body()
    found = await invoices.named(call.services, call.path["id"])
    row = await crediting.billed_row(call.services, found, outcome_key=body.outcome_key, row_id=body.row_id)
    items = [Item(row=row, amount=body.amount)]
    given = await crediting.credit(call.services, author(call), found, items, body.reason, dry_run=body.dry_run)
    return crediting.credited_json(given)


@route(
    "POST",
    "/v1/invoices/{id}/payments",
    says="Record a payment. What is due is applied to the invoice; the rest goes to the customer's balance. "
    "Requests with the same `Idempotency-Key` record it once.",
    scope="billing",
    repeatable=True,
    status=201,
    body=PaymentIn,
    answer=Recorded,
    refusals=("CONFLICT",),
)
async def record_payment(call: Call[Any]) -> Recorded:
    body: PaymentIn = call.body()
    found = await invoices.named(call.services, call.path["id"])
    facts = Facts(amount=body.amount, date=body.date, method=body.method, reference=body.reference)
    return await payments.record(call.services, author(call), found, facts)


@route(
    "POST",
    "/v1/invoices/{id}/payments/{payment}/reverse",
    says="Reverse a wrong payment by a counter-entry. What it paid is due again. Repeating it changes nothing.",
    scope="billing",
    repeatable=True,
    answer=Recorded,
    refusals=("CONFLICT",),
)
async def reverse_payment(call: Call[Any]) -> Recorded:
    found = await invoices.named(call.services, call.path["id"])
    return await payments.reverse(call.services, author(call), found, call.path["payment"])


@route(
    "POST",
    "/v1/invoices/{id}/credit-notes",
    says="Credit several lines, each in full or in part: as lines on a draft, or with one credit note after issue. "
    "Requests with the same `Idempotency-Key` credit once.",
    scope="billing",
    repeatable=True,
    status=201,
    body=CreditNoteIn,
    answer=RowsCredited,
    refusals=("CONFLICT",),
)
async def credit_rows(call: Call[Any]) -> RowsCredited:
    body: CreditNoteIn = call.body()
    found = await invoices.named(call.services, call.path["id"])
    items = await _items(call, found, body.items)
    given = await crediting.credit(call.services, author(call), found, items, body.reason, dry_run=body.dry_run)
    return crediting.rows_credited_json(given)


async def _items(call: Call[Any], invoice: Invoice, given: list[CreditItem]) -> list[Item]:
    """Return the lines to credit. Refuse every mistake with the path of its item."""
    if len(given) > MAX_ITEMS:
        raise invalid("items", f"has {len(given)} lines; credit at most {MAX_ITEMS} at a time")
    items: list[Item] = []
    mistakes: list[Mistake] = []
    for at, one in enumerate(given):
        if (one.line is None) == (one.outcome_key is None):
            mistakes.append(Mistake(f"items[{at}]", "exactly one of line and outcome_key is required"))
            continue
        try:
            row = await crediting.billed_row(call.services, invoice, outcome_key=one.outcome_key, row_id=one.line)
        except Refused as refused:
            if refused.code not in ("NOT_FOUND", "VALIDATION_ERROR"):
                raise
            path = "line" if one.line is not None else "outcome_key"
            mistakes.append(Mistake(f"items[{at}].{path}", refused.problem))
            continue
        items.append(Item(row=row, amount=one.amount))
    if mistakes:
        raise all_invalid(mistakes)
    return items


def author(call: Call[Any]) -> Author:
    return replace(call.author, idempotency_key=header_key(call.headers))
