"""Manual lines of invoices, the discounts among them, and other taxes for single rows."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.support.taxes import AT, CN, INV, LOCAL, TABLE, closed, group, numbered, row, shown, terms
from witnd.domain.invoices.credit import Item, credit
from witnd.domain.invoices.invoice import Invoice, Row
from witnd.domain.invoices.issue import issue
from witnd.domain.invoices.manual import (
    MAX_LINES,
    MAX_OVERRIDES,
    NewLine,
    add_line,
    adjust,
    manual_rows,
    override_tax,
    remove_line,
)
from witnd.domain.invoices.operations import Change, Decision, Refusal, Unchanged
from witnd.domain.invoices.sums import TaxOverride
from witnd.domain.invoices.tax import TaxTable
from witnd.domain.values.money import minor_text

ZERO = Decimal(0)
NO_TAX = TaxTable()


def change(verdict: Decision) -> Change:
    assert isinstance(verdict, Change), verdict
    assert verdict.after.revision == verdict.before.revision + 1
    return verdict


def refusal(verdict: Decision) -> str:
    assert isinstance(verdict, Refusal), verdict
    return str(verdict)


def opened(subtotal: str = "0", **fields: Any) -> Invoice:
    one = closed(subtotal=Decimal(subtotal), **fields)
    return replace(one, closed=False, sums=None)


def new(unit_price: str, tax: str = "", quantity: str = "1") -> NewLine:
    return NewLine(description="Setup", quantity=Decimal(quantity), unit_price=Decimal(unit_price), tax=tax)


def add(invoice: Invoice, *lines: NewLine, table: TaxTable = TABLE) -> Invoice:
    for number, line in enumerate(lines):
        invoice = change(add_line(invoice, line, table, AT + number)).after
    return invoice


def close(invoice: Invoice, of: Invoice, table: TaxTable = TABLE) -> Invoice:
    """The open invoice after the close of its period, with the sums of another one, and after the adjustment."""
    both = replace(invoice, closed=True, sums=of.sums, subtotal=of.subtotal)
    return change(adjust(both, table)).after


def applied(invoice: Invoice) -> list[str]:
    return [minor_text(line.applied, invoice.digits) for line in invoice.manual]


def issued(invoice: Invoice) -> Invoice:
    return numbered(change(issue(invoice, ZERO, INV, AT, terms(), today=LOCAL)))


class TestAdd:
    def test_to_an_open_invoice(self) -> None:
        done = change(add_line(opened(), new("3.335", "reduced", "2.5"), TABLE, 7))

        [line] = done.after.manual
        assert (line.quantity, line.unit_price, line.tax, line.added_at) == (
            Decimal("2.5"), Decimal("3.335"), "reduced", 7
        )  # fmt: skip
        # 8.3375
        assert (line.amount, line.applied) == (Decimal("8.34"), Decimal("8.34"))
        assert (done.made, done.waits, done.is_pending) == (line.id, None, True)
        [shown_row] = manual_rows(done.after)
        assert (shown_row.kind, shown_row.amount, shown_row.amount_exact) == ("manual", "8.34", "8.3375")
        assert (shown_row.unit, shown_row.price_per_unit, shown_row.working) == ("2.5", "3.335", None)
        assert (shown_row.tax, shown_row.description) == ("reduced", "Setup")

    def test_to_a_draft(self) -> None:
        done = change(add_line(closed(group("a", ("", "5.00"))), new("2"), TABLE, 7))

        assert (done.waits, done.is_pending) == (True, None)
        assert (done.after.rows_sum, done.after.net, done.after.subtotal) == (
            Decimal("7.00"), Decimal("7.00"), Decimal("5.00")
        )  # fmt: skip
        one = issued(done.after)
        assert shown(one.tax_rows) == [("S", "19", "7.00", "1.33")]

    def test_two_lines_that_are_equal_have_two_ids(self) -> None:
        one = add(opened(), new("1"), new("1"))

        assert len({line.id for line in one.manual}) == 2

    @pytest.mark.parametrize(("digits", "amount"), [(0, "-3"), (2, "-2.50"), (3, "-2.500")])
    def test_a_discount_is_rounded_away_from_zero(self, digits: int, amount: str) -> None:
        one = add(closed(group("a", ("", "100")), digits=digits), new("-2.5"))

        assert applied(one) == [amount]

    @pytest.mark.parametrize("status", ["issued", "paid", "void"])
    def test_not_after_issue(self, status: Any) -> None:
        one = closed(group("a", ("", "5.00")), status=status, number="INV-000001")

        assert f"INV-000001 is {status}" in refusal(add_line(one, new("1"), TABLE, 7))
        assert f"is {status}" in refusal(remove_line(one, "x", TABLE, credited=ZERO, zero_invoices=False))
        assert f"is {status}" in refusal(override_tax(one, row("a", "5"), "", "zero", "r", TABLE, credited=ZERO))

    def test_there_is_a_limit(self) -> None:
        one = add(opened(), *[new("1")] * MAX_LINES)

        assert "has 100 manual lines; combine some of them" in refusal(add_line(one, new("1"), TABLE, 7))


class TestDiscounts:
    @pytest.mark.parametrize(
        ("unit_price", "tax", "most"),
        [
            ("-6.01", "reduced", "6.00"),
            ("-4.01", "", "4.00"),
            ("-4.01", "also-full", "4.00"),
            ("-0.01", "zero", "0.00"),
        ],
    )
    def test_of_a_draft_it_must_fit_under_its_category_and_rate(self, unit_price: str, tax: str, most: str) -> None:
        draft = closed(group("a", ("reduced", "6.00"), ("", "4.00")))

        said = refusal(add_line(draft, new(unit_price, tax), TABLE, 7))

        assert f"the largest discount that fits is {most} EUR" in said
        if most != "0.00":
            assert applied(add(draft, new(f"-{most}", tax))) == [f"-{most}"]

    def test_other_discounts_have_used_a_part_of_it(self) -> None:
        draft = add(closed(group("a", ("", "10.00"))), new("-4"), new("-5"))

        assert "the largest discount that fits is 1.00 EUR" in refusal(add_line(draft, new("-1.01"), TABLE, 7))

    def test_they_have_used_it_under_the_taxes_of_now(self) -> None:
        of = closed(group("a", ("", "10.00")))
        draft = close(add(opened(), new("-8", "reduced")), of)
        assert applied(draft) == ["0.00"], "all is under the customer's tax"
        moved = replace(TABLE, default="reduced")

        said = refusal(add_line(draft, new("-5", "reduced"), moved, 7))
        assert "the largest discount that fits is 2.00 EUR" in said
        assert applied(add(draft, new("-2", "reduced"), table=moved)) == ["-8.00", "-2.00"]

    def test_credits_have_too(self) -> None:
        draft = closed(group("a", ("", "10.00")), credited=Decimal(4), credit_sums={"": Decimal(4)})

        assert "the largest discount that fits is 6.00 EUR" in refusal(add_line(draft, new("-7"), TABLE, 7))

    def test_without_taxes_it_must_fit_into_the_net_sum(self) -> None:
        draft = closed(group("a", ("", "10.00")), fees={"": "5.00"})

        assert "fits is 15.00 EUR" in refusal(add_line(draft, new("-15.01"), NO_TAX, 7))
        assert add(draft, new("-15"), table=NO_TAX).net == 0

    def test_on_an_open_invoice_it_is_a_request(self) -> None:
        one = add(opened("1.00"), new("-100"))

        assert (applied(one), change(add_line(one, new("1"), TABLE, 7)).is_pending) == (["-100.00"], True)

    def test_at_close_the_newest_are_reduced_first(self) -> None:
        """10.00 at 19 % are left after 4.00 and 5.00 for 1.00 of 6.00; 3.00 at 7 % are enough for 2.00."""
        one = add(opened(), new("-4"), new("-2", "reduced"), new("-5"), new("-6"))

        draft = close(one, closed(group("a", ("", "10.00"), ("reduced", "3.00"))))

        assert applied(draft) == ["-4.00", "-2.00", "-5.00", "-1.00"]
        assert manual_rows(draft)[3].working == {"kind": "manual", "requested": "-6.00", "applied": "-1.00"}
        assert [one.working for one in manual_rows(draft)[:3]] == [None] * 3
        assert shown(issued(draft).tax_rows) == [("S", "7", "1.00", "0.07"), ("S", "19", "0.00", "0.00")]

    def test_they_act_on_what_caps_and_credits_leave(self) -> None:
        one = add(opened(credited=Decimal(2), credit_sums={"": Decimal(2)}), new("-20"))

        draft = close(one, closed(group("a", ("", "10.00"), cap="-3.00"), commitment="1.00"))

        assert applied(draft) == ["-6.00"]

    def test_after_each_change_they_are_computed_again_from_what_was_requested(self) -> None:
        draft = close(add(opened(), new("-4"), new("-9")), closed(group("a", ("", "10.00"))))
        assert applied(draft) == ["-4.00", "-6.00"]

        credited = change(
            credit(
                draft, [Item(row=row("a", "10.00"), credited=ZERO, amount=Decimal(7))], "r",
                balance=ZERO, series=CN, at=AT, today=LOCAL, table=TABLE,
            )
        ).after  # fmt: skip
        assert (applied(credited), credited.net) == (["-3.00", "0.00"], ZERO)
        more = add(credited, new("20"))
        assert (applied(more), more.net) == (["-4.00", "-9.00", "20.00"], Decimal("10.00"))
        first = change(remove_line(more, more.manual[0].id, TABLE, credited=ZERO, zero_invoices=False)).after
        assert applied(first) == ["-9.00", "20.00"]
        last = change(remove_line(first, first.manual[1].id, TABLE, credited=ZERO, zero_invoices=False)).after
        assert applied(last) == ["-3.00"]

    def test_they_are_computed_again_when_a_row_gets_another_tax(self) -> None:
        draft = close(add(opened(), new("-8", "reduced")), closed(group("a", ("", "10.00"))))
        assert applied(draft) == ["0.00"]

        moved = change(override_tax(draft, row("a", "10.00"), "", "reduced", "book", TABLE, credited=ZERO)).after

        assert applied(moved) == ["-8.00"]
        line = manual_rows(moved)[0]
        back = change(override_tax(moved, line, "reduced", "zero", "none", TABLE, credited=ZERO)).after
        assert applied(back) == ["0.00"]

    def test_and_at_issue_with_the_taxes_of_then(self) -> None:
        """The customer's key was that of the discount, and is another one now."""
        draft = add(closed(group("a", ("reduced", "10.00"))), new("-8"), table=replace(TABLE, default="reduced"))
        assert applied(draft) == ["-8.00"]

        one = issued(draft)

        assert (applied(one), one.total) == (["0.00"], Decimal("10.70"))

    def test_a_discount_cannot_be_credited(self) -> None:
        draft = add(closed(group("a", ("", "10.00"))), new("-4"))
        [line] = manual_rows(draft)
        said = credit(
            draft, [Item(row=line, credited=ZERO)], "r", balance=ZERO, series=CN, at=AT, today=LOCAL, table=TABLE
        )  # fmt: skip

        assert "is a discount" in refusal(said)

    @given(
        st.lists(st.tuples(st.integers(-900, 300), st.sampled_from(["", "reduced", "also-full", "zero"])), max_size=8),
        st.dictionaries(st.sampled_from(["", "reduced", "zero"]), st.integers(0, 1500)),
    )
    def test_newest_first_until_nothing_is_below_0(self, lines: list[tuple[int, str]], sums: dict[str, int]) -> None:
        """The rule as the contract has it: begin with all, and take from the newest what is too much."""
        one = add(opened(), *[new(cents(units), key) for units, key in lines])
        draft = close(one, closed(group("a", *((key, cents(units)) for key, units in sums.items())))) if lines else one
        if not lines:
            return
        classes = {"": 19, "also-full": 19, "reduced": 7, "zero": 0}
        left = dict.fromkeys((0, 7, 19), 0)
        for key, units in [*sums.items(), *((key, units) for units, key in lines)]:
            left[classes[key]] += units
        expected = [units for units, _ in lines]
        for place in reversed(range(len(lines))):
            missing = max(0, -left[classes[lines[place][1]]])
            if expected[place] < 0:
                back = min(missing, -expected[place])
                expected[place] += back
                left[classes[lines[place][1]]] += back

        assert [int(line.applied * 100) for line in draft.manual] == expected
        assert min(left.values()) >= 0
        found = {int(each.rate): int(each.taxable * 100) for each in issued(draft).tax_rows}
        assert {rate: units for rate, units in left.items() if units} == {
            rate: units for rate, units in found.items() if units
        }
        total = sum(Fraction(units) for units in left.values())
        assert Fraction(draft.net) * 100 == total


