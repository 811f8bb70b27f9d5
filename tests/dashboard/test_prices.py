"""The fields of a form that writes prices, and the entries that come of them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import pricing
from witnd.domain.pricing.entry import KINDS, MAX_TIERS, OPTIONS
from witnd.domain.pricing.ratecard import read_entries, read_rate_card
from witnd.domain.values.fields import Table
from witnd.domain.values.mistake import Mistake
from witnd.web.dashboard.forms.price_preview import quantities
from witnd.web.dashboard.forms.prices import (
    FIELDS,
    KIND_HINTS,
    MOST_EDITED,
    Entry,
    blank,
    currencies,
    edited_entries,
    entries_from_content,
    entries_from_form,
    field_label,
    for_people,
    padded,
    problem,
)

TIERED = {
    "entries[0].agent": "support",
    "entries[0].kind": "graduated",
    "entries[0].tiers[0].up_to": "100",
    "entries[0].tiers[0].price_per_unit": "1",
    "entries[0].tiers[1].price_per_unit": "0.5",
}


def fields(entries: list[Entry]) -> dict[str, str]:
    """The form as a browser sends it: every field that is shown or kept out of sight, also empty ones."""
    form: dict[str, str] = {}
    for place, entry in enumerate(entries):
        at = f"entries[{place}]."
        for name in ("agent", "kind", *entry.names, *OPTIONS):
            form[at + name] = entry.texts.get(name, "")
        for number, tier in enumerate(entry.tiers if entry.tiered else []):
            for name in ("up_to", "price_per_unit", "flat_fee"):
                form[f"{at}tiers[{number}].{name}"] = tier.get(name, "")
        form |= {at + name: text for name, text in entry.kept}
    return form


def canonical(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    table = Table({"entries": entries}, "", ("entries",))
    read = read_entries(table, "")
    assert table.mistakes == []
    return read


@given(st.lists(pricing.entries(), max_size=4))
def test_what_the_catalogue_has_comes_back_from_the_form_as_it_was(entries: list[dict[str, Any]]) -> None:
    content = canonical([{"agent": f"agent {place}", **entry} for place, entry in enumerate(entries)])
    assert canonical([one.document for one in entries_from_form(fields(entries_from_content(content)))]) == content


@given(st.lists(pricing.entries(), max_size=3), st.lists(st.sampled_from(list(KINDS)), max_size=4))
def test_going_through_other_kinds_and_back_loses_nothing(entries: list[dict[str, Any]], kinds: list[str]) -> None:
    content = canonical([{"agent": f"agent {place}", **entry} for place, entry in enumerate(entries)])
    form = fields(entries_from_content(content))
    for kind in [*kinds, None]:
        for place, entry in enumerate(content):
            form[f"entries[{place}].kind"] = entry["kind"] if kind is None else kind
        form = fields(entries_from_form(form))
    # Tiers appear where a kind needs some, and are left out where nothing was written into them.
    assert canonical([one.document for one in entries_from_form(form)]) == content


def test_only_the_fields_of_its_kind_are_sent_and_empty_ones_are_not() -> None:
    [entry] = entries_from_form(
        {**TIERED, "entries[0].price_per_unit": "7", "entries[0].free_quota": " 10 ", "other": "x"}
    )
    assert entry.document == {
        "agent": "support",
        "kind": "graduated",
        "free_quota": "10",
        "tiers": [{"up_to": "100", "price_per_unit": "1"}, {"price_per_unit": "0.5"}],
    }
    assert list(entry.kept) == [("price_per_unit", "7")]
    [entry] = entries_from_form({**TIERED, "entries[0].kind": "flat"})
    assert entry.document == {"agent": "support", "kind": "flat"}
    assert ("tiers[1].price_per_unit", "0.5") in list(entry.kept)


def test_prices_keep_their_order_whatever_numbers_they_have() -> None:
    form = {"entries[10].agent": "c", "entries[2].agent": "b", "entries[0].agent": "a", "entries[x].agent": "d"}
    assert [entry.agent for entry in entries_from_form(form)] == ["a", "b", "c"]
    assert entries_from_form({"entries[99999].agent": "a", "entries[0].secret": "x", "key": "y"}) == [
        Entry(texts={}, tiers=[])
    ]
    [spaced] = entries_from_form({"entries[0].agent": " a key "})
    assert spaced.agent == " a key "


def test_a_price_by_tiers_begins_with_two_of_them() -> None:
    [entry] = entries_from_form({"entries[0].agent": "a", "entries[0].kind": "volume"})
    assert entry.tiers == [{}, {}]
    assert entries_from_form({"entries[0].agent": "a", "entries[0].kind": "flat"})[0].tiers == []


def test_buttons_add_and_remove_prices_and_tiers() -> None:
    entries = entries_from_form(TIERED)
    assert edited_entries(entries, "add-entry") == [*entries, blank()]
    assert edited_entries(entries, "remove-entry:0") == []
    assert edited_entries(entries, "add-tier:0")[0].tiers == [*entries[0].tiers, {}]
    assert edited_entries(entries, "remove-tier:0.0")[0].tiers == [{"price_per_unit": "0.5"}]
    assert entries_from_form(TIERED) == entries, "what was typed is not changed itself"


@pytest.mark.parametrize(
    "order",
    ["", "show", "save", "preview", "remove-entry:1", "add-tier:1", "remove-tier:0.2", "remove-tier:0", "add-tier:-1",
     "remove-entry:٠", "add-tier:0\n"],
)  # fmt: skip
def test_buttons_that_there_are_not_change_nothing(order: str) -> None:
    assert edited_entries(entries_from_form(TIERED), order) == entries_from_form(TIERED)


def test_a_form_holds_so_many_prices_and_tiers_and_no_more() -> None:
    full = [blank(str(number)) for number in range(MOST_EDITED)]
    assert edited_entries(full, "add-entry") == full
    tiers = [Entry(texts={"kind": "volume"}, tiers=[{}] * MAX_TIERS)]
    assert edited_entries(tiers, "add-tier:0") == tiers


def test_every_field_of_every_kind_has_a_name_for_people() -> None:
    assert set(KIND_HINTS) == set(KINDS)
    names = {name for names in KINDS.values() for name in names} - {"tiers"}
    assert names | set(OPTIONS) | {"up_to", "flat_fee", "agent", "kind"} <= set(FIELDS)


def test_places_are_called_as_the_form_calls_them() -> None:
    tier, agent = field_label("entries[2].tiers[1].up_to"), field_label("entries[0].agent")
    assert [tier.count(number) for number in ("3", "2")] == [1, 1], "the third price, the second tier"
    assert tier.lower().endswith(FIELDS["up_to"].label.lower())
    assert agent.lower().endswith(f"1, {FIELDS['agent'].label.lower()}")
    assert field_label("effective_from") == FIELDS["effective_from"].label
    assert field_label("entries")
    assert field_label("") == ""


def test_mistakes_speak_of_what_is_in_the_form() -> None:
    [missing, below] = read_rate_card("card", {"currency": "EUR", "entries": [
        {"agent": "a", "kind": "percentage"},
        {"agent": "b", "price_per_unit": "1", "period_minimum": "5", "period_cap": "4"},
    ]}, "")[1]  # fmt: skip
    said = for_people(missing)
    assert said != missing.message
    assert "2.5" in said
    assert '"' not in said, "no string is written into a form"
    said = for_people(below)
    assert "5" in said
    assert "period_minimum" not in said
    assert FIELDS["period_minimum"].label in said


def test_mistakes_of_a_part_count_from_the_first_price_of_the_form() -> None:
    assert problem(Mistake("entries[7].tiers[1].up_to", "is wrong"), 5).path == "entries[2].tiers[1].up_to"
    assert problem(Mistake("entries[3].agent", "is wrong"), 5).path == "entries"
    assert problem(Mistake("entries[0].percent", "is wrong"), -3).path == "entries[3].percent"
    assert problem(Mistake("currency", "is wrong"), 5).path == "currency"


def test_amounts_have_the_digits_of_their_currency_and_are_as_exact_as_they_are() -> None:
    assert [padded("2", digits) for digits in (2, 0, 3)] == ["2.00", "2", "2.000"]
    assert [padded("0.12345", digits) for digits in (2, 0)] == ["0.12345", "0.12345"]


def test_only_currencies_with_a_minor_unit_can_be_chosen() -> None:
    codes = [code for code, _ in currencies()]
    assert codes == sorted(codes)
    assert {"EUR", "USD", "JPY", "KWD"} <= set(codes)
    assert not {"XAU", "XXX"} & set(codes)


@pytest.mark.parametrize(
    ("form", "asked"),
    [
        ({"outcomes": "250"}, {"outcomes": 250}),
        ({"outcomes": " 250 ", "units": " "}, {"outcomes": 250}),
        ({"outcomes": "many"}, {"outcomes": "many"}),
        ({"outcomes": "9" * 5000}, {"outcomes": "9" * 5000}),
        ({"outcomes": "٣"}, {"outcomes": "٣"}),
        ({}, {"outcomes": None}),
        ({"outcomes": "7", "units": "1 2.5\n10"}, {"units": ["1", "2.5", "10"]}),
        ({"units": "1, 2.5; 10,"}, {"units": ["1", "2.5", "10"]}),
        ({"units": "2,5"}, {"units": ["2,5"]}),
    ],
)
def test_how_many_outcomes_is_read_as_people_write_it(form: dict[str, str], asked: dict[str, Any]) -> None:
    assert quantities(form) == asked
