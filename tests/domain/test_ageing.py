"""What is due by the days since the due date: each unpaid invoice is in one bucket, and nothing is lost."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.support.invoices import CALENDAR, draft
from witnd.domain.invoices.ageing import BUCKETS, ageing_by, bucket_of, due_day
from witnd.domain.invoices.invoice import Invoice

TODAY = date(2026, 11, 30)
STATUSES = ("draft", "issued", "paid", "void")


def unpaid(customer: str, cents: int, late: int, *, currency: str = "EUR", status: str = "issued") -> Invoice:
    """An invoice with an amount due, whose due date was `late` days ago."""
    head = draft(customer, [], at=CALENDAR.period_at(0).start, currency=currency)
    due_date = (TODAY - timedelta(days=late)).isoformat()
    return replace(head, status=status, total=Decimal(cents).scaleb(-2), due_date=due_date)


@pytest.mark.parametrize(
    ("late", "place"), [(-40, 0), (-1, 0), (0, 0), (1, 1), (30, 1), (31, 2), (60, 2), (61, 3), (4000, 3)]
)
def test_each_day_is_in_one_bucket(late: int, place: int) -> None:
    assert bucket_of(late) == place
    [found] = ageing_by(["acme"], [unpaid("acme", 150, late)], TODAY.isoformat()).values()
    assert [bool(amount) for amount in found.amounts] == [one == place for one in range(len(BUCKETS))]
    assert (found.total, found.overdue) == (Decimal("1.50"), Decimal("1.50") if late > 0 else Decimal(0))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["acme", "globex"]),
            st.integers(0, 10**9),
            st.integers(-100, 200),
            st.sampled_from(["EUR", "USD"]),
            st.sampled_from(STATUSES),
        ),
        max_size=12,
    )
)
def test_all_that_is_due_is_counted_once(rows: list[tuple[str, int, int, str, str]]) -> None:
    invoices = [
        unpaid(customer, cents, late, currency=currency, status=status)
        for customer, cents, late, currency, status in rows
    ]
    found = ageing_by([one.customer_key for one in invoices], invoices, TODAY.isoformat())
    due = [one for one in invoices if one.status == "issued" and one.due]
    assert sum(one.invoices for one in found.values()) == len(due)
    for currency in ("EUR", "USD"):
        total = sum((one.total for (_, code), one in found.items() if code == currency), Decimal(0))
        assert total == sum((one.due or Decimal(0) for one in due if one.currency == currency), Decimal(0))
    assert all((due_day(one) is not None) == (one in due) for one in invoices)
