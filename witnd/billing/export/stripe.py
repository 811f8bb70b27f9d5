"""Issued invoices as items for Stripe: the bodies of "create an invoice item" requests, each with an idempotency key.

Amounts are whole numbers of what Stripe calls the smallest unit, which is not always the minor unit of ISO 4217. What
Stripe cannot charge exactly is refused, or rounded in an item of its own where that was asked for; the items of an
invoice always come to what is charged. Sending them is left to others.
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
from witnd.domain.values.money import exact_sum, minor_text, plain, product, to_minor

#: More items than this Stripe puts into no invoice.
ITEMS_MAX: Final = 250
# Limits of the documented parameters; keys and names of ours are below them, prose may not be.
_DESCRIPTION_MAX: Final = 500
_METADATA_MAX: Final = 500

# Where Stripe's smallest unit is not that of ISO 4217, or not every number of them can be charged.
_WHOLE: Final = frozenset(
    ("BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF")
)
_WHOLE_IN_HUNDREDTHS: Final = frozenset(("ISK", "UGX"))
_HUNDREDTHS_IN_THOUSANDTHS: Final = frozenset(("BHD", "JOD", "KWD", "OMR", "TND"))


class Unsendable(ValueError):  # noqa: N818 - what somebody wants, not a mistake in code
    """Stripe cannot charge it as it is; the message says what can be done."""


class Scale(NamedTuple):
    """Stripe's smallest unit is 10^-digits, and what can be charged has no more than `charged` digits."""

    digits: int
    charged: int

    def nearest(self, amount: Decimal) -> Decimal:
        """The nearest amount that can be charged; half a step is rounded away from zero."""
        return to_minor(amount, self.charged)

    def units(self, amount: Decimal) -> int:
        return int(product(self.nearest(amount), Decimal(10) ** self.digits))

    def amount(self, units: int) -> Decimal:
        return product(Decimal(units), Decimal((0, (1,), -self.digits)))


class ItemPeriod(Struct, frozen=True):
    """Seconds since 1970. Stripe's end belongs to the period, so ours is the last second before the next one."""

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
    """One line of the export: what goes into the header `Idempotency-Key`, and what into the body."""

    idempotency_key: str
    invoice_item: Item


async def requests(
    bills: AsyncIterator[Bill],
    customers: Mapping[str, str],
    what: Literal["lines", "invoices"] = "lines",
    *,
    rounded: bool = False,
) -> AsyncIterator[str]:
    """JSON Lines: an item for each row of the invoices, or one for each invoice. Raises Unsendable."""
    async for bill in bills:
        for request in await _requests(bill, customers, what, rounded=rounded):
            yield document(request)


def scale(invoice: Invoice) -> Scale:
    """Raises Unsendable for what Stripe does not charge in."""
    currency = invoice.currency
    if currency in _WHOLE:
        return Scale(0, 0)
    if currency in _WHOLE_IN_HUNDREDTHS:
        return Scale(2, 0)
    if currency in _HUNDREDTHS_IN_THOUSANDTHS:
        return Scale(3, 2)
    if invoice.digits == 2:
        return Scale(2, 2)
    raise Unsendable(f"Stripe does not charge in {currency}; export this invoice as csv or html instead")


async def _requests(
    bill: Bill, customers: Mapping[str, str], what: Literal["lines", "invoices"], *, rounded: bool
) -> list[Request]:
    invoice = bill.invoice
    if invoice.status != "issued" or invoice.total is None:
        raise Unsendable(_not_issued(invoice))
    customer = customers.get(invoice.customer_key)
    if customer is None:
        raise Unsendable(
            f"customer {invoice.customer_key!r} of {invoice_label(invoice)} is not in the file of Stripe customers; "
            "add a line with the key and the cus_… id"
        )
    to_charge = _to_charge(invoice, rounded=rounded)
    maker = _Maker(bill, customer)
    requests = [maker.whole()] if what == "invoices" else [maker.row(row) for row in await _rows(bill)]
    if what == "lines" and invoice.carried:
        requests.append(maker.carried())
    rest = to_charge - sum(request.invoice_item.amount for request in requests)
    if rest:
        requests.append(maker.rounding(rest))
    if len(requests) > ITEMS_MAX:
        raise Unsendable(_too_many(invoice))
    return requests


