"""Recurring fees and commitments: the days that are stored when they are written, and what a period costs."""

from decimal import Decimal
from typing import Any

from witnd.domain.catalogue.catalogue import Catalogue, CatalogueEntry
from witnd.domain.catalogue.file import parse
from witnd.domain.catalogue.period_terms import period_charges
from witnd.domain.catalogue.plan import plan
from witnd.domain.pricing.charge import charges
from witnd.domain.pricing.working import working_text
from witnd.domain.values.instant import parse as instant
from witnd.domain.values.period import Calendar, Period

NOON = "T12:00:00Z"
FEE = 'fees = [{ key = "base", amount = "100"%s }]'


def text(card: str, customer: str = "", rate_card: str = "card") -> str:
    return (
        f'[[rate_cards]]\nkey = "card"\ncurrency = "EUR"\n{card}\n[[rate_cards]]\nkey = "other"\ncurrency = "USD"\n'
        f'[[customers]]\nkey = "acme"\nrate_card = "{rate_card}"\n{customer}\n'
    )


def write(catalogue: Catalogue, document: str, day: str, in_effect: int | None = None) -> int:
    """Apply a file on a day. Returns how many versions it writes."""
    file = parse(document, catalogue)
    assert file.mistakes == ()
    now = instant(f"{day}{NOON}")
    at = now if in_effect is None else in_effect
    changes = plan(catalogue, file.items, seed=b"", at=at, today=day).changes
    for one in changes:
        catalogue.add(
            CatalogueEntry(kind=one.kind, key=one.key, effective_from=at, archived=one.archived, content=one.content)
        )
    return len(changes)


def period(month: str, kind: str = "month") -> Period:
    return Calendar.of(kind).period_at(instant(f"{month}-01{NOON}" if len(month) == 7 else f"{month}{NOON}"))


def rows(
    catalogue: Catalogue, of: Period, total: str = "0.00", calendar: Calendar | None = None
) -> list[tuple[str, str, str]]:
    """Currency, amount and working of each row."""
    return [
        (currency, str(one.amount), working_text(one.working))
        for currency, due in period_charges(catalogue, "acme", of, calendar or Calendar.of(of.kind)).items()
        for one in charges(due, Decimal(total))
    ]


def content(catalogue: Catalogue, kind: str, key: str) -> dict[str, Any]:
    entry = catalogue.entry(kind, key)
    assert entry is not None
    return entry.content


def test_a_fee_without_a_start_is_charged_from_the_day_on_which_it_was_written() -> None:
    catalogue = Catalogue()
    # In effect from the beginning of time, as before the first event.
    assert write(catalogue, text(FEE % ""), "2026-03-10", in_effect=0) == 3
    assert rows(catalogue, period("2026-02")) == []
    assert rows(catalogue, period("2026-03")) == [("EUR", "100.00", "100 for the period")]
    # The same file is no change, also on another day.
    assert write(catalogue, text(FEE % ""), "2026-04-10") == 0
    # Another amount keeps the day.
    assert write(catalogue, text(FEE.replace("100", "90") % ""), "2026-05-10") == 1
    assert content(catalogue, "rate_card", "card")["fees"][0]["written"] == "2026-03-10"


def test_a_fee_of_the_card_is_not_charged_before_the_customer_was_assigned() -> None:
    catalogue = Catalogue()
    write(catalogue, text(FEE % ", prorate = true", rate_card="other"), "2026-03-01", in_effect=0)
    write(catalogue, text(FEE % ", prorate = true"), "2026-03-22", in_effect=1)
    assert content(catalogue, "customer", "acme")["rate_card_since"] == "2026-03-22"
    assert rows(catalogue, period("2026-03")) == [
        ("EUR", "32.26", "10 of 31 days × 100 = 32.258064516129, rounded 32.26")
    ]
    # A start that was given counts for every customer.
    write(catalogue, text(FEE % ', prorate = true, starts = "2026-03-01"'), "2026-03-23", in_effect=2)
    assert rows(catalogue, period("2026-03")) == [("EUR", "100.00", "31 of 31 days × 100 = 100")]