def cents(units: int) -> str:
    return str(Decimal(units).scaleb(-2))


class TestAdjust:
    def test_it_lets_the_draft_wait_for_issue(self) -> None:
        one = replace(add(opened(), new("5")), closed=True, sums=closed().sums)

        done = change(adjust(one, TABLE))

        assert (done.operation, done.waits, done.is_pending) == ("adjust", True, False)
        assert applied(done.after) == ["5.00"]

    @pytest.mark.parametrize("one", [opened(), add(opened(), new("-5"))], ids=["no line", "a discount of nothing"])
    def test_without_an_amount_it_only_leaves_the_list(self, one: Invoice) -> None:
        done = change(adjust(replace(one, closed=True, sums=closed().sums), TABLE))

        assert (done.waits, done.is_pending) == (None, False)

    @pytest.mark.parametrize("one", [opened(), closed(status="issued", number="INV-1")])
    def test_no_other_is_adjusted(self, one: Invoice) -> None:
        assert adjust(one, TABLE) == Unchanged(one)

    def test_after_an_issue_none_is_left_to_adjust(self) -> None:
        one = add(opened("5.00"), new("-1"))
        one = change(remove_line(one, one.manual[0].id, TABLE, credited=ZERO, zero_invoices=False)).after
        at_close = replace(one, closed=True, sums=closed(group("a", ("", "5.00"))).sums)

        # By hand, before the biller has looked at it.
        assert change(issue(at_close, ZERO, INV, AT, terms(), today=LOCAL)).is_pending is False


