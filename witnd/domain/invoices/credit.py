"""Credit rows of an invoice: credit rows on a draft, a credit note after issue."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from witnd.domain.invoices.invoice import Invoice, Kind, Row, row_id
from witnd.domain.invoices.manual import with_discounts
from witnd.domain.invoices.operations import (
    Change,
    CreditNote,
    Refusal,
    Series,
    amount_text,
    invoice_label,
    note_for,
    reason_refusal,
    with_payment_status,
)
from witnd.domain.invoices.sums import is_split, overridden
from witnd.domain.invoices.tax import (
    TaxClass,
    TaxRow,
    TaxTable,
    available,
    commitment_parts,
    largest_commitment_credit,
    tax_on,
)
from witnd.domain.values import instant
from witnd.domain.values.local_day import LocalDay
from witnd.domain.values.money import difference, exact_sum, minor_text, plain, plus, to_minor

# Credits and caps are already negative.
CREDITABLE: Final[tuple[Kind, ...]] = ("outcome", "fee", "minimum", "recurring", "commitment", "manual")
MAX_ITEMS: Final = 500  # rows of one credit
_ZERO: Final = Decimal(0)


class Item(Struct, frozen=True, kw_only=True):
    """What to credit of a row: `amount`, or all that remains if None. `credited` is the sum of its earlier credits,
    `tax` its tax key, or empty for that of the customer."""

    row: Row
    credited: Decimal
    tax: str = ""
    amount: Decimal | None = None


def credit(
    invoice: Invoice,
    items: Sequence[Item],
    reason: str,
    *,
    balance: Decimal,
    series: Series,
    at: int,
    today: LocalDay,
    table: TaxTable,
) -> Change | Refusal:
    """Credit rows of an invoice: as credit rows on a draft, with one credit note after issue.

    `series` is the number series of credit notes, `at` the server's clock in ms, `today` its local day, `table` the
    taxes of a draft if it were issued now.
    """
    if (wrong := reason_refusal(reason)) is not None:
        return wrong
    credits_ = Credits(invoice, at)
    for item in items:
        amount = _item_amount(credits_.after, item, table)
        if isinstance(amount, Refusal):
            return amount
        credits_.add(item, amount, reason)
    if invoice.status == "draft":
        return credits_.rows_change(table)
    return credits_.note_change(reason, balance, series, today)


class Credits:
    """Credits of an invoice's rows that are made together: `add` each, then build their change. `after` is the invoice
    with those so far."""

    def __init__(self, invoice: Invoice, at: int) -> None:
        self.after = invoice
        self._invoice = invoice
        self._at = at
        self._rows: list[Row] = []
        self._credited: dict[str, Decimal] = {}

    def __bool__(self) -> bool:
        return bool(self._rows)

    def add(self, item: Item, amount: Decimal, reason: str, reversed_at: int | None = None) -> None:
        """Credit an amount of a row, which must be possible. `reversed_at`: of its outcome (ms), if that is why."""
        text = minor_text(amount.copy_negate(), self._invoice.digits)
        self._rows.append(_credit_row(self._invoice, item, text, reason, self._at, reversed_at))
        self._credited[item.row.id] = exact_sum((item.credited, amount))
        self.after = _with_credit(self.after, item, amount)

    def rows_change(self, table: TaxTable) -> Change:
        """Return the change with credit rows on a draft."""
        after = with_discounts(replace(self.after, revision=self._invoice.revision + 1), table)
        return Change(
            operation="credit",
            before=self._invoice,
            after=after,
            credited=self._credited,
            rows=tuple(self._rows),
        )

    def note_change(self, reason: str, balance: Decimal, series: Series, today: LocalDay, id_: str = "") -> Change:
        """Return the change with a credit note of an issued invoice. `balance`: that of the customer before."""
        invoice = self._invoice
        note = _credit_note(invoice, self.after, reason, tuple(self._rows), id_ or None)
        after = replace(
            self.after,
            revision=invoice.revision + 1,
            noted=plus(invoice.noted, note.total),
            notes_applied=plus(invoice.notes_applied, note.applied),
            notes=invoice.notes + 1,
        )
        return Change(
            operation="note",
            before=invoice,
            after=with_payment_status(after),
            series=series.name_on(today.date),
            first=series.first,
            until=today.end,
            balance=plus(balance, note.to_balance) if note.to_balance else None,
            credited=self._credited,
            note=note,
        )


def _with_credit(invoice: Invoice, item: Item, amount: Decimal) -> Invoice:
    """Return the invoice with the net amounts after one more credit. For an issued one, with its tax."""
    if invoice.status == "draft":
        is_commitment = item.row.kind == "commitment"
        sums = dict(invoice.credit_sums)
        if not is_commitment:
            sums[item.tax] = plus(sums.get(item.tax, _ZERO), amount)
        return replace(
            invoice,
            credited=plus(invoice.credited, amount),
            credit_sums=sums,
            commitment_credited=plus(invoice.commitment_credited, amount if is_commitment else _ZERO),
        )
    given = {one.tax_class: one for one in invoice.note_taxes}
    for class_, part in _parts(invoice, item, amount).items():
        if class_ is not None:
            given[class_] = _with_tax(invoice, class_, given.get(class_), part)
    return replace(
        invoice,
        noted_net=plus(invoice.noted_net, amount),
        note_taxes=tuple(given[class_] for class_ in sorted(given)),
    )


def _parts(invoice: Invoice, item: Item, amount: Decimal) -> dict[TaxClass | None, Decimal]:
    """Return the parts of a row's credit under each category and rate. Those of a commitment are cumulative."""
    assert invoice.issue_data is not None, invoice
    table = invoice.issue_data.table
    if item.row.kind != "commitment":
        return {table.class_of(item.tax): amount}
    sums = overridden(invoice.taxed.sums, invoice.overrides)
    before = commitment_parts(sums, item.credited, table, invoice.digits)
    after = commitment_parts(sums, plus(item.credited, amount), table, invoice.digits)
    return {class_: difference(part, before.get(class_, _ZERO)) for class_, part in after.items()}


