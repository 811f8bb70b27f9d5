"""The tax of an invoice: worked examples with figures computed by hand, and what holds for every invoice."""

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.support.taxes import AT, CN, INV, LOCAL, TABLE, closed, group, note_of, numbered, row, shown, terms
from witnd.domain.invoices.cancel import revise, void
from witnd.domain.invoices.credit import Item, credit
from witnd.domain.invoices.invoice import Invoice, Row
from witnd.domain.invoices.issue import issue
from witnd.domain.invoices.manual import NewLine, add_line, override_tax
from witnd.domain.invoices.operations import Change, Decision, Refusal
from witnd.domain.invoices.sums import GroupSums, Sum
from witnd.domain.invoices.tax import TaxClass, TaxTable, TaxTerms, in_proportion, tax_on

ZERO = Decimal(0)
S7, S19, Z0 = TaxClass("S", Decimal(7)), TaxClass("S", Decimal(19)), TaxClass("Z", ZERO)
AE0 = TaxClass("AE", ZERO)


def issued(invoice: Invoice, table: TaxTable = TABLE, **how: Any) -> Invoice:
    done = change(issue(invoice, how.pop("balance", ZERO), INV, AT, terms(table), today=LOCAL, **how))
    return numbered(done)


def change(verdict: Decision) -> Change:
    assert isinstance(verdict, Change), verdict
    return verdict


def refusal(verdict: Decision) -> str:
    assert isinstance(verdict, Refusal), verdict
    return str(verdict)


def note(invoice: Invoice, *items: tuple[Row, str, str, str | None], balance: str = "0") -> Change:
    """Credit rows, each with its earlier credits, its tax key, and an amount."""
    wanted = [
        Item(row=one, credited=Decimal(credited), tax=tax, amount=None if amount is None else Decimal(amount))
        for one, credited, tax, amount in items
    ]
    table = TABLE if invoice.issue_data is None else invoice.issue_data.table
    return change(
        credit(invoice, wanted, "wrong", balance=Decimal(balance), series=CN, at=AT, today=LOCAL, table=table)
    )


class TestOncePerCategoryAndRate:
    def test_an_example_of_zugferd(self) -> None:
        """EN16931_Einfach: 275.00 at 7 % and 198.00 at 19 % are 56.87 of tax, 529.87 in all."""
        one = issued(closed(group("a", ("reduced", "275.00"), ("full", "198.00"))))

        assert shown(one.tax_rows) == [("S", "7", "275.00", "19.25"), ("S", "19", "198.00", "37.62")]
        assert (one.net, one.total) == (Decimal("473.00"), Decimal("529.87"))

    def test_an_example_of_peppol(self) -> None:
        """BIS Billing 3.0, base example: 1325.00 at 25 % are 331.25 of tax, 1656.25 in all."""
        table = TaxTable("full", {"full": TaxTerms(name="VAT", category="S", rate=Decimal(25))})
        one = issued(closed(group("a", ("", "1300.00")), fees={"": "25.00"}), table)

        assert shown(one.tax_rows) == [("S", "25", "1325.00", "331.25")]
        assert one.total == Decimal("1656.25")

    def test_tax_is_rounded_once_and_not_for_each_row(self) -> None:
        """Three rows of 0.03 at 19 %: 0.0057 each, 0.0171 together."""
        rows = [group(name, ("", "0.03")) for name in "abc"]

        assert shown(issued(closed(*rows)).tax_rows) == [("S", "19", "0.09", "0.02")]

    @pytest.mark.parametrize(
        ("taxable", "rate", "digits", "tax"),
        [
            ("0.50", "19", 2, "0.10"),  # 0.095
            ("0.50", "7", 2, "0.04"),  # 0.035
            ("1.00", "5.5", 2, "0.06"),  # 0.055
            ("1.00", "5.4999", 2, "0.05"),
            ("5", "10", 0, "1"),  # 0.5
            ("4", "10", 0, "0"),
            ("0.050", "19", 3, "0.010"),  # 0.0095
            ("-0.50", "19", 2, "-0.10"),
            ("0.00", "19", 2, "0.00"),
        ],
    )
    def test_halves_are_rounded_away_from_zero(self, taxable: str, rate: str, digits: int, tax: str) -> None:
        assert str(tax_on(Decimal(taxable), Decimal(rate), digits)) == tax

    def test_the_same_category_and_rate_under_two_keys_is_one_row_with_both_notes(self) -> None:
        [one] = issued(closed(group("a", ("", "0.03"), ("also-full", "0.03")))).tax_rows

        assert (one.taxable, one.tax, one.name, one.note) == (Decimal("0.06"), Decimal("0.01"), "Books", "A note")

    def test_without_any_tax_there_are_no_rows(self) -> None:
        one = issued(closed(group("a", ("", "10.00"))), TaxTable())

        assert (one.tax_rows, one.total) == ((), Decimal("10.00"))

    def test_categories_without_tax_have_a_row_too(self) -> None:
        one = issued(closed(group("a", ("zero", "5.00"), ("reverse", "7.00"))))

        assert shown(one.tax_rows) == [("AE", "0", "7.00", "0.00"), ("Z", "0", "5.00", "0.00")]
        assert one.total == Decimal("12.00")

    def test_the_balance_pays_the_total_with_its_tax(self) -> None:
        one = issued(closed(group("a", ("", "100.00"))), balance=Decimal("119.01"))

        assert (one.balance_used, one.due, one.status) == (Decimal("119.00"), ZERO, "paid")