class TestRemove:
    def test_a_line(self) -> None:
        one = add(closed(group("a", ("", "5.00"))), new("1"), new("2"))

        done = change(remove_line(one, one.manual[0].id, TABLE, credited=ZERO, zero_invoices=False))

        assert [line.amount for line in done.after.manual] == [Decimal("2.00")]
        assert (done.made, done.waits) == (one.manual[0].id, None)
        assert "has no manual line" in refusal(
            remove_line(done.after, one.manual[0].id, TABLE, credited=ZERO, zero_invoices=False)
        )

    @pytest.mark.parametrize(
        ("subtotal", "zero", "waits"), [("0.00", False, False), ("0.00", True, None), ("1.00", False, None)]
    )
    def test_the_last_one_leaves_a_draft_over_nothing(self, subtotal: str, zero: bool, waits: bool | None) -> None:
        one = add(closed(group("a", ("", subtotal))), new("1"))

        assert change(remove_line(one, one.manual[0].id, TABLE, credited=ZERO, zero_invoices=zero)).waits is waits

    def test_a_discount_that_is_left_alone_is_nothing(self) -> None:
        one = add(closed(), new("5"), new("-4"))

        done = change(remove_line(one, one.manual[0].id, TABLE, credited=ZERO, zero_invoices=False))

        assert (applied(done.after), done.waits) == (["0.00"], False)
        assert change(add_line(done.after, new("0"), TABLE, 7)).waits is None
        assert change(add_line(done.after, new("1"), TABLE, 7)).waits is True

    def test_its_tax_is_forgotten_with_it(self) -> None:
        one = add(closed(), new("1"))
        [line] = manual_rows(one)
        one = change(override_tax(one, line, "", "zero", "r", TABLE, credited=ZERO)).after

        assert change(remove_line(one, line.id, TABLE, credited=ZERO, zero_invoices=False)).after.overrides == ()

    def test_one_with_credits_is_kept(self) -> None:
        one = add(closed(), new("5"))
        [line] = manual_rows(one)
        done = change(
            credit(
                one, [Item(row=line, credited=ZERO, amount=Decimal(2))], "r",
                balance=ZERO, series=CN, at=AT, today=LOCAL, table=TABLE,
            )
        )  # fmt: skip

        assert done.after.credit_sums == {"": Decimal(2)}
        said = remove_line(done.after, line.id, TABLE, credited=Decimal(2), zero_invoices=False)
        assert "has credits" in refusal(said)
        assert shown(issued(done.after).tax_rows) == [("S", "19", "3.00", "0.57")]

    def test_one_that_credits_of_capped_rows_need_is_kept(self) -> None:
        one = add(closed(group("a", ("", "10.00"), cap="-4.00")), new("4"), new("1"))
        done = change(
            credit(
                one, [Item(row=row("a", "10.00"), credited=ZERO)], "r",
                balance=ZERO, series=CN, at=AT, today=LOCAL, table=TABLE,
            )
        ).after  # fmt: skip

        needed, spare = done.manual
        said = refusal(remove_line(done, needed.id, TABLE, credited=ZERO, zero_invoices=False))
        assert "would make the taxable amount -3.00 EUR" in said
        fewer = change(remove_line(done, spare.id, TABLE, credited=ZERO, zero_invoices=False)).after
        assert shown(issued(fewer).tax_rows) == [("S", "19", "0.00", "0.00")]

    def test_one_that_was_removed_meanwhile_has_no_credits_and_no_other_tax(self) -> None:
        one = add(closed(group("a", ("", "10.00"))), new("5"))
        [line] = manual_rows(one)
        gone = change(remove_line(one, line.id, TABLE, credited=ZERO, zero_invoices=False)).after

        said = credit(
            gone, [Item(row=line, credited=ZERO)], "r", balance=ZERO, series=CN, at=AT, today=LOCAL, table=TABLE
        )
        assert isinstance(said, Refusal)
        assert "removed meanwhile" in str(said)
        assert "removed meanwhile" in refusal(override(gone, line, "zero"))