def _with_tax(invoice: Invoice, class_: TaxClass, given: TaxRow | None, net: Decimal) -> TaxRow:
    """Return what credit notes have given back under a category and rate: the rounded tax on all of it, and never more
    than was charged."""
    charged = next((row for row in invoice.tax_rows if row.tax_class == class_), None)
    assert charged is not None, (invoice.id, class_)
    taxable = plus(_ZERO if given is None else given.taxable, net)
    return replace(charged, taxable=taxable, tax=min(tax_on(taxable, class_.rate, invoice.digits), charged.tax))


def _item_amount(invoice: Invoice, item: Item, table: TaxTable) -> Decimal | Refusal:
    """Return the amount to credit of a row."""
    left, digits = creditable(invoice, item, table), invoice.digits
    if isinstance(left, Refusal):
        return left
    amount = left if item.amount is None else item.amount
    if amount <= 0:
        return Refusal(f"the amount {plain(amount)} is too small", "write an amount above 0")
    if amount != to_minor(amount, digits):
        return Refusal(
            f"the amount {plain(amount)} has more digits after the point than {invoice.currency} ({digits})",
            f"write at most {digits}, such as {minor_text(amount, digits)}",
        )
    if amount > left:
        of = "the line" if amount > _row_remainder(item.row, item.credited) else "the invoice"
        return Refusal(
            f"the amount {plain(amount)} is more than what remains of {of}",
            f"credit at most {amount_text(left, invoice)}",
        )
    return amount


def creditable(invoice: Invoice, item: Item, table: TaxTable) -> Decimal | Refusal:
    """Return how much of a row can be credited, or why nothing can."""
    if (wrong := _credit_refusal(invoice, item.row)) is not None:
        return wrong
    left = _row_remainder(item.row, item.credited)
    left_of_all = _invoice_remainder(invoice, item, table)
    if min(left, left_of_all) > 0:
        return min(left, left_of_all)
    of = "the line" if left <= 0 else invoice_label(invoice)
    return Refusal(f"nothing of {of} remains to credit", "its amount is 0, or it is fully credited: see its credits")