def test_versions_that_disagree_on_prorate_follow_the_last_one() -> None:
    first, day = 'fees = [{ key = "base", amount = "%s", starts = "2026-01-01"%s }]', ", prorate = true"
    catalogue = Catalogue()
    write(catalogue, text(first % ("100", "")), "2026-01-01", in_effect=0)
    write(catalogue, text(first % ("160", day)), "2026-04-16")
    assert rows(catalogue, period("2026-04")) == [("EUR", "130.00", "15 of 30 days × 100 + 15 of 30 days × 160 = 130")]
    write(catalogue, text(first % ("200", "")), "2026-04-30")
    assert rows(catalogue, period("2026-04")) == [("EUR", "200.00", "200 for the period")]


def test_a_prorated_fee_is_charged_until_it_ends_and_in_each_currency() -> None:
    card = 'fees = [{ key = "base", amount = "30", starts = "2026-01-01", prorate = true }]'
    catalogue = Catalogue()
    document = text(card).replace('currency = "USD"\n', f'currency = "USD"\n{card.replace("30", "60")}\n')
    write(catalogue, document, "2026-01-01", in_effect=0)
    write(catalogue, document.replace('rate_card = "card"', 'rate_card = "other"'), "2026-04-11")
    assert [row[:2] for row in rows(catalogue, period("2026-04"))] == [("EUR", "10.00"), ("USD", "40.00")]
    write(catalogue, document + "archived = true\n", "2026-04-21")
    assert [row[:2] for row in rows(catalogue, period("2026-04"))] == [("EUR", "10.00"), ("USD", "20.00")]


def test_a_commitment_is_prorated_and_its_cap_is_not() -> None:
    terms = 'commitment = { period_minimum = "300", period_cap = "400.00", starts = "2026-04-16", prorate = true }'
    catalogue = Catalogue()
    write(catalogue, text("", terms), "2026-04-01", in_effect=0)
    april = period("2026-04")
    assert rows(catalogue, april, "20.00") == [
        ("EUR", "130.00", "20.00 is less than 150 (15 of 30 days × 300): 130.00")
    ]
    assert rows(catalogue, april, "401.50") == [("EUR", "-1.50", "401.50 is more than 400: -1.50")]
    assert rows(catalogue, april, "150.00") == []
    [due] = period_charges(catalogue, "acme", april, Calendar.of(april.kind)).values()
    assert due.is_due
    # A short first week is a part of a natural one.
    weeks = Calendar.of("day").with_rule("week", "UTC", instant(f"2026-04-29{NOON}"), lambda _: 0)
    short = weeks.period_at(instant(f"2026-04-30{NOON}"))
    assert (short.first_day, short.last_day) == ("2026-04-30", "2026-05-03")
    assert rows(catalogue, short, "0.00", weeks)[0][1] == "171.43"


def test_a_charge_carries_the_tax_of_the_last_terms_in_the_period() -> None:
    terms = 'fees = [{ key = "base", amount = "100"%s }]\ncommitment = { period_minimum = "500"%s }'
    catalogue = Catalogue()
    write(catalogue, text(terms % ("", ', tax = "low"')), "2026-01-01", in_effect=0)
    write(catalogue, text(terms % (', tax = "vat"', "")), "2026-04-10")
    write(catalogue, text(terms % (', tax = "low"', ', tax = "vat"')), "2026-05-01")

    def taxes(month: str) -> list[tuple[str, str | None]]:
        [due] = period_charges(catalogue, "acme", period(month), Calendar.of("month")).values()
        assert due.fees[0].tax == charges(due, Decimal(0))[0].tax
        return [(one.kind, one.tax) for one in charges(due, Decimal(0))]

    assert taxes("2026-03") == [("recurring", None), ("commitment", "low")]
    assert taxes("2026-04") == [("recurring", "vat"), ("commitment", None)]
    assert taxes("2026-05") == [("recurring", "low"), ("commitment", "vat")]


def test_the_row_of_a_cap_has_the_tax_of_its_commitment() -> None:
    catalogue = Catalogue()
    terms = 'commitment = { period_cap = "10", tax = "vat", prorate = true, starts = "2026-01-01" }'
    write(catalogue, text("", terms), "2026-01-01", in_effect=0)
    [due] = period_charges(catalogue, "acme", period("2026-04"), Calendar.of("month")).values()
    assert [(one.kind, one.tax) for one in charges(due, Decimal(11))] == [("commitment_cap", "vat")]
