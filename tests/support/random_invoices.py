"""Issued invoices at random, with rows of every kind and taxes of every category, made by the rules of the domain."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace

from tests.support.companies import BILLING, SELLER
from witnd.billing.export.bill import Bill, Note, manual_descriptions
from witnd.domain.catalogue.buyer import Buyer
from witnd.domain.catalogue.seller import Seller
from witnd.domain.invoices.cancel import void
from witnd.domain.invoices.credit import Item, credit
from witnd.domain.invoices.invoice import Invoice, Row, empty_invoice, row_id
from witnd.domain.invoices.issue import issue
from witnd.domain.invoices.issue_data import Exchange, IssueData
from witnd.domain.invoices.issue_terms import IssueTerms
from witnd.domain.invoices.manual import manual_rows, with_discounts
from witnd.domain.invoices.operations import Change, Series
from witnd.domain.invoices.payment import Received, pay
from witnd.domain.invoices.sums import GroupSums, Sums, add_to, group_total
from witnd.domain.invoices.tax import ManualLine, TaxTable, TaxTerms, key_of
from witnd.domain.outcomes.resolution import derived_id
from witnd.domain.values import instant
from witnd.domain.values.money import exact_sum, minor_text, plain, product, to_minor
from witnd.domain.values.period import Calendar

START = instant.parse("2026-11-05T09:00:00Z")
ISSUED = instant.parse("2026-12-02T08:30:00Z")
TODAY = Calendar.of("month").day_at(ISSUED)
TERMS = {
    "standard": TaxTerms(name="VAT 19%", category="S", rate=Decimal(19)),
    "reduced": TaxTerms(name="VAT 5.5%", category="S", rate=Decimal("5.5"), note="Food & <drinks>"),
    "zero": TaxTerms(name="Zero", category="Z", rate=Decimal(0)),
    "exempt": TaxTerms(name="Exempt", category="E", rate=Decimal(0), note="Article 132"),
    "reverse": TaxTerms(name="Reverse charge", category="AE", rate=Decimal(0), note="Reverse charge"),
    "intra": TaxTerms(name="Supply", category="K", rate=Decimal(0)),
    "export": TaxTerms(name="Export", category="G", rate=Decimal(0)),
}
OUTSIDE = {"outside": TaxTerms(name="Outside", category="O", rate=Decimal(0))}
DIGITS = {"EUR": 2, "USD": 2, "JPY": 0}
NAMES = st.text(min_size=1, max_size=12).filter(lambda text: bool(text.strip()))


class Issued(Struct, frozen=True, kw_only=True):
    """An issued invoice with its rows, and a credit note of it, if there is one."""

    bill: Bill
    rows: list[Row]
    note: Note | None


@st.composite
def issued_invoices(draw: st.DrawFn) -> Issued:
    terms = OUTSIDE if draw(st.integers(0, 9)) == 0 else TERMS
    keys = draw(st.lists(st.sampled_from(sorted(terms)), min_size=1, max_size=4, unique=True))
    currency = draw(st.sampled_from(sorted(DIGITS)))
    head = empty_invoice("acme", currency, DIGITS[currency], Calendar.of("month").period_at(START))
    table = TaxTable(keys[0], {key: terms[key] for key in keys})
    made = _Maker(draw, head, table)
    for agent in draw(st.lists(st.sampled_from(["support", "sales", "fraud"]), max_size=3, unique=True)):
        made.group(agent)
    made.charges()
    draft = made.draft()
    draft, credits_ = _credited(draw, draft, made, table)
    balance = draw(st.sampled_from([Decimal(0), Decimal(7)]))
    change = issue(
        draft, balance, Series(name="INV"), ISSUED, _terms(draw, table), today=TODAY,
        exchange=draw(st.sampled_from([None, Exchange(currency="DKK", digits=2, rate=Decimal("7.4605"))])),
    )  # fmt: skip
    assume(isinstance(change, Change))
    assert isinstance(change, Change)
    invoice = replace(change.after, number="INV-000042", issued_at=ISSUED)
    rows = [*made.rows, *manual_rows(invoice), *credits_]
    bill = _bill(invoice, rows, made.keys)
    return Issued(bill=bill, rows=rows, note=_note(draw, bill, rows, made.keys))


def paid(bill: Bill) -> Bill:
    """The same with a payment of all that is due."""
    received = Received(amount=bill.invoice.due or Decimal(1), date="2026-12-03", method=None, reference=None)
    change = pay(bill.invoice, received, Decimal(0), today="2026-12-03", at=ISSUED)
    assert isinstance(change, Change), change
    return replace(bill, invoice=replace(change.after, paid_at=ISSUED))


class _Maker:
    """Rows, and the sums that the close of a period records of them."""

    def __init__(self, draw: st.DrawFn, head: Invoice, table: TaxTable) -> None:
        self.rows: list[Row] = []
        self.keys: dict[str, str | None] = {}
        self._draw, self._head, self._table = draw, head, table
        self._groups: list[GroupSums] = []
        self._fees: dict[str, Any] = {}
        self._commitment = Decimal(0), ""
        self._tax_keys = st.sampled_from(["", *table.terms])

    def amount(self, most: int = 50_000) -> Decimal:
        return Decimal((0, tuple(map(int, str(self._draw(st.integers(0, most))))), -self._head.digits))

    def group(self, agent: str) -> None:
        sums: dict[str, Any] = {}
        outcomes = self._draw(st.integers(0, 4))
        for number in range(outcomes):
            unit = Decimal(self._draw(st.sampled_from(["1", "2.5", "0.333", "1200"])))
            each = Decimal(self._draw(st.sampled_from(["0.995", "12", "0", "3.333333"])))
            has_price = self._draw(st.booleans())
            amount = to_minor(product(unit, each), self._head.digits) if has_price else self.amount()
            key = self._add(
                agent, "outcome", amount, derived_id("line", f"{agent}{number}"), unit=plain(unit),
                price_per_unit=plain(each) if has_price else None, outcome_key=f"{agent}-{self._draw(NAMES)}",
                resolved_at=START, grade=self._draw(st.sampled_from([None, "gold"])),
            )  # fmt: skip
            add_to(sums, key, amount)
        if self._draw(st.booleans()):
            amount = self.amount()
            working = {"kind": "minimum", "total_before": "1", "period_minimum": "9", "rounded": "8", "exact": "8"}
            key = self._add(agent, "minimum", amount, row_id(self._head.id, "minimum", agent, "", ""), working=working)
            add_to(sums, key, amount)
        total = exact_sum(one.amount for one in sums.values())
        cap = Decimal(0)
        if total and self._draw(st.booleans()):
            cap = min(self.amount(), total).copy_negate()
        if cap:
            working = {"kind": "cap", "total_before": "9", "period_cap": "1", "rounded": "-8", "exact": "-8"}
            self._add(agent, "cap", cap, row_id(self._head.id, "cap", agent, "", ""), working=working, split=True)
        if sums:
            self._groups.append(GroupSums(agent, None, sums, cap))

    def charges(self) -> None:
        for name in self._draw(st.lists(st.sampled_from(["Platform", "Support"]), max_size=2, unique=True)):
            amount = self.amount()
            working = {"kind": "recurring", "name": name, "exact": "5", "rounded": "5"}
            key = self._add(None, "recurring", amount, row_id(self._head.id, "recurring", name), working=working)
            add_to(self._fees, key, amount)
        total = group_total(self._groups)
        kind = self._draw(st.sampled_from(["", "commitment", "commitment_cap"]))
        amount = self.amount() if kind == "commitment" else min(self.amount(), total).copy_negate()
        if kind and amount:
            own = self._draw(self._tax_keys) if kind == "commitment" else ""
            is_split = bool(total) and not own
            bound = {"period_minimum": "9"} if kind == "commitment" else {"period_cap": "9"}
            working = {"kind": kind, "total_before": "1", **bound, "rounded": "8", "exact": "8"}
            id_ = row_id(self._head.id, kind, "")
            self._add(None, kind, amount, id_, working=working, split=is_split, own=own)
            self._commitment = amount, own

    def draft(self) -> Invoice:
        manual = []
        for number in range(self._draw(st.integers(0, 3))):
            quantity = Decimal(self._draw(st.sampled_from(["1", "2.5"])))
            price = Decimal(self._draw(st.sampled_from(["80", "-12.5", "0.4444", "-999"])))
            amount = to_minor(product(quantity, price), self._head.digits)
            id_ = derived_id("manual", str(number))
            key = self._draw(self._tax_keys)
            self.keys[id_] = key or self._table.default
            manual.append(
                ManualLine(
                    id=id_, description=self._draw(NAMES), quantity=quantity, unit_price=price, tax=key, amount=amount,
                    applied=amount, added_at=START,
                )
            )  # fmt: skip
        sums = Sums(tuple(self._groups), self._fees, *self._commitment)
        draft = replace(
            self._head, closed=True, sums=sums, manual=tuple(manual),
            lines=sum(row.kind == "outcome" for row in self.rows),
            subtotal=exact_sum(Decimal(row.amount or 0) for row in self.rows),
        )  # fmt: skip
        return with_discounts(draft, self._table)

    def _add(self, agent: str | None, kind: Any, amount: Decimal, id_: str, *, split: bool = False,
             own: str | None = None, **fields: Any) -> str:  # fmt: skip
        key = self._draw(self._tax_keys) if own is None else own
        self.keys[id_] = None if split else key or self._table.default
        self.rows.append(
            Row(
                id=id_, kind=kind, agent_key=agent, rate_card="standard", price_hash=None,
                amount=minor_text(amount, self._head.digits), amount_exact=plain(amount), rated="at_close",
                tax=(key or None) if agent is None and not split else None, **fields,
            )
        )  # fmt: skip
        return key


def _credited(draw: st.DrawFn, draft: Invoice, made: _Maker, table: TaxTable) -> tuple[Invoice, list[Row]]:
    """Credits of the draft, each of a part of a row."""
    given: list[Row] = []
    credited: dict[str, Decimal] = {}
    rows = [row for row in [*made.rows, *manual_rows(draft)] if Decimal(row.amount or 0) > 0]
    for row in draw(st.lists(st.sampled_from(rows), max_size=3)) if rows else []:
        amount = min(made.amount(500), Decimal(row.amount or 0))
        item = Item(row=row, credited=credited.get(row.id, Decimal(0)), tax=_own(draft, row, made.keys), amount=amount)
        done = credit(
            draft, [item], "Reopened", balance=Decimal(0), series=Series(name="CN"), at=ISSUED, today=TODAY, table=table
        )
        if isinstance(done, Change):
            draft, given = done.after, [*given, *done.rows]
            credited |= done.credited
            for one in done.rows:
                made.keys[one.id] = made.keys[row.id]
    return draft, given


def _own(invoice: Invoice, row: Row, keys: Mapping[str, str | None]) -> str:
    """The tax key of a row; empty for a commitment that is divided."""
    return key_of(row.id, keys[row.id] or "", invoice.overrides)


def _terms(draw: st.DrawFn, table: TaxTable) -> IssueTerms:
    seller = Seller.from_content(SELLER | {"logo": None})
    buyer = Buyer.from_content(BILLING | {"locale": draw(st.sampled_from(["en", "de", "fr"])), "tax": table.default})
    data = IssueData(customer_name="Acme", seller=seller, seller_version=0, buyer=buyer, table=table)
    return IssueTerms(data=data, days=draw(st.integers(0, 60)))


def _bill(invoice: Invoice, rows: list[Row], keys: Mapping[str, str | None]) -> Bill:
    async def read():
        for row in rows:
            yield row

    return Bill(
        invoice=invoice, rows=read, customer_name="Acme", data=invoice.issue_data, tax_of=lambda row: keys[row.id]
    )


def _note(draw: st.DrawFn, bill: Bill, rows: list[Row], keys: Mapping[str, str | None]) -> Note | None:
    """A credit note of some rows, or of the whole invoice."""
    invoice, data, series = bill.invoice, bill.data, Series(name="CN")
    assert data is not None
    if draw(st.booleans()):
        change = void(invoice, Decimal(0), "Wrong company", series, TODAY)
    else:
        creditable = [row for row in rows if row.kind != "credit" and Decimal(row.amount or 0) > 0]
        chosen = (
            draw(st.lists(st.sampled_from(creditable), max_size=3, unique_by=lambda row: row.id)) if creditable else []
        )
        if not chosen:
            return None
        before = {
            row.id: exact_sum(-Decimal(one.amount or 0) for one in rows if one.corrects == row.id) for row in chosen
        }
        items = [Item(row=row, credited=before[row.id], tax=_own(invoice, row, keys)) for row in chosen]
        change = credit(
            invoice, items, "Late", balance=Decimal(0), series=series, at=ISSUED, today=TODAY, table=data.table
        )
    if not isinstance(change, Change) or change.note is None:
        return None
    return Note(
        note=replace(change.note, number="CN-000004", issued_at=ISSUED), customer_name="Acme", data=data,
        descriptions=manual_descriptions(invoice), period=invoice.billed_period, invoice_date=invoice.issue_date,
    )  # fmt: skip