class TestRowsWithoutATax:
    def test_a_mixture_is_refused_with_the_list(self) -> None:
        table = replace(TABLE, default=None)
        one = closed(group("a", ("full", "1.00"), ("", "0.00")), group("b", ("", "1.00")), fees={"": "3.00"})
        said = refusal(issue(one, ZERO, INV, AT, terms(table), today=LOCAL))

        assert "outcomes of a, outcomes of b, recurring fees; set billing.tax of customer acme" in said

    def test_rows_are_counted(self) -> None:
        one = closed(group("a", ("full", "1.00")), group("b"))
        groups = (one.sums.groups[0], replace(one.sums.groups[1], sums={"": Sum(3, ZERO)}))  # type: ignore[union-attr]
        mixed = replace(one, sums=replace(one.sums, groups=groups))  # type: ignore[type-var]

        assert "outcomes of b (3 lines)" in refusal(
            issue(mixed, ZERO, INV, AT, terms(replace(TABLE, default=None)), today=LOCAL)
        )

    def test_a_commitment_that_is_split_has_the_taxes_of_what_it_acts_on(self) -> None:
        one = closed(group("a", ("full", "1.00")), commitment="9.00")

        assert shown(issued(one, replace(TABLE, default=None)).tax_rows) == [("S", "19", "10.00", "1.90")]

    def test_a_commitment_over_nothing_needs_the_customers(self) -> None:
        one = closed(fees={"full": "1.00"}, commitment="9.00")

        assert "the commitment" in refusal(issue(one, ZERO, INV, AT, terms(replace(TABLE, default=None)), today=LOCAL))
        assert shown(issued(one).tax_rows) == [("S", "19", "10.00", "1.90")]

    def test_a_manual_line_is_named(self) -> None:
        one = change(add_line(closed(group("a", ("full", "5.00"))), line("1"), replace(TABLE, default=None), 7)).after

        assert "the line 'Setup'" in refusal(
            issue(one, ZERO, INV, AT, terms(replace(TABLE, default=None)), today=LOCAL)
        )


def line(unit_price: str, tax: str = "", quantity: str = "1") -> NewLine:
    return NewLine(description="Setup", quantity=Decimal(quantity), unit_price=Decimal(unit_price), tax=tax)


