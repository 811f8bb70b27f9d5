"""Export issued invoices for Stripe: bodies of "create an invoice item" requests, with idempotency keys.

Amounts are integers of Stripe's smallest unit, which is not always the minor unit of ISO 4217. Amounts that Stripe
cannot charge exactly are refused, or rounded by a separate item on request. The items of an invoice always add up to
the charged amount.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from decimal import Decimal
from typing import Final, Literal, NamedTuple

from msgspec import Struct

from witnd.billing.export.bill import Bill
from witnd.billing.export.json_lines import document
from witnd.billing.export.wording import count
from witnd.domain.invoices.invoice import Invoice, Row, row_id
from witnd.domain.invoices.json_form import InvoiceJson, LineJson, invoice_json, line_json
from witnd.domain.invoices.operations import invoice_label
from witnd.domain.pricing.working import adjustment_title
from witnd.domain.values.money import exact_sum, minor_text, plain, product, to_minor

#: Stripe's limit of items per invoice.
ITEMS_MAX: Final = 250
# Stripe's documented limits. Longer texts are truncated.
_DESCRIPTION_MAX: Final = 500
_METADATA_MAX: Final = 500

# Currencies whose smallest unit differs from ISO 4217, or in which not every amount can be charged.
_WHOLE: Final = frozenset(
    ("BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF")
)
_WHOLE_IN_HUNDREDTHS: Final = frozenset(("ISK", "UGX"))
_HUNDREDTHS_IN_THOUSANDTHS: Final = frozenset(("BHD", "JOD", "KWD", "OMR", "TND"))


class UnsupportedByStripe(ValueError):  # noqa: N818 - a refused request, not a programming error
    """Stripe cannot charge the invoice. The message has the remedy."""


class Scale(NamedTuple):
    """Stripe's smallest unit is 10^-digits, and what can be charged has at most `chargeable_digits` digits."""

    digits: int
    chargeable_digits: int

    def nearest(self, amount: Decimal) -> Decimal:
        """Return the nearest chargeable amount, with halves rounded away from zero."""
        return to_minor(amount, self.chargeable_digits)

    def units(self, amount: Decimal) -> int:
        return int(product(self.nearest(amount), Decimal(10) ** self.digits))

    def amount(self, units: int) -> Decimal:
        return product(Decimal(units), Decimal((0, (1,), -self.digits)))


class ItemPeriod(Struct, frozen=True):
    """Seconds since 1970. Stripe includes the end, so it is the last second of the period."""

    start: int
    end: int


class Item(Struct, frozen=True, kw_only=True):
    """The parameters of one invoice item."""

    customer: str
    amount: int
    currency: str
    description: str
    period: ItemPeriod
    metadata: dict[str, str]


class Request(Struct, frozen=True, kw_only=True):
    """One line of the export: the `Idempotency-Key` header and the body."""

    idempotency_key: str
    invoice_item: Item


async def requests(
    bills: AsyncIterator[Bill],
    customers: Mapping[str, str],
    what: Literal["lines", "invoices"] = "lines",
    *,
    rounded: bool = False,
) -> AsyncIterator[str]:
    """Yield JSON Lines: an item for each row of the invoices, or for each invoice. Raises UnsupportedByStripe."""
    async for bill in bills:
        for request in await _requests(bill, customers, what, rounded=rounded):
            yield document(request)


def scale(invoice: Invoice) -> Scale:
    """Return the scale of the currency. Raises UnsupportedByStripe."""
    currency = invoice.currency
    if currency in _WHOLE:
        return Scale(0, 0)
    if currency in _WHOLE_IN_HUNDREDTHS:
        return Scale(2, 0)
    if currency in _HUNDREDTHS_IN_THOUSANDTHS:
        return Scale(3, 2)
    if invoice.digits == 2:
        return Scale(2, 2)
    raise UnsupportedByStripe(f"Stripe does not charge in {currency}; export this invoice as csv or html instead")


async def _requests(
    bill: Bill, customers: Mapping[str, str], what: Literal["lines", "invoices"], *, rounded: bool
) -> list[Request]:
    invoice = bill.invoice
    if invoice.status != "issued" or invoice.total is None:
        raise UnsupportedByStripe(_status_problem(invoice))
    customer = customers.get(invoice.customer_key)
    if customer is None:
        raise UnsupportedByStripe(
            f"customer {invoice.customer_key!r} of {invoice_label(invoice)} is not in the file of Stripe customers; "
            "add a line with the key and the cus_… id"
        )
    to_charge = _to_charge(invoice, rounded=rounded)
    maker = _ItemBuilder(bill, customer)
    requests = [maker.total_item()] if what == "invoices" else [maker.row_item(row) for row in await _rows(bill)]
    if what == "lines":
        requests += [*maker.tax_items(), *maker.settled_items()]
    rest = to_charge - sum(request.invoice_item.amount for request in requests)
    if rest:
        requests.append(maker.rounding_item(rest))
    if len(requests) > ITEMS_MAX:
        raise UnsupportedByStripe(_item_limit_problem(invoice))
    return requests


def _status_problem(invoice: Invoice) -> str:
    remedy = {
        "draft": "issue it first",
        "paid": "leave it out, because it would be charged twice",
        "void": "leave it out, because nothing is owed",
    }
    return f"{invoice_label(invoice)} is {invoice.stage}; only issued ones can be charged: {remedy[invoice.status]}"


def _item_limit_problem(invoice: Invoice) -> str:
    return (
        f"{invoice_label(invoice)} has more than the {ITEMS_MAX} items that Stripe puts into one invoice; "
        "write --what invoices, for one item with the total"
    )


