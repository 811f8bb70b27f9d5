"""What may be done to an invoice: every transition, every refusal, and what no sequence of them can break."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace

from tests.support.searches import examples
from witnd.domain.invoices.cancel import revise, void
from witnd.domain.invoices.credit import Item, credit
from witnd.domain.invoices.invoice import STATUSES, Invoice, PaymentEntry, Row, edition_id, invoice_id
from witnd.domain.invoices.issue import issue
from witnd.domain.invoices.issue_data import IssueData
from witnd.domain.invoices.issue_terms import IssueTerms
from witnd.domain.invoices.operations import (
    MAX_REASON_LENGTH,
    Change,
    CreditNote,
    Decision,
    Refusal,
    Series,
    Unchanged,
    invoice_label,
)
from witnd.domain.invoices.payment import (
    Received,
    parse_amount,
    parse_date,
    pay,
    payment_id,
    payments_of,
    refund_refusal,
    reverse,
)
from witnd.domain.invoices.sums import GroupSums, Sum, Sums
from witnd.domain.invoices.tax import TaxTable
from witnd.domain.outcomes.resolution import derived_id
from witnd.domain.values.money import exact_sum
from witnd.domain.values.period import Calendar

NOVEMBER = Calendar.of("month").period_at(1_794_000_000_000)
ZERO = Decimal(0)
INV, CN = Series(name="INV"), Series(name="CN")
# 30 November 2026, 23:59:59.999
AT = 1_796_083_199_999
LOCAL = Calendar.of("month").day_at(AT)
TODAY = "2026-11-30"
TERMS = IssueTerms(data=IssueData(customer_name="Acme"))


def invoice(status: str = "draft", **fields: Any) -> Invoice:
    later: dict[str, Any] = {}
    if status != "draft":
        later = {"number": "INV-000001", "issued_at": 1, "total": Decimal("10.00"), "issue_data": TERMS.data}
    if status == "paid":
        paid = Decimal("10.00")
        later |= {"payments_total": paid, "payments_applied": paid, "live_payments": 1, "payment_entries": 1}
    known: dict[str, Any] = {
        "id": invoice_id("acme", "EUR", NOVEMBER),
        "customer_key": "acme",
        "currency": "EUR",
        "digits": 2,
        "start": NOVEMBER.start,
        "end": NOVEMBER.end,
        "period": "month",
        "zone": NOVEMBER.zone,
        "first_day": NOVEMBER.first_day,
        "last_day": NOVEMBER.last_day,
        "lines": 2,
        "unrated": 0,
        "subtotal": Decimal("10.00"),
        "closed": True,
        "status": status,
        "revision": STATUSES.index(status),  # type: ignore[arg-type]
    }
    made = Invoice(**(known | later | fields))
    credited = {"": made.credited} if made.credited else {}
    with_sums = sums(2, made.subtotal) if made.closed else None
    return replace(made, sums=with_sums, credit_sums=credited, noted_net=made.noted)


def sums(rows: int, subtotal: Decimal) -> Sums:
    """Those of rows without a tax."""
    return Sums((GroupSums("support", None, {"": Sum(rows, subtotal)}),))


def row(amount: str | None = "6.00", **fields: Any) -> Row:
    known: dict[str, Any] = {
        "id": derived_id("line", "ticket-4711"),
        "kind": "outcome",
        "agent_key": "support",
        "rate_card": "standard",
        "price_hash": "ab" * 32,
        "amount": amount,
        "amount_exact": amount,
        "rated": "at_settlement",
        "price_per_unit": "3",
        "outcome_key": "ticket-4711",
        "resolved_at": NOVEMBER.start,
        "contract_hash": "cd" * 32,
        "unit": "2",
    }
    return Row(**(known | fields))


def credited(
    of: Invoice,
    amount: str | None = None,
    *,
    row: Row = row(),  # noqa: B008 - a value that nobody changes
    so_far: str = "0",
    balance: str = "0",
    reason: str = "wrong",
) -> Change | Refusal:
    item = Item(row=row, credited=Decimal(so_far), amount=None if amount is None else Decimal(amount))
    return credit(of, [item], reason, balance=Decimal(balance), series=CN, at=77, today=LOCAL, table=TaxTable())


def change(verdict: Decision) -> Change:
    assert isinstance(verdict, Change), verdict
    return verdict


def refusal(verdict: Decision) -> str:
    assert isinstance(verdict, Refusal), verdict
    assert verdict.problem
    assert verdict.remedy
    return str(verdict)


class TestIssue:
    def test_what_is_to_be_paid_is_fixed_under_a_number(self) -> None:
        done = change(issue(invoice(credited=Decimal("1.50")), ZERO, INV, AT, TERMS, today=LOCAL))

        assert (done.after.status, done.after.total, done.after.revision) == ("issued", Decimal("8.50"), 1)
        assert (done.series, done.timestamp_fields, done.waits) == ("INV", ["issued_at"], False)
        assert (done.rows, done.note, done.credited) == ((), None, {})
        assert (done.after.issue_date, done.after.due_date) == (TODAY, "2026-12-30")
        assert done.until == AT + 1, "on another day, its dates would be others"

    @pytest.mark.parametrize(
        ("balance", "used", "due", "left", "status"),
        [
            ("0", "0", "10", "0", "issued"),
            ("4", "4", "6", "0", "issued"),
            ("10", "10", "0", "0", "paid"),
            ("12.50", "10", "0", "2.5", "paid"),
        ],
    )
    def test_the_balance_pays_down_to_nothing_and_the_rest_stays(
        self, balance: str, used: str, due: str, left: str, status: str
    ) -> None:
        done = change(issue(invoice(), Decimal(balance), INV, AT, TERMS, today=LOCAL))

        assert (done.after.balance_used, done.after.due) == (Decimal(used), Decimal(due))
        assert (done.after.total, done.balance, done.after.status) == (10, Decimal(left), status)
        assert ("paid_at" in done.timestamp_fields) is (status == "paid")

    def test_an_invoice_over_nothing_takes_nothing_from_the_balance(self) -> None:
        done = change(issue(invoice(subtotal=ZERO), Decimal(5), INV, AT, TERMS, today=LOCAL))

        assert (done.after.balance_used, done.after.total, done.balance) == (ZERO, ZERO, Decimal(5))
        assert done.after.status == "paid"

    def test_a_series_by_year_has_the_year_of_the_issue(self) -> None:
        by_year = Series(name="RE-{year}", first=500)

        done = change(issue(invoice(), ZERO, by_year, AT, TERMS, today=LOCAL))

        assert (done.series, done.first) == ("RE-2026", 500)
        assert by_year.name_on("2027-01-01") == "RE-2027"

    def test_an_open_one_waits_for_the_end_of_its_period(self) -> None:
        assert "ends at 2026-12-01T00:00:00.000Z" in refusal(
            issue(invoice(closed=False), ZERO, INV, AT, TERMS, today=LOCAL)
        )

    def test_it_is_issued_once(self) -> None:
        assert issue(invoice("issued"), ZERO, INV, AT, TERMS, today=LOCAL) == Unchanged(invoice("issued"))
        by_balance = invoice("paid", live_payments=0, balance_used=Decimal(10))
        assert issue(by_balance, ZERO, INV, AT, TERMS, today=LOCAL) == Unchanged(by_balance)
        assert "is paid" in refusal(issue(invoice("paid"), ZERO, INV, AT, TERMS, today=LOCAL))
        assert "is void" in refusal(issue(invoice("void"), ZERO, INV, AT, TERMS, today=LOCAL))

    def test_sums_beyond_the_usual_precision_are_exact(self) -> None:
        subtotal = Decimal("1" * 33 + ".01")

        done = change(
            issue(invoice(subtotal=subtotal, credited=Decimal("0.01")), Decimal("0.01"), INV, AT, TERMS, today=LOCAL)
        )

        assert str(done.after.total) == "1" * 33 + ".00"
        assert str(done.after.due) == "1" * 32 + "0.99"


def received(amount: str) -> Received:
    return Received(amount=Decimal(amount), date="2026-11-15", method="transfer", reference="4711")


class TestPay:
    def test_what_is_due_is_paid_today(self) -> None:
        done = change(pay(invoice("issued"), None, ZERO, today=TODAY, at=AT))

        assert (done.after.status, done.timestamp_fields, done.after.revision) == ("paid", ["paid_at"], 2)
        assert (done.series, done.balance, done.waits) == (None, None, None)
        assert done.payment == PaymentEntry(at=AT, amount=Decimal(10), applied=Decimal(10), date=TODAY)

    def test_no_other(self) -> None:
        assert pay(invoice("paid"), None, ZERO, today=TODAY, at=AT) == Unchanged(invoice("paid"))
        for given in (None, received("1.00")):
            assert "not issued" in refusal(pay(invoice(), given, ZERO, today=TODAY, at=AT))
            assert "void" in refusal(pay(invoice("void"), given, ZERO, today=TODAY, at=AT))

    @pytest.mark.parametrize(
        ("amount", "applied", "balance", "status", "due"),
        [("4.00", "4", None, "issued", "6"), ("10.00", "10", None, "paid", "0"), ("12.50", "10", "5.5", "paid", "0")],
    )
    def test_a_payment_is_split_when_it_is_recorded(
        self, amount: str, applied: str, balance: str | None, status: str, due: str
    ) -> None:
        done = change(pay(invoice("issued"), received(amount), Decimal(3), today=TODAY, at=AT))

        assert done.payment is not None
        assert (done.payment.applied, done.payment.date) == (Decimal(applied), "2026-11-15")
        assert done.balance == (None if balance is None else Decimal(balance))
        assert (done.after.status, done.after.due, done.after.live_payments) == (status, Decimal(due), 1)

    def test_a_second_payment_of_a_paid_one_goes_to_the_balance(self) -> None:
        done = change(pay(invoice("paid"), received("3.00"), Decimal(1), today=TODAY, at=AT))

        assert done.payment is not None
        assert (done.payment.applied, done.balance, done.after.status) == (ZERO, Decimal(4), "paid")
        assert done.timestamp_fields == []

    def test_an_amount_below_the_least_is_refused(self) -> None:
        assert "above 0" in refusal(pay(invoice("issued"), received("0"), ZERO, today=TODAY, at=AT))


class TestReverse:
    @staticmethod
    def paid(amount: str) -> tuple[Invoice, tuple[PaymentEntry, ...], str]:
        done = change(pay(invoice("issued"), received(amount), ZERO, today=TODAY, at=AT))
        assert done.payment is not None
        return replace(done.after, paid_at=AT), (done.payment,), payment_id(done.after.id, 0)

    def test_what_it_paid_is_due_again(self) -> None:
        head, entries, id_ = self.paid("12.50")

        done = change(reverse(head, entries, id_, Decimal("2.75"), today=TODAY, at=AT))

        assert (done.after.status, done.after.due, done.balance) == ("issued", Decimal(10), Decimal("0.25"))
        assert (done.after.paid_at, done.after.live_payments, done.after.payment_entries) == (None, 0, 2)
        assert done.payment is not None
        [shown] = payments_of(head.id, (*entries, done.payment))
        assert (shown.id, shown.reversed_at) == (id_, AT)

    def test_not_while_its_rest_is_used(self) -> None:
        head, entries, id_ = self.paid("12.50")

        assert "2.50 EUR of the payment" in refusal(reverse(head, entries, id_, Decimal("2.49"), today=TODAY, at=AT))

    def test_once(self) -> None:
        head, entries, id_ = self.paid("4.00")
        done = change(reverse(head, entries, id_, ZERO, today=TODAY, at=AT))
        assert done.payment is not None

        again = reverse(done.after, (*entries, done.payment), id_, ZERO, today=TODAY, at=AT)

        assert again == Unchanged(done.after)
        assert "no payment" in refusal(reverse(head, entries, "ab" * 32, ZERO, today=TODAY, at=AT))


class TestVoid:
    def test_nothing_of_it_is_owed_and_the_balance_gets_its_part_back(self) -> None:
        done = change(void(invoice("issued", balance_used=Decimal(4)), Decimal("0.50"), "sent twice", CN, LOCAL))

        assert (done.after.status, done.after.reason, done.timestamp_fields) == ("void", "sent twice", ["voided_at"])
        assert (done.balance, done.after.balance_used, done.after.due) == (Decimal("4.50"), ZERO, None)

    def test_without_such_a_part_the_balance_does_not_matter(self) -> None:
        assert change(void(invoice("issued"), Decimal(3), "sent twice", CN, LOCAL)).balance is None

    @pytest.mark.parametrize("operation", [void, revise])
    @pytest.mark.parametrize(
        "fields", [{"balance_used": Decimal(10)}, {"subtotal": ZERO, "total": ZERO}], ids=["by balance", "over nothing"]
    )
    def test_one_that_no_payment_paid_counts_as_issued(self, operation: Any, fields: dict[str, Any]) -> None:
        unpaid = {"payments_total": ZERO, "payments_applied": ZERO, "live_payments": 0}
        done = change(operation(invoice("paid", **unpaid, **fields, paid_at=5), ZERO, "wrong", CN, LOCAL))

        assert (done.after.status, done.after.paid_at) == ("void", None)

    @pytest.mark.parametrize("operation", [void, revise])
    def test_no_other_is_voided(self, operation: Any) -> None:
        assert "credit the wrong lines" in refusal(operation(invoice(), ZERO, "wrong", CN, LOCAL))
        assert "is paid by a payment" in refusal(operation(invoice("paid"), ZERO, "wrong", CN, LOCAL))
        assert "has 2 payments" in refusal(operation(invoice("issued", live_payments=2), ZERO, "wrong", CN, LOCAL))

    def test_once(self) -> None:
        assert void(invoice("void"), ZERO, "again", CN, LOCAL) == Unchanged(invoice("void"))
        assert "is void" in refusal(revise(invoice("void"), ZERO, "again", CN, LOCAL))
        revised = invoice("void", revised_by="ab" * 32)
        assert revise(revised, ZERO, "again", CN, LOCAL) == Unchanged(revised)

    @pytest.mark.parametrize("operation", [void, revise])
    def test_nothing_is_given_back_twice(self, operation: Any) -> None:
        said = refusal(operation(invoice("issued", noted=Decimal(1), notes=1), ZERO, "wrong", CN, LOCAL))

        assert "credit notes for 1.00 EUR" in said


class TestRevise:
    def test_the_next_edition_is_a_draft_with_the_same_rows(self) -> None:
        before = invoice("issued", credited=Decimal(2), total=Decimal(8), balance_used=Decimal(3))

        done = change(revise(before, ZERO, "wrong price", CN, LOCAL))

        assert (done.after.status, done.after.reason, done.balance) == ("void", "wrong price", Decimal(3))
        assert done.draft is not None
        draft = done.draft
        assert (
            draft.id == derived_id("invoice", "acme", "EUR", "2026-11-01T00:00:00.000Z", "2") == done.after.revised_by
        )
        assert (draft.edition, draft.revises, draft.revises_number) == (2, before.id, "INV-000001")
        assert (draft.status, draft.closed, draft.number, draft.amount) == ("draft", True, None, Decimal(8))
        assert edition_id(draft, 1) == before.id
        third = change(
            revise(replace(draft, status="issued", total=Decimal(8), number="INV-000002"), ZERO, "again", CN, LOCAL)
        )
        assert third.draft is not None
        assert (third.draft.edition, third.draft.id) == (3, edition_id(before, 3))


class TestCredit:
    def test_before_it_is_issued_the_draft_gains_a_row(self) -> None:
        done = change(credited(invoice(revision=3, credited=Decimal(1)), "2.50", so_far="1"))

        assert (done.operation, done.after.credited, done.after.revision) == ("credit", Decimal("3.50"), 4)
        assert (done.credited, done.balance) == ({row().id: Decimal("3.50")}, None)
        assert (done.series, done.note) == (None, None)
        [given] = done.rows
        assert (given.kind, given.amount, given.amount_exact) == ("credit", "-2.50", "-2.5")
        assert (given.corrects, given.outcome_key, given.reason) == (row().id, "ticket-4711", "wrong")
        assert (given.resolved_at, given.unit, given.price_per_unit) == (77, None, None)

    def test_an_open_draft_too_once_the_row_has_an_amount(self) -> None:
        assert change(credited(invoice(closed=False), "1.00")).operation == "credit"
        said = refusal(credited(invoice(closed=False), row=row(None, rated="at_close")))
        assert "2026-12-01" in said

    @pytest.mark.parametrize(
        ("status", "applied", "balance", "due"), [("issued", "1.25", None, "6.75"), ("paid", "0", "2", "0")]
    )
    def test_afterwards_a_credit_note_reduces_what_is_due_and_the_rest_fills_the_balance(
        self, status: str, applied: str, balance: str | None, due: str
    ) -> None:
        part = Decimal(2) if status == "issued" else ZERO
        before = invoice(status, noted=Decimal(2), notes_applied=part, notes=1)

        done = change(credited(before, "1.25", so_far="2", balance="0.75"))

        assert (done.operation, done.series, done.timestamp_fields, done.rows) == ("note", "CN", [], ())
        assert (done.after.status, done.after.noted, done.after.notes) == (status, Decimal("3.25"), 2)
        assert (done.after.credited, done.after.total, done.after.due) == (before.credited, before.total, Decimal(due))
        assert done.balance == (None if balance is None else Decimal(balance))
        assert done.credited == {row().id: Decimal("3.25")}
        note = done.note
        assert isinstance(note, CreditNote)
        assert note.id == derived_id("credit_note", before.id, "1")
        assert (note.invoice, note.invoice_number, note.amount) == (before.id, "INV-000001", Decimal("1.25"))
        assert note.applied == Decimal(applied)
        assert [(one.amount, one.corrects) for one in note.rows] == [("-1.25", row().id)]

    def test_a_credit_note_can_pay_an_invoice(self) -> None:
        before = invoice("issued", payments_applied=Decimal(6), payments_total=Decimal(6), live_payments=1)

        done = change(credited(before, "5.00"))

        assert done.note is not None
        assert (done.after.status, done.note.applied, done.balance) == ("paid", Decimal(4), Decimal(1))
        assert done.timestamp_fields == ["paid_at"]

    def test_several_rows_share_one_note(self) -> None:
        rows = [row("6.00"), row("4.00", id=derived_id("line", "other"), outcome_key="other")]
        items = [
            Item(row=rows[0], credited=Decimal(1), amount=Decimal("2.50")),
            Item(row=rows[1], credited=ZERO),
        ]

        done = change(
            credit(
                invoice("issued", noted=Decimal(1)),
                items,
                "wrong",
                balance=ZERO,
                series=CN,
                at=77,
                today=LOCAL,
                table=TaxTable(),
            )
        )

        assert done.note is not None
        assert [one.amount for one in done.note.rows] == ["-2.50", "-4.00"]
        assert (done.note.amount, done.credited) == (Decimal("6.50"), {rows[0].id: Decimal("3.5"), rows[1].id: 4})

    def test_together_they_are_never_more_than_the_invoice(self) -> None:
        rows = [row("6.00"), row("6.00", id=derived_id("line", "other"))]
        capped = invoice("issued", subtotal=Decimal(8))
        items = [Item(row=one, credited=ZERO, amount=Decimal(5)) for one in rows]

        assert "of the invoice; credit at most 3.00 EUR" in refusal(
            credit(capped, items, "wrong", balance=ZERO, series=CN, at=77, today=LOCAL, table=TaxTable())
        )
        rest = change(
            credit(
                capped,
                [items[0], Item(row=rows[1], credited=ZERO)],
                "x",
                balance=ZERO,
                series=CN,
                today=LOCAL,
                at=7,
                table=TaxTable(),
            )
        )
        assert rest.note is not None
        assert rest.note.amount == 8

    def test_two_credits_of_one_row_have_two_ids(self) -> None:
        [first], [second] = [change(credited(invoice(), "1.00", so_far=so_far)).rows for so_far in ("0", "1")]

        assert first.id != second.id

    @pytest.mark.parametrize("kind", ["outcome", "fee", "minimum"])
    def test_what_asks_for_money_is_credited(self, kind: str) -> None:
        assert change(credited(invoice(), row=row(kind=kind))).credited == {row().id: Decimal(6)}

    @pytest.mark.parametrize(("kind", "amount"), [("credit", "-1.00"), ("cap", "-4.00")])
    def test_what_takes_money_away_is_not(self, kind: str, amount: str) -> None:
        assert f"a line of kind {kind} is already negative" in refusal(credited(invoice(), row=row(amount, kind=kind)))

    @pytest.mark.parametrize(
        ("so_far", "of_all", "given"), [("0", "0", "6"), ("2", "2", "4"), ("0", "7", "3"), ("5.99", "5.99", "0.01")]
    )
    def test_without_an_amount_all_that_is_left_is_given(self, so_far: str, of_all: str, given: str) -> None:
        done = change(credited(invoice(credited=Decimal(of_all)), so_far=so_far))

        assert Decimal(done.rows[0].amount or 0) == -Decimal(given)

    @pytest.mark.parametrize(
        ("amount", "so_far", "fields", "said"),
        [
            ("6.01", "0", {}, "more than what remains of the line; credit at most 6.00 EUR"),
            ("2.00", "5", {}, "credit at most 1.00 EUR"),
            ("4.00", "0", {"credited": Decimal(7)}, "more than what remains of the invoice; credit at most 3.00 EUR"),
            ("1.005", "0", {}, "more digits after the point than EUR (2); write at most 2, such as 1.01"),
            ("0.00", "0", {}, "above 0"),
            ("-1", "0", {}, "above 0"),
            (None, "6", {}, "nothing of the line remains"),
            (None, "0", {"credited": Decimal(10)}, "nothing of the draft of acme in EUR from 2026-11-01 to 2026-11-30"),
        ],
    )
    def test_never_more_than_there_is_and_never_finer(
        self, amount: str | None, so_far: str, fields: dict[str, Any], said: str
    ) -> None:
        assert said in refusal(credited(invoice(**fields), amount, so_far=so_far))

    def test_credit_rows_and_notes_count_together(self) -> None:
        before = invoice("issued", credited=Decimal(3), noted=Decimal(5))

        assert "at most 2.00 EUR" in refusal(credited(before, "2.01"))

    def test_a_row_for_nothing_has_nothing_to_give(self) -> None:
        assert "nothing of the line" in refusal(credited(invoice(), row=row("0.00")))

    def test_of_a_void_one_nothing_is_given_back(self) -> None:
        assert "is void" in refusal(credited(invoice("void"), "1.00"))

    def test_a_currency_without_minor_digits_is_credited_in_whole_units(self) -> None:
        yen = invoice(currency="JPY", digits=0, subtotal=Decimal(100))

        assert change(credited(yen, "7", row=row("100"))).rows[0].amount == "-7"
        assert "more digits" in refusal(credited(yen, "7.5", row=row("100")))


class TestWords:
    @pytest.mark.parametrize("reason", ["", "  ", "x" * (MAX_REASON_LENGTH + 1), "two\nlines", "\x1b[2J"])
    def test_a_reason_is_one_line_that_can_be_read(self, reason: str) -> None:
        assert "the reason" in refusal(void(invoice("issued"), ZERO, reason, CN, LOCAL))
        assert "the reason" in refusal(credited(invoice(), reason=reason))

    @pytest.mark.parametrize(
        ("text", "digits", "wrong"),
        [
            ("1.505", 2, "more digits"),
            ("1.50", 0, "more digits"),
            ("0.00", 2, "greater than 0"),
            ("-1", 2, "negative"),
            ("1e3", 2, "plain decimal"),
            ("", 2, "plain decimal"),
        ],
    )
    def test_an_amount_has_no_more_digits_than_its_invoice(self, text: str, digits: int, wrong: str) -> None:
        with pytest.raises(ValueError, match=wrong):
            parse_amount(text, "EUR", digits)

    def test_an_amount_is_taken_as_written(self) -> None:
        assert str(parse_amount("1.50", "EUR", 2)) == "1.50"
        assert parse_amount("2", "EUR", 2) == 2

    @pytest.mark.parametrize(
        "text",
        ["", "2026-11-31", "2026-13-01", "20261130", "2026-W48-1", "30.11.2026", "2026-11-30T00:00:00Z", "today"],
    )
    def test_a_date_is_a_day_of_the_calendar(self, text: str) -> None:
        assert parse_date("2028-02-29") == "2028-02-29"
        with pytest.raises(ValueError, match="2026-11-30"):
            parse_date(text)

    def test_a_refund_is_at_most_the_balance(self) -> None:
        assert refund_refusal(Decimal(5), Decimal(5), "EUR", 2) is None
        assert "at most 5.00 EUR" in str(refund_refusal(Decimal("5.01"), Decimal(5), "EUR", 2))
        assert "nothing can be" in str(refund_refusal(Decimal("0.01"), ZERO, "EUR", 2))

    def test_people_call_it_by_its_number_once_it_has_one(self) -> None:
        assert invoice_label(invoice("issued")) == "INV-000001"
        assert invoice_label(invoice()) == "the draft of acme in EUR from 2026-11-01 to 2026-11-30"


class Books(RuleBasedStateMachine):
    """Several invoices of one customer, and what the store does with changes, in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.balance = ZERO
        self.refunded = ZERO
        self.series: dict[str, int] = {}
        self.numbers: dict[str, str] = {}
        self.notes: list[CreditNote] = []
        self.heads: list[Invoice] = []
        self.revised: list[Invoice] = []
        self.amounts: list[list[Decimal]] = []
        self.credited: list[dict[str, Decimal]] = []
        self.rows: list[list[Row]] = []
        self.payments: list[tuple[PaymentEntry, ...]] = []

    @rule(cents=st.lists(st.integers(0, 500), min_size=1, max_size=3), capped=st.booleans())
    @precondition(lambda self: len(self.heads) < 3)
    def close_a_period(self, cents: list[int], capped: bool) -> None:
        amounts = [Decimal(one) / 100 for one in cents]
        cap = max(amounts) if capped else sum(amounts)
        start = NOVEMBER.start + len(self.heads)
        head = invoice(subtotal=min(sum(amounts), cap), start=start, id="")
        self.heads.append(replace(head, id=edition_id(head, 1)))
        self.amounts.append(amounts)
        self.credited.append({})
        self.rows.append([])
        self.payments.append(())

    def some(self, place: int) -> int:
        return place % len(self.heads)

    def row(self, place: int, item: int) -> Row:
        item %= len(self.amounts[place])
        return row(f"{self.amounts[place][item]:.2f}", id=derived_id("line", f"{place} {item}"))

    def apply(self, place: int, verdict: Decision) -> None:
        if not isinstance(verdict, Change):
            return
        assert verdict.before == self.heads[place]
        assert verdict.after.revision == verdict.before.revision + 1
        head = verdict.after
        if verdict.series is not None:
            count = self.series[verdict.series] = self.series.get(verdict.series, 0) + 1
            number = f"{verdict.series}-{count:06d}"
            assert number not in self.numbers
            about = head.id if verdict.note is None else verdict.note.id
            assert about not in self.numbers.values()
            self.numbers[number] = about
            head = head if verdict.note else replace(head, number=number)
        if verdict.balance is not None:
            self.balance = verdict.balance
        self.credited[place] |= verdict.credited
        self.rows[place] += verdict.rows
        if verdict.note is not None:
            self.notes.append(verdict.note)
        if verdict.payment is not None:
            self.payments[place] += (verdict.payment,)
        if verdict.draft is not None:
            self.revised.append(head)
            head = verdict.draft
            self.payments[place] = ()
        self.heads[place] = head

    places = st.integers(0, 2)

    @precondition(lambda self: self.heads)
    @rule(place=places)
    def issue_one(self, place: int) -> None:
        place = self.some(place)
        self.apply(place, issue(self.heads[place], self.balance, INV, AT, TERMS, today=LOCAL))

    @precondition(lambda self: self.heads)
    @rule(place=places, cents=st.none() | st.integers(0, 900))
    def pay_one(self, place: int, cents: int | None) -> None:
        place = self.some(place)
        given = None if cents is None else Received(amount=Decimal(cents) / 100)
        self.apply(place, pay(self.heads[place], given, self.balance, today=TODAY, at=AT))

    @precondition(lambda self: self.heads)
    @rule(place=places, number=places)
    def reverse_one(self, place: int, number: int) -> None:
        place = self.some(place)
        head, entries = self.heads[place], self.payments[place]
        self.apply(place, reverse(head, entries, payment_id(head.id, number), self.balance, today=TODAY, at=AT))

    @rule(cents=st.integers(1, 300))
    def refund_some(self, cents: int) -> None:
        amount = Decimal(cents) / 100
        if refund_refusal(amount, self.balance, "EUR", 2) is None:
            self.balance -= amount
            self.refunded += amount

    @precondition(lambda self: self.heads)
    @rule(place=places, operation=st.sampled_from([void, revise]))
    def void_one(self, place: int, operation: Any) -> None:
        place = self.some(place)
        self.apply(place, operation(self.heads[place], self.balance, "wrong", CN, LOCAL))

    @precondition(lambda self: self.heads)
    @rule(place=places, items=st.lists(places, min_size=1, max_size=3), cents=st.none() | st.integers(-1, 300))
    def credit_some(self, place: int, items: list[int], cents: int | None) -> None:
        place = self.some(place)
        rows = {one.id: one for one in (self.row(place, item) for item in items)}
        amount = None if cents is None else Decimal(cents) / 100
        wanted = [
            Item(row=one, credited=self.credited[place].get(id_, ZERO), amount=amount) for id_, one in rows.items()
        ]
        self.apply(
            place,
            credit(
                self.heads[place], wanted, "wrong", balance=self.balance, series=CN, at=1, today=LOCAL, table=TaxTable()
            ),
        )

    @invariant()
    def numbers_have_no_gap_and_each_names_one_thing(self) -> None:
        for series, count in self.series.items():
            assert {f"{series}-{n:06d}" for n in range(1, count + 1)} == {
                number for number in self.numbers if number.startswith(f"{series}-")
            }
        assert len(set(self.numbers.values())) == len(self.numbers)

    @invariant()
    def no_money_is_made_or_lost(self) -> None:
        gained = exact_sum(note.amount - note.applied for note in self.notes)
        for entries in self.payments:
            gone = {one.reverses for one in entries if one.reverses is not None}
            live = [one for n, one in enumerate(entries) if one.reverses is None and n not in gone]
            gained += sum(one.amount - one.applied for one in live)
        used = exact_sum(head.balance_used for head in (*self.heads, *self.revised))
        assert self.balance == gained - used - self.refunded
        assert self.balance >= 0

    @invariant()
    def every_invoice_adds_up(self) -> None:
        for place, head in enumerate(self.heads):
            amounts, credited, rows = self.amounts[place], self.credited[place], self.rows[place]
            for item, amount in enumerate(amounts):
                assert ZERO <= credited.get(self.row(place, item).id, ZERO) <= amount
            assert sum(credited.values()) == head.credited + head.noted <= head.subtotal
            assert sum(Decimal(one.amount or 0) for one in rows) == -head.credited
            mine = [note for note in self.notes if note.invoice == head.id]
            assert (len(mine), sum(note.amount for note in mine)) == (head.notes, head.noted)
            ids = [one.id for one in rows] + [one.id for note in mine for one in note.rows]
            assert len(set(ids)) == len(ids)
            if head.total is None:
                assert head.status == "draft"
                continue
            assert head.total >= 0
            assert head.total + head.credited == head.subtotal
            if head.status == "void":
                assert head.due is None
                continue
            paid = head.payments_applied + head.notes_applied + head.balance_used
            assert head.due == head.total - paid >= 0
            assert head.status == ("issued" if head.due else "paid")


TestBooks = Books.TestCase
TestBooks.settings = settings(max_examples=examples(60), stateful_step_count=30, deadline=None)