class TestParts:
    @pytest.mark.parametrize(
        ("amount", "sums", "parts"),
        [
            # 333.33… each: the only unit that remains goes to the first of equals.
            ("10.00", {S7: "1", S19: "1", Z0: "1"}, {S7: "3.34", S19: "3.33", Z0: "3.33"}),
            # Before S come AE and E.
            ("-0.01", {S7: "1", AE0: "1"}, {S7: "0.00", AE0: "-0.01"}),
            # 666.33… and 333.66…: the unit goes to the larger remainder.
            ("-10.00", {S7: "19.99", S19: "10.01"}, {S7: "-6.66", S19: "-3.34"}),
            ("100.00", {S7: "0.00", S19: "3.00"}, {S7: "0.00", S19: "100.00"}),
            ("0.02", {S7: "1", S19: "1", Z0: "1"}, {S7: "0.01", S19: "0.01", Z0: "0.00"}),
        ],
    )
    def test_by_largest_remainder(
        self, amount: str, sums: Mapping[TaxClass | None, str], parts: Mapping[TaxClass, str]
    ) -> None:
        found = in_proportion(Decimal(amount), {one: Decimal(sum_) for one, sum_ in sums.items()}, 2)

        assert found == {one: Decimal(part) for one, part in parts.items()}

    @given(
        st.integers(-(10**9), 10**9).filter(bool),
        st.dictionaries(
            st.sampled_from([S7, S19, Z0, AE0, TaxClass("E", ZERO), TaxClass("S", Decimal("5.5"))]),
            st.integers(0, 10**7),
            min_size=1,
        ).filter(lambda one: any(one.values())),
        st.sampled_from([0, 2, 3]),
    )
    def test_parts_add_up_and_are_in_proportion(self, units: int, sums: dict[TaxClass, int], digits: int) -> None:
        scale = 10**digits
        amount = Decimal(units).scaleb(-digits)
        found = in_proportion(amount, {one: Decimal(sum_).scaleb(-digits) for one, sum_ in sums.items()}, digits)

        assert sum(found.values()) == amount
        exact = {one: Fraction(abs(units) * sum_, sum(sums.values())) for one, sum_ in sums.items()}
        got = {one: abs(Fraction(part) * scale) for one, part in found.items()}
        more = {one for one in sums if got[one] != int(exact[one])}
        for one in sums:
            assert got[one] - int(exact[one]) in (0, 1)
            assert found[one] == 0 or (found[one] < 0) == (units < 0)
        for one in more:
            for other in sums.keys() - more:
                mine, its = exact[one] % 1, exact[other] % 1
                assert mine > its or (mine == its and one < other)

    def test_a_cap_acts_on_its_group_alone(self) -> None:
        """-5.00 over 6.00 and 4.00 are -3.00 and -2.00; group b is left alone."""
        one = closed(group("a", ("reduced", "6.00"), ("", "4.00"), cap="-5.00"), group("b", ("", "10.00")))

        assert shown(issued(one).tax_rows) == [("S", "7", "3.00", "0.21"), ("S", "19", "12.00", "2.28")]

    def test_a_commitment_acts_on_the_groups_after_their_caps_and_not_on_fees(self) -> None:
        """After the cap: 3.00 and 2.00. The commitment of 10.00 adds 6.00 and 4.00."""
        one = closed(
            group("a", ("reduced", "6.00"), ("", "4.00"), cap="-5.00"), fees={"zero": "100.00"}, commitment="10.00"
        )

        assert shown(issued(one).tax_rows) == [
            ("S", "7", "9.00", "0.63"), ("S", "19", "6.00", "1.14"), ("Z", "0", "100.00", "0.00")
        ]  # fmt: skip

    def test_a_cap_of_the_commitment_is_split_too(self) -> None:
        one = closed(group("a", ("reduced", "2.00"), ("", "1.00")), commitment="-1.00", commitment_tax="zero")

        # 66.66… and 33.33… units.
        assert shown(issued(one).tax_rows) == [("S", "7", "1.33", "0.09"), ("S", "19", "0.67", "0.13")]

    def test_a_commitment_with_a_tax_of_its_own_has_that_one_whole(self) -> None:
        one = closed(group("a", ("reduced", "2.00"), ("", "1.00")), commitment="5.00", commitment_tax="zero")

        assert shown(issued(one).tax_rows)[2:] == [("Z", "0", "5.00", "0.00")]

    def test_credits_of_a_commitment_are_split_cumulatively(self) -> None:
        """10.00 over thirds: 3.34, 3.33, 3.33. Half of it: 1.67, 1.67, 1.66. The rest is what remains of each."""
        one = issued(closed(group("a", ("reduced", "1"), ("", "1"), ("zero", "1")), commitment="10.00"))
        commitment = row("", "10.00", kind="commitment")

        first = note(one, (commitment, "0", "", "5.00"))
        second = note(first.after, (commitment, "5", "", None))

        assert [taxable for *_, taxable, _ in shown(note_of(first).tax_rows)] == ["1.67", "1.67", "1.66"]
        assert [taxable for *_, taxable, _ in shown(note_of(second).tax_rows)] == ["1.67", "1.66", "1.67"]
        # 3.34 at 7 % and 3.33 at 19 %.
        assert [one.tax for one in second.after.note_taxes] == [Decimal("0.23"), Decimal("0.63"), ZERO]

    def test_half_of_it_may_be_credited_before_and_half_after_the_issue(self) -> None:
        draft = closed(group("a", ("reduced", "1"), ("", "1"), ("zero", "1")), commitment="10.00")
        commitment = row("", "10.00", kind="commitment")
        drafted = note(draft, (commitment, "0", "", "5.00")).after
        one = issued(drafted)

        assert [taxable for *_, taxable, _ in shown(one.tax_rows)] == ["2.67", "2.66", "2.67"]
        done = note(one, (commitment, "5", "", None))
        assert [taxable for *_, taxable, _ in shown(note_of(done).tax_rows)] == ["1.67", "1.66", "1.67"]


