"""Invoices as witnd makes them, for the tests of exports: one for each kind of price, rated by the real rules."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from tests.support.companies import BILLING, LOGO, SELLER
from tests.support.pricing import charged_units
from witnd.billing.export.bill import Bill, Note, manual_descriptions
from witnd.domain.catalogue.buyer import Buyer
from witnd.domain.catalogue.seller import Seller
from witnd.domain.invoices.cancel import void
from witnd.domain.invoices.credit import Item
from witnd.domain.invoices.credit import credit as credit_rows
from witnd.domain.invoices.invoice import Invoice, Row, invoice_id, row_id
from witnd.domain.invoices.issue import issue
from witnd.domain.invoices.issue_data import IssueData
from witnd.domain.invoices.issue_terms import IssueTerms
from witnd.domain.invoices.manual import manual_rows
from witnd.domain.invoices.operations import Change, CreditNote, Series
from witnd.domain.invoices.sums import GroupSums, Sum, Sums, add_to
from witnd.domain.invoices.tax import ManualLine, TaxTable, TaxTerms
from witnd.domain.outcomes.resolution import derived_id
from witnd.domain.pricing.group import GroupMeter
from witnd.domain.pricing.ratecard import Price
from witnd.domain.pricing.rating import rate_at_settlement
from witnd.domain.values import instant
from witnd.domain.values.money import exact_sum, minor_digits, minor_text, plain, to_minor
from witnd.domain.values.period import Calendar

NOVEMBER = instant.parse("2026-11-05T09:00:00Z")
ISSUED = instant.parse("2026-12-02T08:30:00Z")
_TODAY = Calendar.of("month").day_at(ISSUED)
HOUR = 3_600_000

AGENTS = {"support": "Support agent", "sales": "Sales development agent", "fraud": "Fraud & chargeback desk"}


def agent_name(key: str) -> str:
    return AGENTS.get(key, key)


Work = tuple[str, Price, Sequence[str]]


def digits_of(currency: str) -> int:
    found = minor_digits(currency)
    assert found is not None
    return found


def price(agent: str = "support", currency: str = "EUR", card: str = "standard", **entry: Any) -> Price:
    return Price.from_entry(card, currency, digits_of(currency), {"agent": agent, "kind": "flat"} | entry)


def rows_of(invoice: str, work: Iterable[Work], start: int = NOVEMBER) -> list[Row]:
    """What the biller makes of units: outcomes in order of resolution, then what the groups add."""
    outcomes, adjustments = [], []
    for turn, (prefix, one, units) in enumerate(work):
        amounts = [Decimal(unit) for unit in units]
        meter = GroupMeter(charged_units(one, amounts)) if one.is_rated_at_close else None
        for number, unit in enumerate(amounts):
            rated = rate_at_settlement(one, unit) if meter is None else meter.add(one, unit)
            outcomes.append(
                Row(
                    id=derived_id("line", f"{prefix}-{number + 1:04d}"),
                    kind="outcome",
                    agent_key=one.agent,
                    rate_card=one.rate_card,
                    price_hash=one.hash,
                    amount=minor_text(rated.amount, one.exponent),
                    amount_exact=plain(rated.exact),
                    rated="at_close" if one.is_rated_at_close else "at_settlement",
                    price_per_unit=None if rated.price_per_unit is None else plain(rated.price_per_unit),
                    outcome_key=f"{prefix}-{number + 1:04d}",
                    resolved_at=start + number * 7 * HOUR + turn * HOUR,
                    contract_hash=derived_id("contract", one.agent),
                    unit=plain(unit),
                    working=rated.working,
                )
            )
        for number, adjustment in enumerate([] if meter is None else meter.close(one)):
            adjustments.append(
                Row(
                    id=row_id(invoice, adjustment.kind, one.agent, one.hash, str(number)),
                    kind=adjustment.kind,
                    agent_key=one.agent,
                    rate_card=one.rate_card,
                    price_hash=one.hash,
                    amount=minor_text(adjustment.amount, one.exponent),
                    amount_exact=plain(adjustment.exact),
                    rated="at_close",
                    working=adjustment.working,
                )
            )
    return [*sorted(outcomes, key=lambda row: (row.resolved_at or 0, row.outcome_key or "")), *adjustments]


def credit(row: Row, amount: str, reason: str, invoice: str) -> Row:
    return Row(
        id=row_id(invoice, "credit", row.id, "0"),
        kind="credit",
        agent_key=row.agent_key,
        rate_card=row.rate_card,
        price_hash=row.price_hash,
        amount=amount,
        amount_exact=amount,
        rated="at_settlement",
        outcome_key=row.outcome_key,
        contract_hash=row.contract_hash,
        resolved_at=ISSUED - HOUR,
        corrects=row.id,
        reason=reason,
    )


def bill(
    work: Sequence[Work],
    currency: str = "EUR",
    customer: str = "acme",
    name: str = "Acme Robotics GmbH",
    given: Callable[[list[Row]], list[Row]] = lambda _: [],
    used: str = "0",
    **head: Any,
) -> Bill:
    """An issued invoice of November 2026, unless `head` says something else of it."""
    period = Calendar.of("month").period_at(NOVEMBER)
    id_ = invoice_id(customer, currency, period)
    rows = rows_of(id_, work)
    back = given(rows)
    subtotal = exact_sum(Decimal(row.amount or "0") for row in rows)
    credited = exact_sum(Decimal(row.amount or "0") for row in back).copy_negate()
    invoice = Invoice(
        id=id_,
        customer_key=customer,
        currency=currency,
        digits=digits_of(currency),
        start=period.start,
        end=period.end,
        period="month",
        zone=period.zone,
        first_day=period.first_day,
        last_day=period.last_day,
        lines=sum(row.kind == "outcome" for row in rows),
        unrated=0,
        subtotal=subtotal,
        closed=True,
        revision=1,
        status="issued",
        number="INV-000042",
        issued_at=ISSUED,
        credited=credited,
        balance_used=Decimal(used),
        total=exact_sum((subtotal, credited.copy_negate())),
        issue_date="2026-12-02",
        due_date="2027-01-01",
    )
    prices = {one.hash: one for _, one, _ in work}
    return of_rows(replace(invoice, **head), [*rows, *back], name=name, prices=prices)


def of_rows(
    invoice: Invoice, rows: Iterable[Row], *, name: str = "Acme", prices: Mapping[str, Price] | None = None, **of: Any
) -> Bill:
    held = list(rows)

    async def read() -> AsyncIterator[Row]:
        for row in held:
            yield row

    given = {"customer_email": "billing@acme.example", "agent_name": agent_name} | of
    return Bill(invoice=invoice, rows=read, customer_name=name, price_of=(prices or {}).get, **given)


def opened(one: Bill, rows: Sequence[Row]) -> Bill:
    """The same while its period runs: nothing that is rated at its close has an amount."""
    unpriced = [
        replace(row, amount=None, amount_exact=None, price_per_unit=None, working=None)
        if row.rated == "at_close"
        else row
        for row in rows
        if row.kind == "outcome"
    ]
    waiting = sum(row.amount is None for row in unpriced)
    head = replace(
        one.invoice,
        closed=False,
        status="draft",
        number=None,
        issued_at=None,
        total=None,
        unrated=waiting,
        credited=Decimal(0),
        balance_used=Decimal(0),
        issue_date=None,
        due_date=None,
        subtotal=exact_sum(Decimal(row.amount or "0") for row in unpriced),
    )
    prices = {row.price_hash: found for row in rows if (found := one.price_of(row.price_hash)) is not None}
    return of_rows(head, unpriced, name=one.customer_name, prices=prices)


async def all_of(rows: AsyncIterator[Row]) -> list[Row]:
    return [row async for row in rows]


async def each(*bills: Bill) -> AsyncIterator[Bill]:
    for one in bills:
        yield one


async def text(chunks: AsyncIterator[str]) -> str:
    return "".join([chunk async for chunk in chunks])


TIERS = [
    {"up_to": "10", "price_per_unit": "1.25"},
    {"up_to": "25", "price_per_unit": "0.9", "flat_fee": "5"},
    {"price_per_unit": "0.605"},
]


def note(of: Bill, row: Row, amount: str) -> Note:
    given = credit(row, amount, "Reopened by phone on 1 December; see the notes of the call", of.invoice.id)
    made = CreditNote(
        id=derived_id("credit_note", of.invoice.id, "0"),
        invoice=of.invoice.id,
        invoice_number=of.invoice.number or "",
        customer_key=of.invoice.customer_key,
        currency=of.invoice.currency,
        digits=of.invoice.digits,
        amount=Decimal(amount).copy_abs(),
        applied=Decimal(0),
        reason=given.reason or "",
        rows=(given,),
        number="CN-000003",
        issued_at=ISSUED,
    )
    return Note(note=made, customer_name=of.customer_name, customer_email=of.customer_email, agent_name=of.agent_name)


def samples() -> dict[str, Bill]:
    """One invoice for each thing that an invoice can show."""
    mixed = [
        ("ticket", price(price_per_unit="0.995", period_minimum="40"), ["1", "3", "2.5", "1", "1", "4"]),
        (
            "lead",
            price("sales", kind="percentage", percent="2.5", minimum="5", maximum="250"),
            ["12500", "90", "3300.4"],
        ),
        ("case", price("fraud", kind="graduated", tiers=TIERS, free_quota="3"), ["4", "9", "8", "11"]),
    ]
    return {
        "flat": bill([("ticket", price(price_per_unit="0.995"), ["1", "1", "2.5", "12"])]),
        "graduated": bill([("case", price("fraud", kind="graduated", tiers=TIERS), ["6", "3", "9.5", "12"])]),
        "volume": bill([("case", price("fraud", kind="volume", tiers=TIERS), ["6", "3", "9.5"])]),
        "package": bill(
            [("ticket", price(kind="package", package_size="10", price_per_package="7.5"), ["4", "5", "3", "9"])]
        ),
        "percentage": bill(
            [("lead", price("sales", kind="percentage", percent="2.5", minimum="5", maximum="250"), ["12500", "90"])]
        ),
        "capped": bill([("ticket", price(price_per_unit="3", free_quota="2", period_cap="20"), ["1", "4", "5", "1"])]),
        "several": bill(
            mixed,
            given=lambda rows: [credit(rows[0], "-0.50", "Reopened by phone, see call of 1 December", "acme")],
            used="12.00",
        ),
        "yen": bill(
            [("ticket", price(currency="JPY", price_per_unit="120.5"), ["1", "2", "1000"])],
            "JPY",
            name="株式会社アクメ",
        ),
        "dinar": bill([("ticket", price(currency="KWD", price_per_unit="0.125"), ["1", "2", "7"])], "KWD"),
    }


VAT = TaxTerms(name="VAT 19%", category="S", rate=Decimal(19))
REDUCED = TaxTerms(name="VAT 7%", category="S", rate=Decimal(7))
EXPORT = TaxTerms(name="Export", category="G", rate=Decimal(0), note="Tax-free export\nArticle 146 of the directive")


def manual(number: int, description: str, unit_price: str, *, quantity: str = "1", tax: str = "") -> ManualLine:
    amount = to_minor(Decimal(quantity) * Decimal(unit_price), 2)
    return ManualLine(
        id=derived_id("manual", str(number)),
        description=description,
        quantity=Decimal(quantity),
        unit_price=Decimal(unit_price),
        tax=tax,
        amount=amount,
        applied=amount,
        added_at=NOVEMBER + number,
    )


def taxed(lines: Sequence[ManualLine] = (), *, logo: str | None = LOGO, locale: str = "en", **taxes: TaxTerms) -> Bill:
    """An invoice with a seller, a buyer, manual lines and taxes. Without `taxes`, all rows have VAT."""
    outcomes = price(price_per_unit="0.995", period_minimum="40")
    leads = price("sales", price_per_unit="25", **({"tax": "reduced"} if "reduced" in taxes else {}))
    one = bill([("ticket", outcomes, ["1", "3", "2.5"]), ("lead", leads, ["1", "2"])])
    rows = rows_of(one.invoice.id, [("ticket", outcomes, ["1", "3", "2.5"]), ("lead", leads, ["1", "2"])])
    groups: dict[str, dict[str, Sum]] = {"sales": {}, "support": {}}
    for row in rows:
        own = leads.tax or "" if row.agent_key == "sales" else ""
        add_to(groups[row.agent_key or ""], own, Decimal(row.amount or 0))
    table = TaxTable("vat", {"vat": VAT, **taxes})
    seller = Seller.from_content(SELLER | {"logo": None, "locale": "en"})
    data = IssueData(
        customer_name="Acme Robotics",
        seller=seller,
        seller_version=0,
        buyer=Buyer.from_content(BILLING | {"locale": locale}),
        table=table,
    )
    draft = replace(
        one.invoice,
        status="draft",
        number=None,
        issued_at=None,
        total=None,
        issue_date=None,
        due_date=None,
        manual=tuple(lines),
        sums=Sums(tuple(GroupSums(agent, None, sums) for agent, sums in groups.items())),
    )
    change = issue(draft, Decimal(0), Series(name="INV"), ISSUED, IssueTerms(data=data, days=30), today=_TODAY)
    assert isinstance(change, Change), change
    issued = replace(change.after, number="INV-000042", issued_at=ISSUED)
    return of_rows(
        issued,
        [*rows, *manual_rows(issued)],
        name=data.customer_name,
        prices={outcomes.hash: outcomes, leads.hash: leads},
        tax_of=lambda row: row.tax or (leads.tax if row.agent_key == "sales" else None) or "vat",
        data=issued.issue_data,
        logo=logo,
    )


MANUAL = [
    manual(0, "Setup of the <connector>", "125.5", quantity="2"),
    manual(1, "Training", "80", tax="reduced"),
    manual(2, "Goodwill\u0007", "-500", tax="reduced"),
    manual(3, "Shipping abroad", "9.9", tax="export"),
]


def taxed_samples() -> dict[str, Bill]:
    return {
        "one-tax": taxed(),
        "several-taxes": taxed(MANUAL, reduced=REDUCED, export=EXPORT),
        "german": taxed(MANUAL, locale="de", reduced=REDUCED, export=EXPORT),
        "french": taxed(MANUAL, locale="fr", reduced=REDUCED, export=EXPORT),
    }


def taxed_note(of: Bill) -> Note:
    """A credit note of an outcome and of a manual line, with their taxes."""
    rows = [
        Row(
            id="1" * 64, kind="outcome", agent_key="sales", rate_card="standard", price_hash=None, amount="25.00",
            amount_exact="25", rated="at_settlement", outcome_key="lead-0001", tax="vat",
        ),
        next(row for row in manual_rows(of.invoice) if row.description == "Setup of the <connector>"),
    ]  # fmt: skip
    table = of.invoice.issue_data.table if of.invoice.issue_data else TaxTable()
    items = [Item(row=rows[0], credited=Decimal(0), tax="vat", amount=Decimal(5)),
             Item(row=rows[1], credited=Decimal(0), amount=Decimal(51))]  # fmt: skip
    change = credit_rows(
        of.invoice,
        items,
        "Delivered late",
        balance=Decimal(0),
        series=Series(name="CN"),
        at=ISSUED,
        today=_TODAY,
        table=table,
    )
    assert isinstance(change, Change), change
    return _note_of(of, change)


def cancelling_note(of: Bill) -> Note:
    """The credit note of a voided invoice."""
    change = void(of.invoice, Decimal(0), "Sent to the wrong company", Series(name="CN"), _TODAY)
    assert isinstance(change, Change), change
    return _note_of(of, change)


def _note_of(of: Bill, change: Change) -> Note:
    assert change.note is not None
    return Note(
        note=replace(change.note, number="CN-000004", issued_at=ISSUED),
        customer_name=of.customer_name,
        agent_name=of.agent_name,
        data=of.data,
        logo=of.logo,
        descriptions=manual_descriptions(of.invoice),
    )
