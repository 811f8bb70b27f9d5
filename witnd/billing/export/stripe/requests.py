"""Export issued invoices for Stripe: bodies of "create an invoice item" requests, with idempotency keys.

Amounts are integers of Stripe's smallest unit, which is not always the minor unit of ISO 4217. Amounts that Stripe
cannot charge exactly are refused, or rounded by a separate item on request. The items of an invoice always add up to
its net sum: subtotal − credits. What comes after that (tax, balance, payments, credit notes) is not included, as the
metadata of each item states.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Final, Literal

from msgspec import Struct

from witnd.billing.export.bill import Bill
from witnd.billing.export.json_lines import document
from witnd.billing.export.sections import priced_unit
from witnd.billing.export.stripe.item import Item, ItemPeriod, Request
from witnd.billing.export.stripe.scale import UnsupportedByStripe, scale
from witnd.domain.invoices.invoice import Invoice, Row, row_id
from witnd.domain.invoices.json_form import InvoiceJson, LineJson, invoice_json, line_json
from witnd.domain.invoices.operations import invoice_label
from witnd.domain.pricing.ratecard import Price
from witnd.domain.values.money import exact_sum, minor_text, plain, plus

#: Stripe's limit of items per invoice.
ITEMS_MAX: Final = 250
# Stripe's documented limits. Longer texts are truncated.
_DESCRIPTION_MAX: Final = 500
_METADATA_MAX: Final = 500
_ZERO: Final = Decimal(0)

# What the items leave out, in the words of their metadata.
_NOT_INCLUDED: Final = "tax, balance, payments, credit notes"


async def requests(
    bills: AsyncIterator[Bill],
    customers: Mapping[str, str],
    what: Literal["lines", "invoices"] = "lines",
    *,
    rounded: bool = False,
    on_refused: Callable[[UnsupportedByStripe], None] | None = None,
) -> AsyncIterator[str]:
    """Yield JSON Lines: the items of each invoice, or one item for each invoice. `on_refused` gets the reason why an
    invoice has none, and the others follow; without it, raise UnsupportedByStripe."""
    async for bill in bills:
        try:
            found = await _requests(bill, customers, what, rounded=rounded)
        except UnsupportedByStripe as wrong:
            if on_refused is None:
                raise
            on_refused(wrong)
            continue
        for request in found:
            yield document(request)


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
    for make in (maker.rows, maker.prices, maker.agents) if what == "lines" else (maker.whole,):
        found = await make()
        if found is None:
            continue
        rest = to_charge - sum(request.invoice_item.amount for request in found)
        found += [maker.rounding_item(rest)] if rest else []
        if len(found) <= ITEMS_MAX:
            return found
    raise UnsupportedByStripe(_item_limit_problem(invoice))


def _status_problem(invoice: Invoice) -> str:
    remedy = {
        "draft": "issue it first",
        "paid": "leave it out, because it would be charged twice",
        "void": "leave it out, because nothing is owed",
    }
    return f"{invoice_label(invoice)} is {invoice.stage}; only issued ones can be charged: {remedy[invoice.status]}"


def _item_limit_problem(invoice: Invoice) -> str:
    return (
        f"{invoice_label(invoice)} has more than {ITEMS_MAX} agents, and Stripe puts at most {ITEMS_MAX} items into "
        "one invoice; write --what invoices, for one item with the total"
    )


def chargeable_total(invoice: Invoice) -> Decimal:
    """Return the nearest amount to the net sum that Stripe can charge. Raises UnsupportedByStripe."""
    return scale(invoice).nearest(invoice.net)


def _to_charge(invoice: Invoice, *, rounded: bool) -> int:
    """Return the amount to charge in Stripe's units."""
    currency, unit, nearest = invoice.currency, scale(invoice), chargeable_total(invoice)
    if nearest != invoice.net and not rounded:
        net = minor_text(invoice.net, invoice.digits)
        raise UnsupportedByStripe(
            f"{invoice_label(invoice)} comes to {net} {currency}, and Stripe charges "
            f"{currency} in steps of {plain(Decimal((0, (1,), -unit.chargeable_digits)))}; "
            f"write --stripe-round to charge {minor_text(nearest, invoice.digits)} instead"
        )
    return unit.units(nearest)


class _Sum(Struct, kw_only=True):
    """Rows that are one item."""

    agent: str
    grade: str | None
    price_hash: str | None = None
    price: Price | None = None
    outcomes: int = 0
    units: Decimal = _ZERO
    amount: Decimal = _ZERO

    def add(self, row: Row) -> None:
        self.amount = plus(self.amount, Decimal(row.amount or 0))
        if row.kind == "outcome":
            self.outcomes += 1
            self.units = plus(self.units, priced_unit(row))


