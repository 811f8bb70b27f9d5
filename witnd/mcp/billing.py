"""Tools that read invoices, their lines, balances and what is due. No tool changes them."""

from typing import Annotated, Any, Final

from mcp.server.mcpserver import MCPServer
from pydantic import Field

from witnd.client import AsyncClient
from witnd.mcp.results import READS, document, result

# Lines of an invoice, which an agent reads at once.
MAX_LINES: Final = 100

_Text = Annotated[str, Field(min_length=1, max_length=255)]
_Invoice = Annotated[_Text, Field(description="Number of an invoice, like INV-000012, or its id.")]
_Limit = Annotated[int, Field(ge=1, le=MAX_LINES)]
_After = Annotated[str | None, Field(description="next_cursor of the previous page.")]


def add_billing_tools(server: MCPServer[None], client: AsyncClient) -> None:
    @server.tool(annotations=READS, title="Find invoices")
    async def find_invoices(
        status: Annotated[
            str | None, Field(description="open, draft, issued, paid or void; several separated by commas.")
        ] = None,
        customer_key: _Text | None = None,
        currency: Annotated[str | None, Field(description="A code like EUR.")] = None,
        period: Annotated[str | None, Field(description="A year, month or day, like 2026-11.")] = None,
        limit: _Limit = 20,
        after: _After = None,
    ) -> dict[str, Any]:
        """List invoices, the newest period first. Returns `data` and `next_cursor`; pass it as `after` until it is
        null. Pages before the last may be short. `unreadable` lists ids of damaged invoices that are missing."""
        page = client.invoice_page(
            status=status, customer_key=customer_key, currency=currency, period=period, limit=limit, after=after
        )
        return document(await result(page))

    @server.tool(annotations=READS, title="Get an invoice")
    async def get_invoice(invoice: _Invoice) -> dict[str, Any]:
        """Get an invoice: parties, sums, taxes, amount due, due date, payments and credit notes. A draft has the taxes
        that it would be issued with now. Its lines are a separate list."""
        return document(await result(client.invoice(invoice)))

    @server.tool(annotations=READS, title="List the lines of an invoice")
    async def get_invoice_lines(invoice: _Invoice, limit: _Limit = 50, after: _After = None) -> dict[str, Any]:
        """List the lines of an invoice with the working of each amount: outcomes, fees, minimums, manual lines and
        credits. For the reason why an outcome was billed, use explain_outcome with its `outcome_key`."""
        return document(await result(client.invoice_lines(invoice, limit=limit, after=after)))

    @server.tool(annotations=READS, title="Get the balances of a customer")
    async def get_balances(customer_key: _Text) -> dict[str, Any]:
        """Get what a customer has paid or was credited and no invoice has used, for each currency. The balance pays
        the customer's next invoices in that currency."""
        return {"data": [document(one) for one in await result(client.balances(customer_key))]}

    @server.tool(annotations=READS, title="Get what is due")
    async def get_ageing(
        customer_key: _Text | None = None,
        currency: Annotated[str | None, Field(description="A code like EUR.")] = None,
    ) -> dict[str, Any]:
        """Sum what is due of unpaid invoices by currency and by customer: `current` is not overdue, the others are
        overdue by 1 to 30, 31 to 60 and over 60 days. Never add amounts of different currencies."""
        return document(await result(client.ageing(customer_key=customer_key, currency=currency)))
