"""Manual lines of invoices, and the taxes of single lines."""

from typing import Any

from msgspec import UNSET, Struct, UnsetType

from witnd.app.errors import invalid
from witnd.app.invoices import credit as crediting
from witnd.app.invoices import manual_lines
from witnd.app.invoices import operations as invoices
from witnd.app.invoices.manual_lines import LineAdded, LineFacts
from witnd.domain.invoices.json_form import InvoiceJson
from witnd.web.api.billing.invoice_operations import author
from witnd.web.http.route import Call, route


class LineIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A manual line. `quantity` is above 0; `unit_price` may be negative. `tax` is a tax key and defaults to the
    customer's, `currency` to that of the invoice or of the customer's rate card. With `dry_run`, nothing is changed."""

    description: str
    quantity: str
    unit_price: str
    tax: str | None = None
    currency: str | None = None
    dry_run: bool = False


class LineTaxIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The tax key of a line of a draft; null restores its own. The reason is in the change log. With `dry_run`,
    nothing is changed."""

    reason: str
    tax: str | UnsetType | None = UNSET
    dry_run: bool = False


@route(
    "POST",
    "/v1/invoices/{id}/lines",
    says="Add a manual line to a draft. While the period is open, any discount is accepted and reduced at close to "
    "what fits. Requests with the same `Idempotency-Key` add it once.",
    scope="billing",
    repeatable=True,
    status=201,
    body=LineIn,
    answer=LineAdded,
    refusals=("CONFLICT",),
)
async def add_line(call: Call[Any]) -> LineAdded:
    body: LineIn = call.body()
    found = await invoices.named(call.services, call.path["id"])
    return await manual_lines.add(call.services, author(call), found, _facts(body), dry_run=body.dry_run)


@route(
    "DELETE",
    "/v1/invoices/{id}/lines/{line}",
    says="Remove a manual line before the invoice is issued. The response is the invoice.",
    scope="billing",
    repeatable=True,
    answer=InvoiceJson,
    refusals=("CONFLICT",),
)
async def remove_line(call: Call[Any]) -> InvoiceJson:
    found = await invoices.named(call.services, call.path["id"])
    return await manual_lines.remove(call.services, author(call), found, call.path["line"])


@route(
    "PATCH",
    "/v1/invoices/{id}/lines/{line}",
    says="Change the tax of a line of a draft, with a reason.",
    scope="billing",
    repeatable=True,
    body=LineTaxIn,
    answer=LineAdded,
    refusals=("CONFLICT",),
)
async def override_tax(call: Call[Any]) -> LineAdded:
    body: LineTaxIn = call.body()
    if isinstance(body.tax, UnsetType):
        raise invalid("tax", "is missing; write a tax key, or null for the line's own tax")
    found = await invoices.named(call.services, call.path["id"])
    row = await crediting.billed_row(call.services, found, outcome_key=None, row_id=call.path["line"])
    return await manual_lines.override_tax(
        call.services, author(call), found, row, body.tax, body.reason, dry_run=body.dry_run
    )


@route(
    "POST",
    "/v1/customers/{key}/lines",
    says="Add a manual line to the customer's invoice of the current period. Requests with the same "
    "`Idempotency-Key` add it once.",
    scope="billing",
    repeatable=True,
    status=201,
    body=LineIn,
    answer=LineAdded,
    refusals=("CONFLICT",),
)
async def add_customer_line(call: Call[Any]) -> LineAdded:
    body: LineIn = call.body()
    key, facts = call.path["key"], _facts(body)
    return await manual_lines.add_for_customer(call.services, author(call), key, facts, dry_run=body.dry_run)


def _facts(body: LineIn) -> LineFacts:
    return LineFacts(
        description=body.description,
        quantity=body.quantity,
        unit_price=body.unit_price,
        tax=body.tax,
        currency=body.currency,
    )