async def _rows(bill: Bill) -> list[Row]:
    """Return all rows, and check that they add up to the total."""
    rows: list[Row] = []
    async for row in bill.rows():
        if len(rows) == ITEMS_MAX:
            raise UnsupportedByStripe(_item_limit_problem(bill.invoice))
        rows.append(row)
    sum_ = exact_sum(Decimal(row.amount or 0) for row in rows)
    if sum_ != bill.invoice.net:
        raise UnsupportedByStripe(
            f"the rows of {invoice_label(bill.invoice)} add up to {sum_}, but its net sum is {bill.invoice.net}; "
            "run `witnd audit`"
        )
    return rows


def chargeable_total(invoice: Invoice) -> Decimal:
    """Return the nearest amount to what is due that Stripe can charge. Raises UnsupportedByStripe."""
    return scale(invoice).nearest(invoice.due or Decimal(0))


def _to_charge(invoice: Invoice, *, rounded: bool) -> int:
    """Return the amount to charge in Stripe's units."""
    currency, unit, nearest = invoice.currency, scale(invoice), chargeable_total(invoice)
    if nearest != invoice.due and not rounded:
        raise UnsupportedByStripe(
            f"of {invoice_label(invoice)}, {invoice_json(invoice).due} {currency} is due, and Stripe charges "
            f"{currency} in steps of {plain(Decimal((0, (1,), -unit.chargeable_digits)))}; "
            f"write --stripe-round to charge {minor_text(nearest, invoice.digits)} instead"
        )
    return unit.units(nearest)


class _ItemBuilder:
    """Builds the items of one invoice."""

    def __init__(self, bill: Bill, customer: str) -> None:
        self._bill = bill
        self._invoice = bill.invoice
        self._customer = customer
        self._scale = scale(bill.invoice)
        self._head = invoice_json(bill.invoice)

    def row_item(self, row: Row) -> Request:
        line = line_json(self._invoice, row)
        return self._request(row.id, Decimal(row.amount or 0), self._words(row), dict(_facts(line)))

    def total_item(self) -> Request:
        invoice = self._invoice
        words = f"Invoice {self._bill.title}: {count(invoice.lines, 'confirmed outcome')}"
        said = {"kind": "invoice", "amount": str(self._head.due)}
        return self._request(invoice.id, invoice.due or Decimal(0), words, said)

    def tax_items(self) -> list[Request]:
        """Return one item for the tax of each category and rate."""
        invoice = self._invoice
        found: list[Request] = []
        for row in invoice.tax_rows:
            if row.tax:
                amount = minor_text(row.tax, invoice.digits)
                said = {"kind": "tax", "category": row.category, "rate": plain(row.rate), "amount": amount}
                key = row_id(invoice.id, "tax", row.category, plain(row.rate))
                found.append(self._request(key, row.tax, f"{row.name} ({plain(row.rate)} %)", said))
        return found

    def settled_items(self) -> list[Request]:
        """Return the items for what is no longer due."""
        invoice = self._invoice
        parts = (
            ("balance_used", invoice.balance_used, "Paid from the customer's balance"),
            ("payments", invoice.payments_applied, "Payments received"),
            ("credit_notes", invoice.notes_applied, "Credit notes"),
        )
        found: list[Request] = []
        for kind, amount, words in parts:
            if amount:
                less = amount.copy_negate()
                said = {"kind": kind, "amount": minor_text(less, invoice.digits)}
                found.append(self._request(row_id(invoice.id, kind), less, words, said))
        return found

    def rounding_item(self, units: int) -> Request:
        """Return the item for the difference between the other items and the charged amount."""
        amount = self._scale.amount(units)
        said = {"kind": "rounding", "invoice_due": str(self._head.due)}
        words = f"Rounding to what can be charged in {self._invoice.currency}"
        return self._request(row_id(self._invoice.id, "rounding"), amount, words, said)

    def _request(self, key: str, amount: Decimal, words: str, said: dict[str, str]) -> Request:
        invoice = self._invoice
        item = Item(
            customer=self._customer,
            amount=self._scale.units(amount),
            currency=invoice.currency.lower(),
            description=_truncate(words, _DESCRIPTION_MAX),
            period=ItemPeriod(start=invoice.start // 1000, end=invoice.end // 1000 - 1),
            metadata=dict(_identity(self._head)) | said,
        )
        return Request(idempotency_key=key, invoice_item=item)

    def _words(self, row: Row) -> str:
        agent = self._bill.agent_of(row)
        match row.kind:
            case "outcome":
                return f"{agent}: {row.outcome_key}"
            case "credit":
                of = f" for {row.outcome_key}" if row.outcome_key else ""
                return f"{agent}: credit{of}" + (f" ({row.reason})" if row.reason else "")
            case "fee":
                return f"{agent}: flat fee"
            case "minimum" | "cap":
                return f"{agent}: period {row.kind}"
            case "manual":
                return row.description or ""
            case "recurring" | "commitment" | "commitment_cap":
                return adjustment_title(row.kind, row.working)


def _identity(head: InvoiceJson) -> Iterator[tuple[str, str]]:
    yield "invoice_id", head.id
    yield "invoice_number", head.number or ""
    yield "customer_key", head.customer_key


def _facts(line: LineJson) -> Iterator[tuple[str, str]]:
    """Yield metadata that identifies the row in witnd. Stripe does not accept nulls."""
    yield "line_id", line.id
    for name in (
        "kind",
        "outcome_key",
        "agent_key",
        "resolved_at",
        "unit",
        "price_per_unit",
        "amount",
        "amount_exact",
        "corrects",
        "reason",
    ):
        value = getattr(line, name)
        if value is not None:
            yield name, _truncate(value, _METADATA_MAX)


def _truncate(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
