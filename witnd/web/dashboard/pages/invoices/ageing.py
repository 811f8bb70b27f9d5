"""What customers owe, by the days since the due date: for each customer, and in total above the list of invoices."""

from typing import Final

from witnd.app.invoices import ageing
from witnd.web.dashboard.page import Answer, HtmlPage, PageRequest, page
from witnd.web.dashboard.pages.invoices.invoices import invoice_filter
from witnd.web.dashboard.present.words import link

# Customers on the page; the API and the command have all.
CUSTOMERS_MAX: Final = 200


@page("/dashboard/invoices/ageing")
async def show_ageing(request: PageRequest) -> Answer:
    asked = invoice_filter(request)
    report = await ageing.report(request.services, customer_key=asked.customer, currency=asked.currency)
    names = {one.customer_key: _name(request, one.customer_key) for one in report.customers[:CUSTOMERS_MAX]}
    return HtmlPage(
        "invoices/ageing.html",
        {
            "report": report,
            "customers": report.customers[:CUSTOMERS_MAX],
            "left": max(0, len(report.customers) - CUSTOMERS_MAX),
            "names": names,
            "asked": {name: request.query.get(name, "") for name in ("customer", "currency")},
            "filtered": bool(asked.customer or asked.currency),
            "all": link("invoices", "ageing"),
        },
    )


def _name(request: PageRequest, key: str) -> str:
    """Return the name of a customer as it is now."""
    customer = request.services.catalogue.customer(key, request.services.now_ms())
    return key if customer is None else customer.name
