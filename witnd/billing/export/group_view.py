"""The summary of a printed invoice: each agent with its prices and adjustments, and the manual lines."""

from collections.abc import Sequence
from decimal import Decimal

from msgspec import Struct

from witnd.billing.export.bill import Bill
from witnd.billing.export.sections import Group, PriceSum
from witnd.billing.export.tax_view import key_lines, tax_lines
from witnd.billing.export.words import Words, show_control_characters, upper_first
from witnd.domain.invoices.invoice import Row
from witnd.domain.pricing.ratecard import Price
from witnd.domain.values.money import exact_sum


class Part(Struct, frozen=True):
    """An adjustment of a group, or a part of its amount."""

    label: str
    how: str
    amount: str
    tax_lines: list[str] = []


class PriceView(Struct, frozen=True, kw_only=True):
    """The outcomes of an agent under one price. `amount` is None until the period closes if the price needs the whole
    period."""

    outcomes: str
    units: str
    unit_price: str
    price_lines: list[str]
    amount: str | None


class ManualView(Struct, frozen=True, kw_only=True):
    """A manual line. `lines`: how a discount was reduced, and its tax."""

    description: str
    quantity: str
    unit_price: str
    lines: list[str]
    amount: str


class GroupView(Struct, frozen=True, kw_only=True):
    """One agent with its prices, its adjustments, and their total."""

    name: str
    prices: list[PriceView]
    parts: list[Part]
    total: str


def group_view(bill: Bill, group: Group) -> GroupView:
    prices = [_price(bill, one) for one in group.prices.values()]
    for place, terms in _period_terms(bill, group).items():
        prices[place].price_lines.extend(bill.words.period_lines(terms))
    return GroupView(
        name=show_control_characters(bill.agent_name(group.agent_key)),
        prices=prices,
        parts=[_part(bill, row) for row in group.adjustments],
        total=bill.words.money(group.total, bill.invoice.digits),
    )


def _period_terms(bill: Bill, group: Group) -> dict[int, Price]:
    """Return the price in effect at the end of the period for each grade that an entry names, by the place of the last
    sum under such an entry: the bounds of a period are those, whatever price an outcome has."""
    last: dict[str | None, tuple[int, str]] = {}
    for place, one in enumerate(group.prices.values()):
        price = bill.price_of(one.price_hash)
        last[None if price is None else price.grade] = place, one.price_hash
    found = {place: bill.terms_of(group.agent_key, grade) or bill.price_of(by) for grade, (place, by) in last.items()}
    return {place: terms for place, terms in found.items() if terms is not None}


def charges_view(bill: Bill, charges: Sequence[Row]) -> list[GroupView]:
    """Return the group of the recurring fees and the commitment, if there are any."""
    if not charges:
        return []
    total = bill.words.money(exact_sum([Decimal(row.amount or 0) for row in charges]), bill.invoice.digits)
    return [
        GroupView(name=bill.words("without_agent"), prices=[], parts=[_part(bill, row) for row in charges], total=total)
    ]


def manual_view(bill: Bill, row: Row) -> ManualView:
    how = [] if row.working is None else [upper_first(bill.words.working(row.working, bill.times))]
    return ManualView(
        description=show_control_characters(row.description or ""),
        quantity=bill.words.quantity(row.unit or ""),
        unit_price=bill.words.rate(row.price_per_unit or "", bill.invoice.digits),
        lines=[*how, *tax_lines(bill, row)],
        amount=amount_text(row, bill.invoice.digits, bill.words) or "",
    )


def _price(bill: Bill, one: PriceSum) -> PriceView:
    price, words = bill.price_of(one.price_hash), bill.words
    outcomes = words.count("outcomes", one.outcomes)
    if one.grade is not None:
        outcomes = words("of_grade", outcomes=outcomes, grade=show_control_characters(one.grade))
    return PriceView(
        outcomes=outcomes,
        units=words.quantity(one.units),
        unit_price="" if price is None else words.unit_price(price),
        price_lines=[*([] if price is None else words.usage_lines(price)), *key_lines(bill, one.tax)],
        amount=sum_text(one, bill.invoice.digits, words),
    )


def sum_text(one: Group | PriceSum, digits: int, words: Words) -> str | None:
    return None if one.unrated else words.money(one.amount, digits)


def _part(bill: Bill, row: Row) -> Part:
    label = show_control_characters(bill.words.title(row.kind, row.working))
    return Part(
        label,
        "" if row.working is None else bill.words.working(row.working, bill.times),
        amount_text(row, bill.invoice.digits, bill.words) or "",
        tax_lines(bill, row),
    )


def amount_text(row: Row, digits: int, words: Words) -> str | None:
    return None if row.amount is None else words.money(Decimal(row.amount), digits)