class TestDraftCredits:
    def test_a_credit_reduces_what_is_taxable_under_its_key(self) -> None:
        draft = closed(group("a", ("reduced", "6.00"), ("", "4.00")))
        one = issued(note(draft, (row("a", "6.00"), "0", "reduced", "1.50")).after)

        assert shown(one.tax_rows) == [("S", "7", "4.50", "0.32"), ("S", "19", "4.00", "0.76")]
        assert (one.credited, one.net, one.total) == (Decimal("1.50"), Decimal("8.50"), Decimal("9.58"))

    def test_it_moves_with_the_tax_of_its_row(self) -> None:
        draft = note(closed(group("a", ("", "10.00"))), (row("a", "10.00"), "0", "", "4.00")).after
        done = change(
            override_tax(draft, row("a", "10.00"), "", "reduced", "a book", TABLE, credited=Decimal("4.00"))
        ).after

        assert done.credit_sums == {"reduced": Decimal("4.00")}
        assert shown(issued(done).tax_rows)[0] == ("S", "7", "6.00", "0.42")
        back = change(override_tax(done, row("a", "10.00"), "", None, "no", TABLE, credited=Decimal("4.00"))).after
        assert (back.credit_sums, back.overrides) == ({"": Decimal("4.00")}, ())

    def test_it_is_at_most_what_remains_of_its_category_and_rate(self) -> None:
        """The cap of -5.00 is -3.00 at 7 % and -2.00 at 19 %, so 3.00 of the row of 6.00 remain."""
        draft = closed(group("a", ("reduced", "6.00"), ("", "4.00"), cap="-5.00"))
        item = Item(row=row("a", "6.00"), credited=ZERO, tax="reduced", amount=Decimal("3.01"))

        said = credit(draft, [item], "wrong", balance=ZERO, series=CN, at=AT, today=LOCAL, table=TABLE)

        assert "credit at most 3.00 EUR" in refusal(said)
        done = note(draft, (row("a", "6.00"), "0", "reduced", None)).after
        assert done.credited == Decimal("3.00")

    def test_a_commitment_is_credited_to_what_remains_of_each_of_its_parts(self) -> None:
        """5.00 and 5.00, where the rows under 7 % were credited in full: nothing of the commitment is in the way."""
        draft = closed(group("a", ("reduced", "1.00"), ("", "1.00")), commitment="10.00")
        commitment = row("", "10.00", kind="commitment")
        credited = note(draft, (row("a", "1.00"), "0", "reduced", None)).after

        done = note(credited, (commitment, "0", "", None)).after

        assert done.credited == Decimal("11.00")
        assert shown(issued(done).tax_rows) == [("S", "7", "0.00", "0.00"), ("S", "19", "1.00", "0.19")]

    def test_parts_never_fall_below_nothing(self) -> None:
        """The parts of 0.11 are 0.05, 0.05 and 0.01, those of 0.10 are 0.04, 0.04 and 0.02: by largest remainder, a
        part can be larger though the whole is smaller. Shares of 0.07 are 0.03, 0.03 and 0.01."""
        draft = closed(group("a", ("reduced", "0.06"), ("", "0.06"), ("zero", "0.02")), commitment="0.11")
        credited = note(draft, (row("a", "0.02"), "0", "zero", None)).after
        item = Item(row=row("", "0.11", kind="commitment"), credited=ZERO, amount=Decimal("0.10"))

        said = credit(credited, [item], "wrong", balance=ZERO, series=CN, at=AT, today=LOCAL, table=TABLE)

        assert "credit at most 0.07 EUR" in refusal(said)
        done = note(credited, (item.row, "0", "", "0.07"))
        assert [taxable for *_, taxable, _ in shown(issued(done.after).tax_rows)] == ["0.08", "0.08", "0.00"]
        whole = note(credited, (item.row, "0", "", None))
        assert whole.after.commitment_credited == Decimal("0.11")

    def test_credits_of_an_open_invoice_that_its_cap_leaves_below_nothing_need_a_manual_line(self) -> None:
        """All of 10.00 was credited while it was open, and a cap of -4.00 came at its close."""
        draft = closed(
            group("a", ("reduced", "10.00"), cap="-4.00"),
            credited=Decimal("10.00"),
            credit_sums={"reduced": Decimal("10.00")},
        )

        said = refusal(issue(draft, ZERO, INV, AT, terms(), today=LOCAL))

        assert "the taxable amount of S 7 % is -4.00 EUR; add a manual line of at least 4.00 EUR with this tax" in said
        assert issued(change(add_line(draft, line("4", "reduced"), TABLE, 7)).after).total == ZERO

    def test_another_tax_of_a_row_can_leave_the_credits_of_others_below_nothing(self) -> None:
        """A cap of -10.00 over 20.00 left 10.00, which were credited. Then half of the rows and of the cap move."""
        draft = closed(GroupSums("a", None, {"reduced": Sum(2, Decimal(20))}, Decimal(-10)))
        draft = note(draft, (row("a", "10.00"), "0", "reduced", None)).after
        other = row("b", "10.00", agent_key="a")
        moved = change(override_tax(draft, other, "reduced", "full", "no book", TABLE, credited=ZERO)).after

        assert "S 7 % is -5.00 EUR" in refusal(issue(moved, ZERO, INV, AT, terms(), today=LOCAL))
        both = change(override_tax(moved, row("a", "10.00"), "reduced", "full", "x", TABLE, credited=Decimal(10)))
        assert issued(both.after).total == ZERO


