"""The ageing report: what customers owe, by the days since the due date."""

from msgspec import Struct

from witnd.app.invoices import ageing
from witnd.app.invoices.ageing import AgeingReport
from witnd.web.http.route import Call, route


class AgeingFilter(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Only invoices of a customer, or in a currency."""

    customer_key: str | None = None
    currency: str | None = None


@route(
    "GET",
    "/v1/invoices/ageing",
    says="Sum what is due of unpaid invoices by currency and by customer: not overdue, and 1 to 30, 31 to 60 and "
    "over 60 days after the due date.",
    scope="read",
    query=AgeingFilter,
    answer=AgeingReport,
)
async def read_ageing(call: Call[AgeingFilter]) -> AgeingReport:
    return await ageing.report(call.services, customer_key=call.query.customer_key, currency=call.query.currency)
