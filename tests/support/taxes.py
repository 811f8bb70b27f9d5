"""Invoices with taxes, for tests of their rules: what the close of a period records, and what is issued from it."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from tests.support.invoices import NOVEMBER, TERMS
from witnd.domain.invoices.invoice import Invoice, Row, invoice_id, row_id
from witnd.domain.invoices.issue_terms import IssueTerms
from witnd.domain.invoices.operations import Change, CreditNote, Series
from witnd.domain.invoices.sums import GroupSums, Sum, Sums
from witnd.domain.invoices.tax import TaxRow, TaxTable, TaxTerms
from witnd.domain.values.money import exact_sum
from witnd.domain.values.period import Calendar

INV, CN = Series(name="INV"), Series(name="CN")
AT = NOVEMBER.end + 86_400_000
LOCAL = Calendar.of("month").day_at(AT)
TABLE = TaxTable(
    "full",
    {
        "full": TaxTerms(name="VAT 19 %", category="S", rate=Decimal(19)),
        "reduced": TaxTerms(name="VAT 7 %", category="S", rate=Decimal(7)),
        "zero": TaxTerms(name="No VAT", category="Z", rate=Decimal(0), note="Zero rated"),
        "reverse": TaxTerms(name="Reverse charge", category="AE", rate=Decimal(0), note="The customer pays the tax"),
        # Another key of the same category and rate.
        "also-full": TaxTerms(name="Books", category="S", rate=Decimal(19), note="A note"),
    },
)


def terms(table: TaxTable = TABLE) -> IssueTerms:
    return IssueTerms(data=type(TERMS.data)(customer_name="Acme", table=table))


def group(agent: str, *amounts: tuple[str, str], cap: str = "0") -> GroupSums:
    """The sums of a group: each tax key with the amount of one row."""
    return GroupSums(agent, None, {key: Sum(1, Decimal(amount)) for key, amount in amounts}, Decimal(cap))


def closed(
    *groups: GroupSums,
    fees: Mapping[str, str] | None = None,
    commitment: str = "0",
    commitment_tax: str = "",
    digits: int = 2,
    **fields: Any,
) -> Invoice:
    """A closed draft of November 2026."""
    of_fees = {key: Sum(1, Decimal(amount)) for key, amount in (fees or {}).items()}
    sums = Sums(groups, of_fees, Decimal(commitment), commitment_tax)
    in_groups = [amount for one in groups for amount in (one.cap, *(each.amount for each in one.sums.values()))]
    known: dict[str, Any] = {
        "id": invoice_id("acme", "EUR", NOVEMBER),
        "customer_key": "acme",
        "currency": {0: "JPY", 2: "EUR", 3: "KWD"}[digits],
        "digits": digits,
        "start": NOVEMBER.start,
        "end": NOVEMBER.end,
        "period": "month",
        "zone": NOVEMBER.zone,
        "first_day": NOVEMBER.first_day,
        "last_day": NOVEMBER.last_day,
        "lines": len(groups),
        "unrated": 0,
        "subtotal": exact_sum((*in_groups, *(one.amount for one in of_fees.values()), sums.commitment)),
        "closed": True,
        "sums": sums,
    }
    return Invoice(**(known | fields))


def row(name: str, amount: str, kind: str = "outcome", **fields: Any) -> Row:
    """A row of the draft, with the id that follows from its name."""
    known: dict[str, Any] = {
        "id": row_id(invoice_id("acme", "EUR", NOVEMBER), kind, name),
        "kind": kind,
        "agent_key": None if kind in ("recurring", "commitment", "commitment_cap") else name,
        "rate_card": "standard",
        "price_hash": None,
        "amount": amount,
        "amount_exact": amount,
        "rated": "at_close",
    }
    return Row(**(known | fields))


def numbered(done: Change) -> Invoice:
    """The invoice after a change, with the number that the store would give it."""
    after = done.after
    return after if done.operation != "issue" else type(after)(**{**_fields(after), "number": "INV-000001"})


def _fields(invoice: Invoice) -> dict[str, Any]:
    return {name: getattr(invoice, name) for name in invoice.__struct_fields__}


def shown(rows: Sequence[TaxRow]) -> list[tuple[str, str, str, str]]:
    """Category, rate, taxable amount and tax of each row."""
    return [(one.category, f"{one.rate:f}", f"{one.taxable:f}", f"{one.tax:f}") for one in rows]


def note_of(done: Change) -> CreditNote:
    assert done.note is not None, done
    return done.note