def override(invoice: Invoice, one: Row, tax: str | None, own: str = "") -> Decision:
    return override_tax(invoice, one, own, tax, "a book", TABLE, credited=ZERO)


class TestOverride:
    def test_a_row_moves_to_another_sum(self) -> None:
        draft = closed(group("a", ("", "10.00")), group("b", ("", "4.00")))
        of_two = replace(draft, sums=replace(draft.sums, groups=(draft.sums.groups[1], draft.sums.groups[0])))  # type: ignore

        done = change(override(of_two, row("a", "10.00"), "reduced"))

        assert done.after.overrides == (
            TaxOverride(row=row("a", "10").id, place=1, own="", tax="reduced", amount=Decimal(10), reason="a book"),
        )
        assert shown(issued(done.after).tax_rows) == [("S", "7", "10.00", "0.70"), ("S", "19", "4.00", "0.76")]
        back = change(override(done.after, row("a", "10.00"), None))
        assert back.after.overrides == ()

    def test_a_row_of_a_capped_group_takes_its_share_of_the_cap_with_it(self) -> None:
        draft = closed(group("a", ("", "6.00"), ("reduced", "4.00"), cap="-5.00"))

        one = issued(change(override(draft, row("a", "6.00"), "zero")).after)

        assert shown(one.tax_rows) == [("S", "7", "2.00", "0.14"), ("Z", "0", "3.00", "0.00")]

    def test_a_fee_and_a_commitment(self) -> None:
        draft = closed(group("a", ("", "6.00")), fees={"": "4.00"}, commitment="10.00")
        fee, commitment = row("f", "4.00", kind="recurring"), row("", "10.00", kind="commitment")

        one = change(override(draft, fee, "reduced")).after
        one = change(override(one, commitment, "zero")).after

        assert shown(issued(one).tax_rows) == [
            ("S", "7", "4.00", "0.28"), ("S", "19", "6.00", "1.14"), ("Z", "0", "10.00", "0.00")
        ]  # fmt: skip
        assert shown(issued(change(override(one, commitment, None)).after).tax_rows)[1:] == [
            ("S", "19", "16.00", "3.04")
        ]

    def test_the_same_again_changes_nothing(self) -> None:
        draft = closed(group("a", ("reduced", "6.00")))

        assert override(draft, row("a", "6.00"), "reduced", own="reduced") == Unchanged(draft)
        done = change(override(draft, row("a", "6.00"), "zero", own="reduced")).after
        assert override(done, row("a", "6.00"), "zero", own="reduced") == Unchanged(done)

    @pytest.mark.parametrize("kind", ["cap", "commitment_cap", "credit"])
    def test_what_reduces_others_has_their_taxes(self, kind: str) -> None:
        assert "change the tax of these lines" in refusal(override(closed(), row("a", "-1", kind=kind), "zero"))

    def test_an_open_invoice_keeps_its_taxes(self) -> None:
        assert "is open" in refusal(override(opened(), row("a", "1"), "zero"))

    def test_not_of_a_row_that_was_read_before_the_period_closed(self) -> None:
        draft, unrated = closed(group("a", ("", "10.00"))), replace(row("a", "10.00"), amount=None)

        assert "has closed meanwhile; try again" in refusal(override(draft, unrated, "reduced"))

    def test_there_is_a_limit(self) -> None:
        many = tuple(
            TaxOverride(row=str(number), place=-3, own="", tax="zero", amount=ZERO, reason="r")
            for number in range(MAX_OVERRIDES)
        )

        assert "has 500 lines with a changed tax" in refusal(override(closed(overrides=many), row("a", "1"), "zero"))