class TestNotes:
    def test_a_note_gives_back_net_and_tax(self) -> None:
        one = issued(closed(group("a", ("reduced", "6.00"), ("", "4.00"))))

        done = note(one, (row("a", "4.00"), "0", "", "2.00"))

        made = note_of(done)
        assert shown(made.tax_rows) == [("S", "19", "2.00", "0.38")]
        assert (made.amount, made.total, made.applied) == (Decimal("2.00"), Decimal("2.38"), Decimal("2.38"))
        assert (done.after.noted, done.after.noted_net) == (Decimal("2.38"), Decimal("2.00"))
        assert done.after.due == one.total - made.total  # type: ignore[operator]

    def test_the_tax_of_all_notes_together_is_rounded(self) -> None:
        """0.03 at 19 % three times: 0.01 (of 0.0057), 0.00 (0.0114 in all), 0.01 (0.0171)."""
        one = issued(closed(group("a", ("", "0.09"))))
        taxes, credited = [], ZERO
        for _ in range(3):
            done = note(one, (row("a", "0.09"), str(credited), "", "0.03"))
            one, credited = done.after, credited + Decimal("0.03")
            taxes.append([tax for *_, tax in shown(note_of(done).tax_rows)])

        assert taxes == [["0.01"], ["0.00"], ["0.01"]]

    def test_it_gives_back_no_more_than_was_charged(self) -> None:
        """A discount of 99.00 left 1.00 at 19 %: 0.19 of tax, though the row is 100.00."""
        draft = closed(group("a", ("", "100.00")), group("b", ("zero", "99.00")))
        one = issued(change(add_line(draft, line("-99"), TABLE, 7)).after)
        assert one.total == Decimal("100.19")

        done = note(one, (row("a", "100.00"), "0", "", None))

        assert shown(note_of(done).tax_rows) == [("S", "19", "100.00", "0.19")]
        assert (note_of(done).total, done.after.due) == (Decimal("100.19"), ZERO)

    def test_a_part_of_nothing_has_no_row(self) -> None:
        """The smallest part of 0.01 over 99.00 and 1.00 is nothing."""
        one = issued(closed(group("a", ("reduced", "1.00"), ("", "99.00")), commitment="100.00"))

        done = note(one, (row("", "100.00", kind="commitment"), "0", "", "0.01"))

        assert shown(note_of(done).tax_rows) == [("S", "19", "0.01", "0.00")]

    def test_without_a_tax_it_has_no_rows(self) -> None:
        one = issued(closed(group("a", ("", "4.00"))), TaxTable())

        assert note_of(note(one, (row("a", "4.00"), "0", "", None))).tax_rows == ()

    def test_what_was_paid_goes_to_the_balance_with_its_tax(self) -> None:
        one = replace(issued(closed(group("a", ("", "100.00")))), payments_applied=Decimal("119.00"))

        done = note(one, (row("a", "100.00"), "0", "", "10.00"), balance="1")

        assert (note_of(done).applied, done.balance) == (ZERO, Decimal("12.90"))


