"""Invoices, payments and balances of the client for asyncio."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from witnd.client import billing
from witnd.client.answers import (
    AgeingReport,
    Balance,
    CreditResult,
    Invoice,
    InvoicePage,
    LinePage,
    LineResult,
    PaymentResult,
    RefundResult,
)
from witnd.client.flow import Flow, Retries

T = TypeVar("T")


class AsyncBilling:
    """The calls about invoices. A client runs them."""

    _retries: Retries

    async def _run(self, steps: Flow[T]) -> T:
        raise NotImplementedError

    async def invoice(self, id: str) -> Invoice:  # noqa: A002 - the name in the API
        """Return an invoice with its payments and newest credit notes, by id or number. Raises `NotFoundError`."""
        return await self._run(billing.invoice(id, self._retries))

    async def export_invoice(self, id: str, format: str, *, detail: str | None = None) -> bytes:  # noqa: A002
        """Return an invoice as a file: `pdf`, `facturx`, `xml`, `ubl`, `json`, `html`, `csv` or `jsonl`. `detail`:
        `summary` omits the list of outcomes from a page or PDF. Raises `ConflictError` with what an electronic
        invoice lacks."""
        return await self._run(billing.export("invoices", id, format, detail, self._retries))

    async def export_credit_note(self, id: str, format: str) -> bytes:  # noqa: A002
        """Return a credit note as a file, in the same formats."""
        return await self._run(billing.export("credit-notes", id, format, None, self._retries))

    async def invoice_page(
        self,
        *,
        status: str | None = None,
        customer_key: str | None = None,
        currency: str | None = None,
        period: str | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> InvoicePage:
        """Return one page of invoices, the newest period first, after the cursor `after`. `status` may list several,
        separated by commas; `period` is a year, month or day. Pages before the last may be short."""
        filters: dict[str, str | int | None] = {"status": status, "customer_key": customer_key, "currency": currency}
        filters |= {"period": period, "limit": limit, "after": after}
        return await self._run(billing.invoice_page(filters, self._retries))

    async def invoice_lines(self, id: str, *, limit: int = 100, after: str | None = None) -> LinePage:  # noqa: A002
        """Return one page of the lines of an invoice with their workings, after the cursor `after`."""
        return await self._run(billing.invoice_lines(id, {"limit": limit, "after": after}, self._retries))

    async def ageing(self, *, customer_key: str | None = None, currency: str | None = None) -> AgeingReport:
        """Return what is due of unpaid invoices by currency and customer, by the days since the due date."""
        filters = {"customer_key": customer_key, "currency": currency}
        return await self._run(billing.ageing(filters, self._retries))

    async def add_line(
        self,
        id: str,  # noqa: A002
        description: str,
        unit_price: str,
        *,
        quantity: str = "1",
        tax: str | None = None,
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> LineResult:
        """Add a manual line to a draft once. A negative price is a discount. `tax` defaults to the customer's. Raises
        `ConflictError` for a discount that is too large, with the largest that fits."""
        line = {"description": description, "unit_price": unit_price, "quantity": quantity, "tax": tax}
        return await self._run(billing.add_line(id, line, idempotency_key, self._retries, dry_run=dry_run))

    async def add_customer_line(
        self,
        customer_key: str,
        description: str,
        unit_price: str,
        *,
        quantity: str = "1",
        tax: str | None = None,
        currency: str | None = None,
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> LineResult:
        """Add a manual line once to the invoice of a customer's current period. `currency` defaults to that of the
        customer's rate card."""
        line = {"description": description, "unit_price": unit_price, "quantity": quantity, "tax": tax}
        line["currency"] = currency
        return await self._run(
            billing.add_customer_line(customer_key, line, idempotency_key, self._retries, dry_run=dry_run)
        )

    async def remove_line(self, id: str, line: str) -> Invoice:  # noqa: A002
        """Remove a manual line of a draft, and return the draft."""
        return await self._run(billing.remove_line(id, line, self._retries))

    async def set_tax(self, id: str, line: str, tax: str | None, reason: str, *, dry_run: bool = False) -> LineResult:  # noqa: A002
        """Change the tax of a line of a draft; None restores its own. The reason is in the change log."""
        return await self._run(billing.set_tax(id, line, tax, reason, self._retries, dry_run=dry_run))

    async def issue_invoice(
        self,
        id: str,  # noqa: A002
        *,
        date: str | None = None,
        exchange_rate: Mapping[str, str] | None = None,
        dry_run: bool = False,
    ) -> Invoice:
        """Issue a closed draft. `date` may be earlier than today. With `dry_run`, change nothing. `warnings` lists
        what the invoice lacks. Raises `ConflictError`."""
        return await self._run(billing.issue(id, date, exchange_rate, self._retries, dry_run=dry_run))

    async def void_invoice(self, id: str, reason: str, *, dry_run: bool = False) -> Invoice:  # noqa: A002
        """Void an issued invoice: its money is written off. Raises `ConflictError` if it has payments or credit
        notes."""
        return await self._run(billing.void(id, reason, self._retries, dry_run=dry_run))

    async def revise_invoice(self, id: str, reason: str | None = None, *, dry_run: bool = False) -> Invoice:  # noqa: A002
        """Void an issued invoice, and return the draft of its next edition, which has the same lines."""
        return await self._run(billing.revise(id, reason, self._retries, dry_run=dry_run))

    async def record_payment(
        self,
        id: str,  # noqa: A002
        amount: str,
        *,
        date: str | None = None,
        method: str | None = None,
        reference: str | None = None,
        idempotency_key: str | None = None,
    ) -> PaymentResult:
        """Record a payment of an invoice once. `date` defaults to today in the billing time zone. What is not due goes
        to the customer's balance. With your own `idempotency_key`, repeated calls record one payment."""
        facts = {"amount": amount, "date": date, "method": method, "reference": reference}
        return await self._run(billing.record_payment(id, facts, idempotency_key, self._retries))

    async def reverse_payment(self, id: str, payment: str) -> PaymentResult:  # noqa: A002
        """Reverse a wrong payment of an invoice. Raises `ConflictError` if its rest is no longer in the balance."""
        return await self._run(billing.reverse_payment(id, payment, self._retries))

    async def credit(
        self,
        id: str,  # noqa: A002
        items: Sequence[Mapping[str, str]],
        reason: str,
        *,
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> CreditResult:
        """Credit lines of an invoice together. Each item has `line` or `outcome_key`, and `amount` if only a part is
        credited."""
        return await self._run(billing.credit(id, items, reason, idempotency_key, self._retries, dry_run=dry_run))

    async def balances(self, customer_key: str) -> list[Balance]:
        """Return the balances of a customer. Raises `NotFoundError`."""
        return await self._run(billing.balances(customer_key, self._retries))

    async def refund(
        self,
        customer_key: str,
        amount: str,
        *,
        currency: str | None = None,
        date: str | None = None,
        method: str | None = None,
        reference: str | None = None,
        idempotency_key: str | None = None,
    ) -> RefundResult:
        """Record once that a part of a customer's balance was paid back. `currency` is needed if the customer has
        several balances. Raises `ConflictError` above the balance."""
        facts = {"amount": amount, "currency": currency, "date": date, "method": method, "reference": reference}
        return await self._run(billing.refund(customer_key, facts, idempotency_key, self._retries))