class _ItemBuilder:
    """Builds the items of one invoice: for each row; if these are too many, for each agent, grade and price; if these
    are, for each agent."""

    def __init__(self, bill: Bill, customer: str) -> None:
        self._bill = bill
        self._invoice = bill.invoice
        self._customer = customer
        self._scale = scale(bill.invoice)
        self._head = invoice_json(bill.invoice)

    async def rows(self) -> list[Request] | None:
        """Return an item for each row, or None if there are too many."""
        if self._invoice.lines > ITEMS_MAX:
            return None
        rows: list[Row] = []
        async for row in self._bill.rows():
            if len(rows) == ITEMS_MAX:
                return None
            rows.append(row)
        self._check_sum(Decimal(row.amount or 0) for row in rows)
        return [self._row_item(row) for row in rows]

    async def prices(self) -> list[Request]:
        """Return an item for each agent, grade and price, and for each row without an agent."""
        return await self._summed(lambda row: (row.agent_key, row.grade, row.price_hash))

    async def agents(self) -> list[Request]:
        """Return an item for each agent, and one for all rows without an agent."""
        return await self._summed(lambda row: (row.agent_key,))

    async def whole(self) -> list[Request]:
        """Return one item for the invoice."""
        words = f"{self._bill.words('invoice')} {self._bill.title}: {self._outcomes(self._invoice.lines)}"
        metadata = {"kind": "invoice", "amount": minor_text(self._invoice.net, self._invoice.digits)}
        return [self._request(self._invoice.id, self._invoice.net, words, metadata)]

    async def _summed(self, key_of: Callable[[Row], tuple[str | None, ...]]) -> list[Request]:
        sums: dict[tuple[str | None, ...], _Sum] = {}
        single: list[Request] = []
        amounts: list[Decimal] = []
        async for row in self._bill.rows():
            key = key_of(row)
            if row.agent_key is None and len(key) > 1:
                single.append(self._row_item(row))
                amounts.append(Decimal(row.amount or 0))
                continue
            found = sums.get(key)
            if found is None:
                agent = self._bill.words("without_agent") if row.agent_key is None else self._bill.agent_of(row)
                price = None if row.price_hash is None or len(key) == 1 else self._bill.price_of(row.price_hash)
                found = sums[key] = _Sum(agent=agent, grade=row.grade if len(key) > 1 else None, price=price)
            found.add(row)
        self._check_sum([*amounts, *(one.amount for one in sums.values())])
        return [*[self._sum_item(key, one) for key, one in sums.items()], *single]

    def _check_sum(self, amounts: Iterable[Decimal]) -> None:
        sum_ = exact_sum(amounts)
        if sum_ != self._invoice.net:
            raise UnsupportedByStripe(
                f"the rows of {invoice_label(self._invoice)} add up to {sum_}, but its net sum is {self._invoice.net}; "
                "run `witnd audit`"
            )

    def _row_item(self, row: Row) -> Request:
        line = line_json(self._invoice, row)
        return self._request(row.id, Decimal(row.amount or 0), self._words(row), dict(_facts(line)))

    def _sum_item(self, key: tuple[str | None, ...], one: _Sum) -> Request:
        invoice, words = self._invoice, self._bill.words
        parts = [words("of_grade", outcomes=self._outcomes(one.outcomes), grade=one.grade) if one.grade is not None
                 else self._outcomes(one.outcomes)]  # fmt: skip
        if one.price is not None:
            parts.append(f"{words('unit_price')} {words.unit_price(one.price)}")
        metadata = {"kind": "sum", "outcomes": str(one.outcomes), "unit": plain(one.units)}
        names = ("agent_key", "grade", "price_hash")
        metadata |= {name: _truncate(text, _METADATA_MAX) for name, text in zip(names, key, strict=False) if text}
        metadata["amount"] = minor_text(one.amount, invoice.digits)
        id_ = row_id(invoice.id, "stripe", *["" if part is None else part for part in key])
        return self._request(id_, one.amount, f"{one.agent}: {', '.join(parts)}", metadata)

    def rounding_item(self, units: int) -> Request:
        """Return the item for the difference between the other items and the charged amount."""
        amount = self._scale.amount(units)
        metadata = {"kind": "rounding", "invoice_net": minor_text(self._invoice.net, self._invoice.digits)}
        words = f"Rounding to what can be charged in {self._invoice.currency}"
        return self._request(row_id(self._invoice.id, "rounding"), amount, words, metadata)

    def _outcomes(self, number: int) -> str:
        return self._bill.words.count("outcomes", number)

    def _request(self, key: str, amount: Decimal, words: str, metadata: dict[str, str]) -> Request:
        invoice = self._invoice
        item = Item(
            customer=self._customer,
            amount=self._scale.units(amount),
            currency=invoice.currency.lower(),
            description=_truncate(words, _DESCRIPTION_MAX),
            period=ItemPeriod(start=invoice.start // 1000, end=invoice.end // 1000 - 1),
            metadata=dict(_identity(self._head)) | metadata | {"not_included": _NOT_INCLUDED},
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
                return self._bill.words.title(row.kind, row.working)


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
