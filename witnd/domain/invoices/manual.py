"""Lines that a person adds to an invoice before it is issued, and changed taxes of single rows.

A discount is a request while the period is open. When it has closed, and after each later change, discounts are
reduced, the newest first, so that no taxable amount is below 0.
"""

from decimal import Decimal
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from witnd.domain.invoices.invoice import Invoice, Row, row_id
from witnd.domain.invoices.operations import Change, Decision, Refusal, Unchanged, amount_text, invoice_label
from witnd.domain.invoices.sums import COMMITMENT, FEES, MANUAL, REVERSED, TaxOverride
from witnd.domain.invoices.tax import ManualLine, TaxTable, available, key_of, reduced
from witnd.domain.values.money import difference, exact_sum, plain, plus, product, to_minor

# Manual lines and overrides are part of the head of an invoice, which every list reads.
MAX_LINES: Final = 100
MAX_OVERRIDES: Final = 500
_ZERO: Final = Decimal(0)


class NewLine(Struct, frozen=True, kw_only=True):
    """A manual line as its author gives it. `tax`: a tax key, or empty for that of the customer."""

    description: str
    quantity: Decimal
    unit_price: Decimal
    tax: str = ""


def add_line(invoice: Invoice, new: NewLine, table: TaxTable, at: int, *, for_customer: bool = False) -> Decision:
    """Add a line to a draft. `table`: the taxes of the draft if it were issued now. `for_customer`: it is for the
    current period, so it must be written before that ends."""
    if (wrong := _refusal(invoice, "no line can be added")) is not None:
        return wrong
    if len(invoice.manual) >= MAX_LINES:
        return Refusal(f"{invoice_label(invoice)} has {MAX_LINES} manual lines", "combine some of them")
    amount = to_minor(product(new.quantity, new.unit_price), invoice.digits)
    line = ManualLine(
        id=row_id(invoice.id, "manual", str(invoice.revision)),
        description=new.description,
        quantity=new.quantity,
        unit_price=new.unit_price,
        tax=new.tax,
        amount=amount,
        applied=amount,
        added_at=at,
    )
    if invoice.closed and amount < 0 and amount.copy_negate() > (most := _largest_discount(invoice, new.tax, table)):
        return Refusal(
            f"a discount of {amount_text(amount.copy_negate(), invoice)} would make the taxable amount negative",
            f"the largest discount that fits is {amount_text(most, invoice)}",
        )
    after = with_discounts(replace(invoice, revision=invoice.revision + 1, manual=(*invoice.manual, line)), table)
    return Change(
        operation="add_line",
        before=invoice,
        after=after,
        waits=True if invoice.closed and _has_amounts(after) else None,
        is_pending=None if invoice.closed else True,
        made=line.id,
        for_customer=for_customer,
        until=invoice.end if for_customer else None,
    )


def remove_line(invoice: Invoice, id_: str, table: TaxTable, *, credited: Decimal, zero_invoices: bool) -> Decision:
    """Remove a manual line before the invoice is issued. `credited`: the sum of its credits. `zero_invoices`: whether
    an invoice without any amount is issued."""
    if (wrong := _refusal(invoice, "its lines cannot be removed")) is not None:
        return wrong
    if all(line.id != id_ for line in invoice.manual):
        return Refusal(f"{invoice_label(invoice)} has no manual line {id_!r}", "use the id of one of its manual lines")
    if credited:
        return Refusal("the line has credits, so it cannot be removed", "credit the rest of it instead")
    left = tuple(line for line in invoice.manual if line.id != id_)
    overrides = tuple(one for one in invoice.overrides if one.row != id_)
    after = replace(invoice, revision=invoice.revision + 1, manual=left, overrides=overrides)
    if (wrong := _needed_refusal(invoice, after, id_, table)) is not None:
        return wrong
    after = with_discounts(after, table)
    is_empty = invoice.closed and not (_has_amounts(after) or zero_invoices)
    return Change(
        operation="remove_line",
        before=invoice,
        after=after,
        waits=False if is_empty else None,
        made=id_,
    )


def _needed_refusal(before: Invoice, after: Invoice, id_: str, table: TaxTable) -> Refusal | None:
    """Return why a line cannot be removed, or None: other rows are credited by more than caps leave without it."""
    line = next(line for line in before.manual if line.id == id_)
    if not before.closed or line.amount <= 0:
        return None
    class_ = table.class_of(key_of(line.id, line.tax, before.overrides))
    left = available(after.taxed, table).get(class_, _ZERO)
    if left >= 0:
        return None
    return Refusal(
        f"without the line, the credits of other rows would make the taxable amount {amount_text(left, before)}",
        "credit the rest of it instead, or add another line first",
    )


