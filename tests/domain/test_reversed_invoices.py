"""How far an invoice has the credits of reversed outcomes, through its draft, its issue and its next editions."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from witnd.domain.invoices.cancel import revise
from witnd.domain.invoices.credit import Item
from witnd.domain.invoices.invoice import Invoice, Row, empty_invoice
from witnd.domain.invoices.issue import issue
from witnd.domain.invoices.issue_data import IssueData
from witnd.domain.invoices.issue_terms import IssueTerms
from witnd.domain.invoices.operations import Change, Refusal, Series
from witnd.domain.invoices.reversals import Reversed, credit_rows
from witnd.domain.invoices.sums import GroupSums, Sum, Sums
from witnd.domain.invoices.tax import TaxTable
from witnd.domain.values.period import Calendar

PERIOD = Calendar.of("month").period_at(1_700_000_000_000)
END = PERIOD.end
INV, CN = Series(name="INV"), Series(name="CN")
TODAY = Calendar.of("month").day_at(END)
TERMS = IssueTerms(data=IssueData(customer_name="Acme"))


def draft(lines: int = 3) -> Invoice:
    amount = Decimal(lines)
    return replace(
        empty_invoice("acme", "EUR", 2, PERIOD),
        closed=True,
        lines=lines,
        subtotal=amount,
        sums=Sums((GroupSums("support", None, {"": Sum(lines, amount)}),)),
    )


def reversed_at(ms: int, key: str = "outcome-1") -> Reversed:
    row = Row(
        id=key, kind="outcome", agent_key="support", rate_card="card", price_hash="p", amount="1.00", amount_exact="1",
        rated="at_settlement", outcome_key=key, resolved_at=PERIOD.start,
    )  # fmt: skip
    return Reversed(outcome_key=key, reversed_at=ms, reversed_on="2026-11-30", item=Item(row=row, credited=Decimal(0)))


def issued(invoice: Invoice, through: int | None = None, *pending: Reversed, first: int | None = None) -> Invoice:
    done = issue(
        invoice, Decimal(0), INV, END, TERMS, today=TODAY, through=through, reversed_=pending, first_reversal=first
    )
    assert isinstance(done, Change), done
    return replace(done.after, number="INV-000001")


def credited(invoice: Invoice, *pending: Reversed, through: int | None) -> Invoice:
    return credit_rows(invoice, pending, at=END, table=TaxTable(), through=through).after


def test_an_issue_has_at_least_the_reversals_that_are_credited_on_the_draft() -> None:
    one = credited(draft(), reversed_at(END + 50), through=END + 100)
    assert one.issued_through == END + 100
    assert issued(one, END + 10).issued_through == END + 100
    assert issued(one, END + 200).issued_through == END + 200
    assert issued(draft()).issued_through == END


def test_a_reversal_without_a_credit_counts_as_well() -> None:
    nothing_left = replace(draft(), credited=Decimal(3), credit_sums={"": Decimal(3)})
    one = credited(nothing_left, reversed_at(END + 50), through=END + 100)
    assert (one.credited, one.issued_through) == (3, END + 100)


def test_on_an_open_invoice_and_in_a_part_of_many_it_is_not_known_yet() -> None:
    is_open = replace(draft(), closed=False, sums=None)
    assert credited(is_open, reversed_at(END - 1), through=END).issued_through is None
    assert credited(draft(), reversed_at(END + 1), through=None).issued_through is None


def test_the_next_edition_keeps_it() -> None:
    done = revise(issued(draft(), END + 100), Decimal(0), "wrong", CN, TODAY)
    assert isinstance(done, Change)
    assert done.draft is not None
    assert issued(done.draft, END).issued_through == END + 100


@pytest.mark.parametrize("pending", [[], [reversed_at(END + 5)]])
def test_it_is_not_issued_without_an_earlier_reversal_that_came_meanwhile(pending: list[Reversed]) -> None:
    done = issue(
        draft(), Decimal(0), INV, END, TERMS, today=TODAY, through=END + 10, reversed_=pending, first_reversal=END + 4
    )
    assert isinstance(done, Refusal)
    assert "reversed meanwhile" in done.problem


def test_later_reversals_do_not_prevent_it() -> None:
    one = issued(draft(), END + 10, reversed_at(END + 5), first=END + 5)
    assert one.credited == 1
    assert issued(draft(), END + 10, first=END + 10).credited == 0