def _not_issued(invoice: Invoice) -> str:
    remedy = {
        "draft": "issue it first",
        "paid": "it would be charged a second time; leave it out",
        "void": "nothing of it is owed; leave it out",
    }
    return f"{invoice_label(invoice)} is {invoice.stage}, and only what is issued is charged: {remedy[invoice.status]}"


def _too_many(invoice: Invoice) -> str:
    return (
        f"{invoice_label(invoice)} has more than the {ITEMS_MAX} items that Stripe puts into one invoice; "
        "write --what invoices, for one item with the total"
    )


async def _rows(bill: Bill) -> list[Row]:
    """All rows, which must come to what is to be paid."""
    rows: list[Row] = []
    async for row in bill.rows():
        if len(rows) == ITEMS_MAX:
            raise Unsendable(_too_many(bill.invoice))
        rows.append(row)
    sum_ = exact_sum([Decimal(row.amount or 0) for row in rows] + [bill.invoice.carried.copy_negate()])
    if sum_ != bill.invoice.total:
        raise Unsendable(
            f"the rows of {invoice_label(bill.invoice)} come to {sum_}, and its total is {bill.invoice.total}; "
            "ask `witnd audit` which of the two is wrong"
        )
    return rows


def charged(invoice: Invoice) -> Decimal:
    """What Stripe can charge that is nearest to the invoice's total. Raises Unsendable."""
    return scale(invoice).nearest(invoice.total or Decimal(0))


def _to_charge(invoice: Invoice, *, rounded: bool) -> int:
    """The invoice's total in Stripe's units."""
    currency, unit, nearest = invoice.currency, scale(invoice), charged(invoice)
    if nearest != invoice.total and not rounded:
        raise Unsendable(
            f"{invoice_label(invoice)} has a total of {invoice_json(invoice).total} {currency}, and Stripe charges "
            f"{currency} in steps of {plain(Decimal((0, (1,), -unit.charged)))}; write --stripe-round to charge "
            f"{minor_text(nearest, invoice.digits)} instead"
        )
    return unit.units(nearest)


class _Maker:
    """Makes the items of one invoice."""

    def __init__(self, bill: Bill, customer: str) -> None:
        self._bill = bill
        self._invoice = bill.invoice
        self._customer = customer
        self._scale = scale(bill.invoice)
        self._head = invoice_json(bill.invoice)

    def row(self, row: Row) -> Request:
        line = line_json(self._invoice, row)
        return self._request(row.id, Decimal(row.amount or 0), self._words(row), dict(_facts(line)))

    def whole(self) -> Request:
        invoice = self._invoice
        words = f"Invoice {self._bill.title}: {count(invoice.lines, 'confirmed outcome')}"
        said = {"kind": "invoice", "amount": str(self._head.total)}
        return self._request(invoice.id, invoice.total or Decimal(0), words, said)

    def carried(self) -> Request:
        amount = self._invoice.carried.copy_negate()
        said = {"kind": "carried", "amount": minor_text(amount, self._invoice.digits)}
        return self._request(row_id(self._invoice.id, "carried"), amount, "Credit from earlier credit notes", said)

    def rounding(self, units: int) -> Request:
        """What the other items do not say because Stripe cannot: they and this one come to what is charged."""
        amount = self._scale.amount(units)
        said = {"kind": "rounding", "invoice_total": str(self._head.total)}
        words = f"Rounding to what can be charged in {self._invoice.currency}"
        return self._request(row_id(self._invoice.id, "rounding"), amount, words, said)

    def _request(self, key: str, amount: Decimal, words: str, said: dict[str, str]) -> Request:
        invoice = self._invoice
        item = Item(
            customer=self._customer,
            amount=self._scale.units(amount),
            currency=invoice.currency.lower(),
            description=_cut(words, _DESCRIPTION_MAX),
            period=ItemPeriod(start=invoice.start // 1000, end=invoice.end // 1000 - 1),
            metadata=dict(_identity(self._head)) | said,
        )
        return Request(idempotency_key=key, invoice_item=item)

    def _words(self, row: Row) -> str:
        agent = self._bill.agent_name(row.agent_key)
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


def _identity(head: InvoiceJson) -> Iterator[tuple[str, str]]:
    yield "invoice_id", head.id
    yield "invoice_number", head.number or ""
    yield "customer_key", head.customer_key


def _facts(line: LineJson) -> Iterator[tuple[str, str]]:
    """What the row is, for whoever looks from Stripe back to witnd. Stripe takes no nulls."""
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
            yield name, _cut(value, _METADATA_MAX)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
