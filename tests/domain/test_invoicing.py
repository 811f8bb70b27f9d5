"""What may be done to an invoice: every transition, every refusal, and what no sequence of them can break."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace

from tests.support.searches import examples
from witnd.domain.invoices.credit import credit, parse_amount
from witnd.domain.invoices.invoice import STATUSES, Invoice, Row, invoice_id
from witnd.domain.invoices.operations import (
    MAX_REASON_LENGTH,
    Change,
    CreditNote,
    Decision,
    Refusal,
    Unchanged,
    invoice_label,
    issue,
    pay,
    void,
)
from witnd.domain.outcomes.resolution import derived_id
from witnd.domain.values.money import exact_sum
from witnd.domain.values.period import Calendar

NOVEMBER = Calendar.of("month").period_at(1_794_000_000_000)
ZERO = Decimal(0)


def invoice(status: str = "draft", **fields: Any) -> Invoice:
    later = {} if status == "draft" else {"number": "INV-000001", "issued_at": 1, "total": Decimal("10.00")}
    known: dict[str, Any] = {
        "id": invoice_id("acme", "EUR", NOVEMBER),
        "customer_key": "acme",
        "currency": "EUR",
        "digits": 2,
        "start": NOVEMBER.start,
        "end": NOVEMBER.end,
        "period": "month",
        "lines": 2,
        "unrated": 0,
        "subtotal": Decimal("10.00"),
        "closed": True,
        "status": status,
        "revision": STATUSES.index(status),  # type: ignore[arg-type]
    }
    return Invoice(**(known | later | fields))


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
    return credit(
        of,
        row,
        Decimal(so_far),
        None if amount is None else Decimal(amount),
        reason,
        balance=Decimal(balance),
        series="CN",
        at=77,
    )


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
        done = change(issue(invoice(credited=Decimal("1.50")), ZERO, "INV"))

        assert (done.after.status, done.after.total, done.after.revision) == ("issued", Decimal("8.50"), 1)
        assert (done.series, done.timestamp_field, done.is_issue) == ("INV", "issued_at", True)
        assert (done.row, done.note, done.credited) == (None, None, None)

    @pytest.mark.parametrize(
        ("balance", "carried", "total", "left"),
        [("0", "0", "10", "0"), ("4", "4", "6", "0"), ("10", "10", "0", "0"), ("12.50", "10", "0", "2.5")],
    )
    def test_the_balance_pays_down_to_nothing_and_the_rest_stays(
        self, balance: str, carried: str, total: str, left: str
    ) -> None:
        done = change(issue(invoice(), Decimal(balance), "INV"))

        assert (done.after.carried, done.after.total, done.balance) == (Decimal(carried), Decimal(total), Decimal(left))

    def test_an_invoice_over_nothing_takes_nothing_from_the_balance(self) -> None:
        done = change(issue(invoice(subtotal=ZERO), Decimal(5), "INV"))

        assert (done.after.carried, done.after.total, done.balance) == (ZERO, ZERO, Decimal(5))

    def test_an_open_one_waits_for_the_end_of_its_period(self) -> None:
        assert "ends at 2026-12-01T00:00:00.000Z" in refusal(issue(invoice(closed=False), ZERO, "INV"))

    def test_it_is_issued_once(self) -> None:
        assert issue(invoice("issued"), ZERO, "INV") == Unchanged(invoice("issued"))
        assert "is paid" in refusal(issue(invoice("paid"), ZERO, "INV"))
        assert "is void" in refusal(issue(invoice("void"), ZERO, "INV"))

    def test_sums_beyond_the_usual_precision_are_exact(self) -> None:
        subtotal = Decimal("1" * 33 + ".01")

        done = change(issue(invoice(subtotal=subtotal, credited=Decimal("0.01")), Decimal("0.01"), "INV"))

        assert str(done.after.total) == "1" * 32 + "0.99"


class TestPay:
    def test_an_issued_one_is_paid(self) -> None:
        done = change(pay(invoice("issued")))

        assert (done.after.status, done.timestamp_field, done.after.revision) == ("paid", "paid_at", 2)
        assert (done.series, done.balance, done.is_issue) == (None, None, False)

    def test_no_other(self) -> None:
        assert pay(invoice("paid")) == Unchanged(invoice("paid"))
        assert "not issued" in refusal(pay(invoice()))
        assert "void" in refusal(pay(invoice("void")))


class TestVoid:
    def test_nothing_of_it_is_owed_and_the_balance_gets_its_part_back(self) -> None:
        done = change(void(invoice("issued", carried=Decimal(4)), Decimal("0.50"), "sent twice"))

        assert (done.after.status, done.after.reason, done.timestamp_field) == ("void", "sent twice", "voided_at")
        assert done.balance == Decimal("4.50")

    def test_without_such_a_part_the_balance_does_not_matter(self) -> None:
        assert change(void(invoice("issued"), Decimal(3), "sent twice")).balance is None

    def test_no_other_is_voided(self) -> None:
        assert void(invoice("void"), ZERO, "again") == Unchanged(invoice("void"))
        assert "credit the wrong rows" in refusal(void(invoice(), ZERO, "wrong"))
        assert "credit the wrong rows" in refusal(void(invoice("paid"), ZERO, "wrong"))

    def test_nothing_is_given_back_twice(self) -> None:
        said = refusal(void(invoice("issued", noted=Decimal(1), notes=1), ZERO, "wrong"))

        assert "credit notes over 1.00 EUR" in said


class TestCredit:
    def test_before_it_is_issued_the_draft_gains_a_row(self) -> None:
        done = change(credited(invoice(revision=3, credited=Decimal(1)), "2.50", so_far="1"))

        assert (done.operation, done.after.credited, done.after.revision) == ("credit", Decimal("3.50"), 4)
        assert (done.credited, done.balance, done.series, done.note) == (Decimal("3.50"), None, None, None)
        assert done.row is not None
        assert (done.row.kind, done.row.amount, done.row.amount_exact) == ("credit", "-2.50", "-2.5")
        assert (done.row.corrects, done.row.outcome_key, done.row.reason) == (row().id, "ticket-4711", "wrong")
        assert (done.row.resolved_at, done.row.unit, done.row.price_per_unit) == (77, None, None)

    def test_an_open_draft_too_once_the_row_has_an_amount(self) -> None:
        assert change(credited(invoice(closed=False), "1.00")).operation == "credit"
        said = refusal(credited(invoice(closed=False), row=row(None, rated="at_close")))
        assert "2026-12-01" in said

    @pytest.mark.parametrize("status", ["issued", "paid"])
    def test_afterwards_a_credit_note_fills_the_balance(self, status: str) -> None:
        before = invoice(status, noted=Decimal(2), notes=1)

        done = change(credited(before, "1.25", so_far="2", balance="0.75"))

        assert (done.operation, done.series, done.timestamp_field, done.row) == ("note", "CN", None, None)
        assert (done.after.status, done.after.noted, done.after.notes) == (status, Decimal("3.25"), 2)
        assert (done.after.credited, done.after.total) == (before.credited, before.total)
        assert (done.balance, done.credited) == (Decimal(2), Decimal("3.25"))
        note = done.note
        assert isinstance(note, CreditNote)
        assert note.id == derived_id("credit_note", before.id, "1")
        assert (note.invoice, note.invoice_number, note.amount) == (before.id, "INV-000001", Decimal("1.25"))
        assert [(one.amount, one.corrects) for one in note.rows] == [("-1.25", row().id)]

    def test_two_credits_of_one_row_have_two_ids(self) -> None:
        rows = [change(credited(invoice(), "1.00", so_far=so_far)).row for so_far in ("0", "1")]

        assert rows[0] is not None
        assert rows[1] is not None
        assert rows[0].id != rows[1].id

    @pytest.mark.parametrize("kind", ["outcome", "fee", "minimum"])
    def test_what_asks_for_money_is_credited(self, kind: str) -> None:
        assert change(credited(invoice(), row=row(kind=kind))).credited == Decimal(6)

    @pytest.mark.parametrize(("kind", "amount"), [("credit", "-1.00"), ("cap", "-4.00")])
    def test_what_takes_money_away_is_not(self, kind: str, amount: str) -> None:
        assert f"{kind} rows are already negative" in refusal(credited(invoice(), row=row(amount, kind=kind)))

    @pytest.mark.parametrize(
        ("so_far", "of_all", "given"), [("0", "0", "6"), ("2", "2", "4"), ("0", "7", "3"), ("5.99", "5.99", "0.01")]
    )
    def test_without_an_amount_all_that_is_left_is_given(self, so_far: str, of_all: str, given: str) -> None:
        done = change(credited(invoice(credited=Decimal(of_all)), so_far=so_far))

        assert done.row is not None
        assert Decimal(done.row.amount or 0) == -Decimal(given)

    @pytest.mark.parametrize(
        ("amount", "so_far", "fields", "said"),
        [
            ("6.01", "0", {}, "more than what remains of the row; credit at most 6.00 EUR"),
            ("2.00", "5", {}, "credit at most 1.00 EUR"),
            ("4.00", "0", {"credited": Decimal(7)}, "more than what remains of the invoice; credit at most 3.00 EUR"),
            ("1.005", "0", {}, "more digits after the point than EUR (2); write at most 2, such as 1.01"),
            ("0.00", "0", {}, "above 0"),
            ("-1", "0", {}, "above 0"),
            (None, "6", {}, "nothing of the row remains"),
            (None, "0", {"credited": Decimal(10)}, "nothing of the draft of acme in EUR from 2026-11-01 to 2026-12-01"),
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
        assert "nothing of the row" in refusal(credited(invoice(), row=row("0.00")))

    def test_of_a_void_one_nothing_is_given_back(self) -> None:
        assert "is void" in refusal(credited(invoice("void"), "1.00"))

    def test_a_currency_without_minor_digits_is_credited_in_whole_units(self) -> None:
        yen = invoice(currency="JPY", digits=0, subtotal=Decimal(100))

        assert change(credited(yen, "7", row=row("100"))).row.amount == "-7"  # type: ignore[union-attr]
        assert "more digits" in refusal(credited(yen, "7.5", row=row("100")))


class TestWords:
    @pytest.mark.parametrize("reason", ["", "  ", "x" * (MAX_REASON_LENGTH + 1), "two\nlines", "\x1b[2J"])
    def test_a_reason_is_one_line_that_can_be_read(self, reason: str) -> None:
        assert "the reason" in refusal(void(invoice("issued"), ZERO, reason))
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
            parse_amount(text, invoice(digits=digits))

    def test_an_amount_is_taken_as_written(self) -> None:
        assert str(parse_amount("1.50", invoice())) == "1.50"
        assert parse_amount("2", invoice()) == 2

    def test_people_call_it_by_its_number_once_it_has_one(self) -> None:
        assert invoice_label(invoice("issued")) == "INV-000001"
        assert invoice_label(invoice()) == "the draft of acme in EUR from 2026-11-01 to 2026-12-01"


class Books(RuleBasedStateMachine):
    """Several invoices of one customer, and what the store does with changes, in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.balance = ZERO
        self.series: dict[str, int] = {}
        self.numbers: dict[str, str] = {}
        self.notes: list[CreditNote] = []
        self.heads: list[Invoice] = []
        self.amounts: list[list[Decimal]] = []
        self.credited: list[list[Decimal]] = []
        self.rows: list[list[Row]] = []

    @rule(cents=st.lists(st.integers(0, 500), min_size=1, max_size=3), capped=st.booleans())
    @precondition(lambda self: len(self.heads) < 3)
    def close_a_period(self, cents: list[int], capped: bool) -> None:
        amounts = [Decimal(one) / 100 for one in cents]
        cap = max(amounts) if capped else sum(amounts)
        head = invoice(id=derived_id("invoice", str(len(self.heads))), subtotal=min(sum(amounts), cap))
        self.heads.append(head)
        self.amounts.append(amounts)
        self.credited.append([ZERO] * len(amounts))
        self.rows.append([])

    def some(self, place: int) -> int:
        return place % len(self.heads)

    def apply(self, place: int, verdict: Decision, item: int = 0) -> None:
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
        if verdict.credited is not None:
            self.credited[place][item] = verdict.credited
        if verdict.row is not None:
            self.rows[place].append(verdict.row)
        if verdict.note is not None:
            self.notes.append(verdict.note)
        self.heads[place] = head

    places = st.integers(0, 2)

    @precondition(lambda self: self.heads)
    @rule(place=places)
    def issue_one(self, place: int) -> None:
        place = self.some(place)
        self.apply(place, issue(self.heads[place], self.balance, "INV"))

    @precondition(lambda self: self.heads)
    @rule(place=places)
    def pay_one(self, place: int) -> None:
        place = self.some(place)
        self.apply(place, pay(self.heads[place]))

    @precondition(lambda self: self.heads)
    @rule(place=places)
    def void_one(self, place: int) -> None:
        place = self.some(place)
        self.apply(place, void(self.heads[place], self.balance, "wrong"))

    @precondition(lambda self: self.heads)
    @rule(place=places, item=places, cents=st.none() | st.integers(-1, 300))
    def credit_one(self, place: int, item: int, cents: int | None) -> None:
        place = self.some(place)
        item %= len(self.amounts[place])
        of = row(f"{self.amounts[place][item]:.2f}", id=derived_id("line", f"{place} {item}"))
        amount = None if cents is None else Decimal(cents) / 100
        so_far = self.credited[place][item]
        done = credit(self.heads[place], of, so_far, amount, "wrong", balance=self.balance, series="CN", at=1)
        self.apply(place, done, item)

    @invariant()
    def numbers_have_no_gap_and_each_names_one_thing(self) -> None:
        for series, count in self.series.items():
            assert {f"{series}-{n:06d}" for n in range(1, count + 1)} == {
                number for number in self.numbers if number.startswith(f"{series}-")
            }
        assert len(set(self.numbers.values())) == len(self.numbers)

    @invariant()
    def no_money_is_made_or_lost(self) -> None:
        given = exact_sum(note.amount for note in self.notes)
        used = exact_sum(head.carried for head in self.heads if head.status != "void")
        assert self.balance == given - used
        assert self.balance >= 0

    @invariant()
    def every_invoice_adds_up(self) -> None:
        for head, amounts, credited, rows in zip(self.heads, self.amounts, self.credited, self.rows, strict=True):
            assert all(ZERO <= back <= amount for back, amount in zip(credited, amounts, strict=True))
            assert sum(credited) == head.credited + head.noted <= head.subtotal
            assert sum(Decimal(one.amount or 0) for one in rows) == -head.credited
            mine = [note for note in self.notes if note.invoice == head.id]
            assert (len(mine), sum(note.amount for note in mine)) == (head.notes, head.noted)
            if head.total is None:
                assert head.status == "draft"
            else:
                assert head.total >= 0
                assert head.total + head.carried + head.credited == head.subtotal
            ids = [one.id for one in rows] + [one.id for note in mine for one in note.rows]
            assert len(set(ids)) == len(ids)


TestBooks = Books.TestCase
TestBooks.settings = settings(max_examples=examples(60), stateful_step_count=30, deadline=None)