def _invoice_remainder(invoice: Invoice, item: Item, table: TaxTable) -> Decimal:
    """Return what remains of an invoice: of a draft, of the row's category and rate, before the discounts."""
    if invoice.status != "draft":
        return difference(invoice.net, invoice.noted_net)
    if not invoice.closed:
        added = (max(line.amount, _ZERO) for line in invoice.manual)
        return difference(exact_sum((invoice.subtotal, *added)), invoice.credited)
    if item.row.kind != "commitment":
        return available(invoice.taxed, table).get(table.class_of(item.tax), _ZERO)
    left = _row_remainder(item.row, item.credited)
    return largest_commitment_credit(invoice.taxed, table, left if item.amount is None else min(left, item.amount))


def _row_remainder(row: Row, credited: Decimal) -> Decimal:
    return difference(Decimal(row.amount or 0), credited)


def _credit_refusal(invoice: Invoice, row: Row) -> Refusal | None:
    if invoice.status == "void":
        return Refusal(f"{invoice_label(invoice)} is void", "there is nothing to credit")
    if row.kind not in CREDITABLE:
        return Refusal(
            f"a line of kind {row.kind} is already negative and cannot be credited",
            "credit a line with an amount above 0",
        )
    if row.kind == "manual" and all(line.id != row.id for line in invoice.manual):
        return Refusal("the line has been removed meanwhile", "there is nothing to credit")
    if row.kind == "manual" and Decimal(row.amount or 0) < 0:
        return Refusal("the line is a discount and cannot be credited", "credit a line with an amount above 0")
    if row.amount is None:
        end = instant.render(invoice.end)
        return Refusal(
            f"the line has no amount yet: its period ends at {end}",
            "credit it after the daemon has closed the period",
        )
    return None


def _credit_row(invoice: Invoice, item: Item, amount: str, reason: str, at: int, reversed_at: int | None) -> Row:
    row = item.row
    # The credited amount only grows, so it makes the id of each credit unique.
    return Row(
        id=row_id(invoice.id, "credit", row.id, plain(item.credited)),
        kind="credit",
        agent_key=row.agent_key,
        rate_card=row.rate_card,
        price_hash=row.price_hash,
        amount=amount,
        amount_exact=plain(Decimal(amount)),
        rated="at_settlement" if row.kind == "manual" else row.rated,
        outcome_key=row.outcome_key,
        resolved_at=reversed_at or at,
        contract_hash=row.contract_hash,
        corrects=row.id,
        reason=reason,
        grade=row.grade,
        tax=_stored_tax(invoice, item) or None,
        reversed_at=reversed_at,
    )


def _stored_tax(invoice: Invoice, item: Item) -> str | None:
    """Return the tax key to store with a credit: of a draft, the row's own one, because its override and the customer's
    key can change until issue."""
    if invoice.issue_data is None:
        return next((one.own for one in invoice.overrides if one.row == item.row.id), item.tax)
    if item.row.kind == "commitment" and not item.tax and is_split(invoice.taxed.sums):
        return None
    return item.tax or invoice.issue_data.table.default


def _credit_note(invoice: Invoice, after: Invoice, reason: str, rows: tuple[Row, ...], id_: str | None) -> CreditNote:
    """Return the credit note between two states of an invoice."""
    before = {one.tax_class: one for one in invoice.note_taxes}
    taxes = []
    for now in after.note_taxes:
        then = before.get(now.tax_class)
        taxable, tax = now.taxable, now.tax
        if then is not None:
            taxable, tax = difference(taxable, then.taxable), difference(tax, then.tax)
        if taxable or tax:
            taxes.append(replace(now, taxable=taxable, tax=tax))
    amount = difference(after.noted_net, invoice.noted_net)
    return note_for(invoice, amount, reason, rows, tuple(taxes), invoice.due or _ZERO, id_)
