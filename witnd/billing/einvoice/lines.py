"""The lines of an electronic invoice, from the rows of an invoice or credit note.

A row with one price for all of its quantity keeps both. Every other row has quantity 1, and one below 0 has quantity
-1 with a positive price, because the standard allows no negative prices (BR-27). A row under several taxes has a line
for each.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Final

from msgspec import Struct

from witnd.billing.einvoice.content import Line
from witnd.billing.einvoice.lacks import OUTSIDE_SCOPE
from witnd.billing.einvoice.row_classes import RowClasses
from witnd.billing.einvoice.text import clean
from witnd.billing.export.bill import Bill, Note
from witnd.billing.export.local_times import LocalTimes
from witnd.billing.export.sections import priced_unit
from witnd.billing.export.words import Words
from witnd.domain.invoices.invoice import Row
from witnd.domain.invoices.tax import TaxClass, TaxRow
from witnd.domain.values.money import difference, exact_sum, minor_text, plus, product, to_minor
from witnd.domain.values.period import UTC

#: Most outcomes that get a line each. Above that, there is one line for each agent, price and grade, because recipients
#: limit the size of files.
ITEMISED_MAX: Final = 1_000

_ZERO: Final = Decimal(0)
_ONE: Final = Decimal(1)


class _Item(Struct, frozen=True, kw_only=True):
    """A line without its number and tax."""

    name: str
    description: str | None
    amount: Decimal
    quantity: Decimal = _ONE
    price: Decimal | None = None


class _Group(Struct, kw_only=True):
    """Outcomes of an agent with one price, grade and tax."""

    name: str
    outcomes: int = 0
    units: Decimal = _ZERO
    amount: Decimal = _ZERO


async def invoice_lines(bill: Bill) -> tuple[Line, ...]:
    """Return the lines of an issued invoice."""
    classes, is_long = RowClasses(bill.invoice), bill.invoice.lines > ITEMISED_MAX
    groups: dict[tuple[str | None, str | None, str | None, TaxClass | None], _Group] = {}
    found: list[tuple[_Item, TaxClass | None]] = []
    async for row in bill.rows():
        tax = bill.tax_of(row)
        if is_long and row.kind == "outcome":
            [(class_, amount)] = classes.of(row, tax).items()
            key = row.agent_key, row.price_hash, row.grade, class_
            group = groups.setdefault(key, _Group(name=bill.agent_of(row)))
            group.outcomes += 1
            group.units = plus(group.units, priced_unit(row))
            group.amount = plus(group.amount, amount)
            continue
        parts = classes.of(row, tax)
        for class_, amount in parts.items():
            if amount or len(parts) == 1:
                item = _item(row, amount, bill.agent_of(row), bill.words, bill.times, bill.invoice.digits)
                found.append((item, class_))
    summed = [(_group_item(group, key[2], bill.words), key[3]) for key, group in groups.items()]
    return tuple(_numbered([*summed, *found], bill.invoice.digits))


def note_lines(note: Note, words: Words) -> tuple[Line, ...]:
    """Return the lines of a credit note, with positive amounts. The parts of a credited commitment are what the other
    rows leave of each tax."""
    digits = note.note.digits
    found: list[tuple[_Item, TaxClass | None]] = []
    left = {row.tax_class: row.taxable for row in note.note.tax_rows}
    split: Row | None = None
    for row in note.note.rows:
        class_ = _class_of(note, row)
        if class_ is None and left:
            split = row
            continue
        amount = Decimal(row.amount or 0).copy_negate()
        if class_ is not None:
            left[class_] = difference(left[class_], amount)
        found.append((_item(row, amount, note.agent_of(row), words, note.times, digits), class_))
    name = words("cancels_line", number=note.note.invoice_number)
    for class_, amount in left.items():
        if split is not None and amount:
            found.append((_item(split, amount, note.agent_of(split), words, note.times, digits), class_))
        elif not note.note.rows:
            item = _Item(name=clean(name), description=clean(note.note.reason), amount=amount)
            found.append((item, class_))
    return tuple(_numbered(found, digits))


def _class_of(note: Note, row: Row) -> TaxClass | None:
    return None if note.data is None or row.tax is None else note.data.table.class_of(row.tax)


def _item(row: Row, amount: Decimal, agent: str, words: Words, times: LocalTimes, digits: int) -> _Item:
    """Return a row, or its part under one tax. `amount`: of that part."""
    name, description = _name(row, agent, words), _description(row, words, times)
    unit, each = (None if text is None else Decimal(text) for text in (row.unit, row.price_per_unit))
    if unit is None or each is None or unit <= 0 or each < 0 or to_minor(product(unit, each), digits) != amount:
        # Also where a free quota is not in the price, or the rounding of a group moved a minor unit.
        return _Item(name=name, description=description, amount=amount)
    return _Item(name=name, description=description, amount=amount, quantity=unit, price=each)


def _name(row: Row, agent: str, words: Words) -> str:
    match row.kind:
        case "outcome":
            name = f"{agent}: {row.outcome_key}"
        case "credit":
            name = words("credit_line", what=f"{agent}: {row.outcome_key}" if row.outcome_key else agent)
        case "manual":
            name = row.description or ""
        case "recurring" | "commitment" | "commitment_cap":
            name = words.title(row.kind, row.working)
        case _:
            name = f"{agent}: {words.title(row.kind, row.working)}"
    return clean(name)


def _description(row: Row, words: Words, times: LocalTimes) -> str | None:
    parts = [] if row.working is None else [words.working(row.working, times)]
    if row.grade is not None:
        parts.append(words("grade", grade=row.grade))
    if row.reason is not None:
        parts.append(row.reason)
    if row.kind == "outcome" and row.resolved_at is not None:
        at = words.minute(times.local(row.resolved_at))
        parts.append(at if times.zone == UTC else f"{at} ({times.zone})")
    return clean("; ".join(parts)) or None


def _group_item(group: _Group, grade: str | None, words: Words) -> _Item:
    outcomes = words.count("outcomes", group.outcomes)
    if grade is not None:
        outcomes = words("of_grade", outcomes=outcomes, grade=grade)
    described = f"{outcomes}; {words('quantity')} {words.quantity(group.units)}"
    return _Item(name=clean(group.name), description=clean(described), amount=group.amount)


def _numbered(found: Iterable[tuple[_Item, TaxClass | None]], digits: int) -> Iterator[Line]:
    for number, (item, class_) in enumerate(found, start=1):
        assert class_ is not None, item  # an invoice has a tax for all of its rows, or lacks taxes
        is_negative = item.amount < 0
        price = item.amount.copy_abs() if item.price is None else item.price
        yield Line(
            number=number,
            name=item.name,
            description=item.description,
            quantity="-1" if is_negative else format(item.quantity, "f"),
            price=minor_text(price, digits) if item.price is None else format(price, "f"),
            net=item.amount,
            category=class_.category,
            rate=None if class_.category == OUTSIDE_SCOPE else class_.rate,
        )


def check_sums(lines: Iterable[Line], taxes: Iterable[TaxRow]) -> None:
    """Raise ValueError unless the lines of each tax add up to what was taxed."""
    by_class: dict[tuple[str, Decimal], list[Decimal]] = {}
    for line in lines:
        by_class.setdefault((line.category, line.rate or _ZERO), []).append(line.net)
    for row in taxes:
        found = exact_sum(by_class.pop((row.category, row.rate), []))
        if found != row.taxable:
            raise ValueError(f"the lines of tax {row.name!r} add up to {found}, and {row.taxable} was taxed")
    if by_class:
        raise ValueError(f"lines have taxes that the document does not have: {sorted(by_class)}")