def override_tax(
    invoice: Invoice,
    row: Row,
    own: str,
    tax: str | None,
    reason: str,
    table: TaxTable,
    *,
    credited: Decimal,
    grade: str | None = None,
) -> Decision:
    """Change the tax of a row of a draft, or restore its own if None. `own`: its own tax key, or empty for that of the
    customer. `credited`: the sum of its credits. `grade`: the one that the entry of its price names."""
    if (wrong := _refusal(invoice, "the taxes of its lines cannot be changed")) is not None:
        return wrong
    if not invoice.closed:
        return Refusal(f"{invoice_label(invoice)} is open", "change the tax of its lines after its period has closed")
    if row.kind in ("cap", "commitment_cap", "credit"):
        return Refusal(
            f"a line of kind {row.kind} has the taxes of the lines that it reduces",
            "change the tax of these lines instead",
        )
    if row.kind == "manual" and all(line.id != row.id for line in invoice.manual):
        return Refusal("the line has been removed meanwhile", "see the manual lines of the invoice")
    if row.amount is None:
        # It was read before the close, so its share of the sums is unknown.
        return Refusal(f"the period of {invoice_label(invoice)} has closed meanwhile", "try again")
    others = tuple(one for one in invoice.overrides if one.row != row.id)
    before = key_of(row.id, own, invoice.overrides)
    key = own if tax is None else tax
    if before == key:
        return Unchanged(invoice)
    if len(others) >= MAX_OVERRIDES:
        return Refusal(
            f"{invoice_label(invoice)} has {MAX_OVERRIDES} lines with a changed tax",
            "set the tax of the customer or of the rate card instead",
        )
    override = TaxOverride(
        row=row.id, place=_place(invoice, row, grade), own=own, tax=key, amount=Decimal(row.amount), reason=reason
    )
    sums = dict(invoice.credit_sums)
    if credited and row.kind != "commitment":
        sums[before] = difference(sums.get(before, _ZERO), credited)
        sums[key] = plus(sums.get(key, _ZERO), credited)
    after = replace(
        invoice,
        revision=invoice.revision + 1,
        overrides=others if key == own else (*others, override),
        credit_sums={name: amount for name, amount in sums.items() if amount},
    )
    return Change(
        operation="override_tax", before=invoice, after=with_discounts(after, table), made=row.id, reason=reason
    )


def adjust(invoice: Invoice, table: TaxTable) -> Decision:
    """Reduce the discounts of an invoice whose period has closed, and let it wait for issue."""
    if invoice.status != "draft" or not invoice.closed:
        return Unchanged(invoice)
    after = with_discounts(replace(invoice, revision=invoice.revision + 1), table)
    # If it has no amount, the close decided by the setting whether it waits.
    waits = True if _has_amounts(after) else None
    return Change(operation="adjust", before=invoice, after=after, waits=waits, is_pending=False, made=invoice.id)


def _has_amounts(invoice: Invoice) -> bool:
    """Return whether a draft is issued even if the setting excludes invoices without any amount."""
    return bool(invoice.subtotal) or any(line.applied for line in invoice.manual)


def with_discounts(invoice: Invoice, table: TaxTable) -> Invoice:
    """Return a draft with its discounts reduced to what fits. While its period is open, it is returned unchanged."""
    if not invoice.closed or not invoice.manual:
        return invoice
    return replace(invoice, manual=reduced(invoice.taxed, table))


def manual_row(invoice: Invoice, line: ManualLine) -> Row:
    """Return a manual line as a row."""
    working = None
    if line.applied != line.amount:
        working = {
            "kind": "manual",
            "requested": format(line.amount, "f"),
            "applied": format(to_minor(line.applied, invoice.digits), "f"),
        }
    return Row(
        id=line.id,
        kind="manual",
        agent_key=None,
        rate_card="",
        price_hash=None,
        amount=format(to_minor(line.applied, invoice.digits), "f"),
        amount_exact=plain(product(line.quantity, line.unit_price)),
        rated="manual",
        price_per_unit=plain(line.unit_price),
        resolved_at=line.added_at,
        unit=plain(line.quantity),
        working=working,
        tax=line.tax or None,
        description=line.description,
    )


def manual_rows(invoice: Invoice) -> list[Row]:
    """Return the manual lines of an invoice as rows, in the order in which they were added."""
    return [manual_row(invoice, line) for line in invoice.manual]


def _largest_discount(invoice: Invoice, tax: str, table: TaxTable) -> Decimal:
    """Return the largest discount that fits beside those of a draft, as they are with the taxes of now: the customer's
    tax may have changed since they were reduced."""
    class_ = table.class_of(tax)
    used = [
        line.applied
        for line in reduced(invoice.taxed, table)
        if line.applied < 0 and table.class_of(key_of(line.id, line.tax, invoice.overrides)) == class_
    ]
    left = exact_sum((available(invoice.taxed, table).get(class_, _ZERO), *used))
    return max(left, _ZERO)


def _place(invoice: Invoice, row: Row, grade: str | None) -> int:
    """Return where a row is counted in the sums of its invoice. `grade`: the one that the entry of its price names."""
    special = {"recurring": FEES, "commitment": COMMITMENT, "manual": MANUAL}
    if row.kind in special:
        return special[row.kind]
    if row.reversed_at is not None and row.rated == "at_settlement":
        return REVERSED
    assert invoice.sums is not None, invoice
    group = row.agent_key, grade
    return next(place for place, one in enumerate(invoice.sums.groups) if (one.agent, one.grade) == group)


def _refusal(invoice: Invoice, so: str) -> Refusal | None:
    if invoice.status == "draft":
        return None
    remedy = "credit its lines instead" if invoice.status != "void" else "change another invoice"
    return Refusal(f"{invoice_label(invoice)} is {invoice.status}, so {so}", remedy)