class TestCancel:
    @pytest.mark.parametrize("operation", [void, revise])
    def test_one_with_tax_gets_a_note_over_its_total(self, operation: Any) -> None:
        one = issued(closed(group("a", ("", "100.00"), ("zero", "5.00"))), balance=Decimal("20.00"))
        assert (one.total, one.balance_used) == (Decimal("124.00"), Decimal("20.00"))

        done = change(operation(one, Decimal(3), "wrong", CN, LOCAL))

        made = note_of(done)
        assert (made.amount, made.total, made.applied) == (Decimal("105.00"), Decimal("124.00"), Decimal("124.00"))
        assert (made.tax_rows, made.rows, made.to_balance) == (one.tax_rows, (), ZERO)
        assert (done.series, done.balance) == ("CN", Decimal("23.00"))
        after = done.after
        assert (after.status, after.due, after.balance_used) == ("void", None, ZERO)
        assert (after.noted, after.notes_applied, after.notes) == (Decimal("124.00"), Decimal("124.00"), 1)

    @pytest.mark.parametrize("operation", [void, revise])
    def test_one_without_tax_gets_none(self, operation: Any) -> None:
        done = change(operation(issued(closed(group("a", ("", "1.00"))), TaxTable()), ZERO, "wrong", CN, LOCAL))

        assert (done.note, done.series, done.after.notes) == (None, None, 0)

    @pytest.mark.parametrize("operation", [void, revise])
    def test_one_over_nothing_counts_as_issued_and_has_a_note_too(self, operation: Any) -> None:
        one = issued(closed(group("a", ("", "0.00"))))
        assert (one.status, one.total) == ("paid", ZERO)

        done = change(operation(one, ZERO, "wrong", CN, LOCAL))

        assert (note_of(done).total, done.after.status, done.until is not None) == (ZERO, "void", True)

    def test_the_next_edition_is_taxed_from_the_same_sums(self) -> None:
        draft = closed(group("a", ("", "100.00")), commitment="3.00")
        draft = note(draft, (row("", "3.00", kind="commitment"), "0", "", "1.00")).after
        draft = change(add_line(draft, line("-5"), TABLE, 7)).after
        draft = change(override_tax(draft, row("a", "50.00"), "", "reduced", "book", TABLE, credited=ZERO)).after
        one = issued(draft)
        done = change(revise(one, ZERO, "wrong", CN, LOCAL))

        assert done.draft is not None
        again = issued(done.draft)
        assert (again.tax_rows, again.total) == (one.tax_rows, one.total)


class TestDates:
    def test_an_earlier_date(self) -> None:
        one = issued(closed(group("a", ("", "1.00"))), date="2026-11-30")

        assert (one.issue_date, one.due_date) == ("2026-11-30", "2026-12-30")

    @pytest.mark.parametrize(
        ("date", "said"),
        [
            ("2026-11-29", "before the last day of the period, 2026-11-30"),
            ("2026-12-03", "in the future; use a date from 2026-11-30 to 2026-12-02"),
            ("2026-12-01", "before 2026-12-02, the date of an earlier number of the series"),
        ],
    )
    def test_others_are_refused(self, date: str, said: str) -> None:
        draft, dates = closed(group("a", ("", "1.00"))), {"INV": "2026-12-02"}

        assert said in refusal(issue(draft, ZERO, INV, AT, terms(), today=LOCAL, date=date, last_dates=dates))


# -- what holds for every invoice --------------------------------------------------------------------------------------

_keys = st.sampled_from(["", "reduced", "zero", "reverse", "also-full"])
_units = st.integers(0, 5000)


class Bill:
    """A draft with the rows that its sums are made of."""

    def __init__(self, draft: Invoice, rows: list[tuple[Row, str]]) -> None:
        self.draft = draft
        self.rows = rows


@st.composite
def bills(draw: Any, *, is_reduced: bool = True) -> Bill:
    """Invoices of several groups, fees and a commitment; `is_reduced`: with caps and discounts."""
    rows, groups, over = [], [], 0
    for agent in draw(st.lists(st.sampled_from("abc"), unique=True)):
        amounts = draw(st.dictionaries(_keys, _units, min_size=1))
        sum_ = sum(amounts.values())
        cap = draw(st.integers(0, sum_)) if is_reduced and sum_ else 0
        over += sum_ - cap
        groups.append(group(agent, *((key, money(units)) for key, units in amounts.items()), cap=money(-cap)))
        rows += [(row(f"{agent}-{key}", money(units)), key) for key, units in amounts.items()]
    fees = draw(st.dictionaries(_keys, _units))
    rows += [(row(f"fee-{key}", money(units), kind="recurring"), key) for key, units in fees.items()]
    commitment = draw(st.integers(-over if is_reduced else 0, 3000))
    tax = draw(_keys)
    if commitment > 0:
        rows.append((row("", money(commitment), kind="commitment"), tax))
    draft = closed(
        *groups,
        fees={key: money(units) for key, units in fees.items()},
        commitment=money(commitment),
        commitment_tax=tax,
    )
    for unit_price, key in draw(st.lists(st.tuples(st.integers(-9000, 900), _keys), max_size=5 * is_reduced)):
        verdict = add_line(draft, line(money(unit_price), key), TABLE, 7)
        if isinstance(verdict, Change):
            draft = verdict.after
            if unit_price > 0:
                made = draft.manual[-1]
                rows.append((row("", money(unit_price), kind="manual", id=made.id), key))
    return Bill(draft, rows)


def money(units: int) -> str:
    return str(Decimal(units).scaleb(-2))


@given(bills())
def test_tax_rows_follow_the_rules(bill: Bill) -> None:
    one = issued(bill.draft)

    assert sum(each.taxable for each in one.tax_rows) == one.net
    assert [each.tax_class for each in one.tax_rows] == sorted({each.tax_class for each in one.tax_rows})
    for each in one.tax_rows:
        assert each.taxable >= 0
        exact = Fraction(each.taxable) * Fraction(each.rate) / 100
        assert abs(Fraction(each.tax) - exact) <= Fraction(1, 200)
        assert Fraction(each.tax) * 100 == int(exact * 100 + Fraction(1, 2))
    assert one.total == one.net + sum(each.tax for each in one.tax_rows)
    assert one.due == one.total >= 0


@given(bills(), st.data())
def test_credits_never_give_back_more_than_was_charged(bill: Bill, data: Any) -> None:
    """Before and after the issue, in any order and parts, until nothing is left."""
    one, credited = bill.draft, {each.id: ZERO for each, _ in bill.rows}
    for step in range(data.draw(st.integers(0, 12))):
        if step == 5:
            one = issued(one)
        if not bill.rows:
            break
        each, key = data.draw(st.sampled_from(bill.rows))
        amount = data.draw(st.none() | st.integers(1, 4000).map(lambda units: Decimal(units).scaleb(-2)))
        item = Item(row=each, credited=credited[each.id], tax=key, amount=amount)
        done = credit(one, [item], "wrong", balance=ZERO, series=CN, at=AT, today=LOCAL, table=TABLE)
        if isinstance(done, Change):
            credited |= done.credited
            before, one = one, done.after
            check_note(before, done)
    one = one if one.status != "draft" else issued(one)
    assert all(each.taxable >= 0 for each in one.tax_rows)


def check_note(before: Invoice, done: Change) -> None:
    one = done.after
    if done.note is None:
        return
    charged = {each.tax_class: each.tax for each in one.tax_rows}
    for each in one.note_taxes:
        assert each.tax <= charged[each.tax_class]
    assert one.noted_net <= one.net
    assert one.noted == one.noted_net + sum(each.tax for each in one.note_taxes)
    assert one.total is not None
    assert ZERO <= one.noted <= one.total
    assert one.due == one.total - one.notes_applied >= 0
    assert before.due is not None
    assert done.note.applied == min(done.note.total, before.due)


@given(bills(is_reduced=False), st.data())
def test_without_discounts_and_caps_all_rows_together_give_back_all_tax(bill: Bill, data: Any) -> None:
    one = issued(bill.draft)
    for each, key in data.draw(st.permutations(bill.rows)):
        if Decimal(each.amount or 0) > 0:
            one = note(one, (each, "0", key, None)).after

    assert (one.noted_net, one.noted, one.due) == (one.net, one.total, ZERO)
    assert [each for each in one.note_taxes if each.taxable] == [each for each in one.tax_rows if each.taxable]


@given(bills(), st.sampled_from([void, revise]))
def test_cancelling_gives_back_everything(bill: Bill, operation: Any) -> None:
    one = issued(bill.draft, balance=Decimal(7))
    done = change(operation(one, Decimal(1), "wrong", CN, LOCAL))

    assert (done.note is not None) == bool(one.tax_rows)
    if done.note is not None:
        assert (done.note.total, done.note.applied) == (one.total, one.total)
    assert done.balance == (None if not one.balance_used else 1 + one.balance_used)
