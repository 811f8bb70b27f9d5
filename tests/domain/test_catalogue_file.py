"""The catalogue file: reading, writing, and what it would change."""

from typing import Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from tests.support.catalogues import SECRET, agent, catalogue, customer, documents, rate_card, rule
from witnd.domain.catalogue.catalogue import Catalogue, CatalogueEntry
from witnd.domain.catalogue.file import parse, read, reference_mistakes, to_document
from witnd.domain.catalogue.plan import Plan, lines, plan
from witnd.domain.webhooks.notification import secret_bytes

SEED = b"seed"
FULL = """
[[customers]]
key = "acme"
name = "Acme Inc."
email = "billing@acme.com"
rate_card = "standard"

[[agents]]
key = "support"
settlement_period = 3600
condition = [
  { fact = "replied", operator = "seen" },
  { fact = "csat", operator = "not lte", value = 3 },
]

[[rate_cards]]
key = "standard"
currency = "EUR"
entries = [{ agent = "support", price_per_unit = "0.99" }]

[[notification_rules]]
name = "crm"
source = "both"
agent = "support"
url = "https://example.com/hook"
"""


def planned(text: str, current: Catalogue | None = None, at: int | None = None) -> Plan:
    file = parse(text)
    assert file.mistakes == ()
    return plan(current or Catalogue(), file.items, seed=SEED, at=at)


def applied(found: Plan, current: Catalogue, at: int) -> Catalogue:
    for change in found.changes:
        current.add(
            CatalogueEntry(
                kind=change.kind,
                key=change.key,
                effective_from=at,
                archived=change.archived,
                content=change.content,
            )
        )
    return current


def mistakes(text: str, current: Catalogue | None = None) -> list[str]:
    file = parse(text)
    wrong = (*file.mistakes, *reference_mistakes(file, current or Catalogue()))
    return [mistake.path for mistake in wrong]


def test_a_file_is_read_into_its_items() -> None:
    file = parse(FULL)
    assert file.mistakes == ()
    assert [(item.kind, item.key, item.path) for item in file.items] == [
        ("customer", "acme", "customers[0]"),
        ("agent", "support", "agents[0]"),
        ("rate_card", "standard", "rate_cards[0]"),
        ("notification_rule", "crm", "notification_rules[0]"),
    ]
    assert file.items[3].content == {
        "source": "both",
        "agent": "support",
        "url": "https://example.com/hook",
        "secret": None,
        "enabled": True,
    }


def test_an_empty_file_says_nothing() -> None:
    assert parse("") == read({})
    assert planned("").differences == ()


def test_every_mistake_is_told_at_once_with_its_path() -> None:
    text = """
        [[customer]]
        key = "acme"
        [[customers]]
        name = 3
        rate_card = "standart"
        [[agents]]
        key = "support"
        settlement_period = 0
        condition = [
          { fact = "replied", operator = "seen" },
          { fact = "csat", operator = "gte" },
          { fact = "csat", operator = "gte", value = "3" },
        ]
        [[agents]]
        key = "support"
        condition = []
        archived = "yes"
        [[rate_cards]]
        key = "standard"
        currency = "eur"
        entries = [{ agent = "suport", price_per_unit = 0.99 }]
        [[notification_rules]]
        name = "crm"
        source = "all"
        url = "ftp://example.com"
        secret = "whsec_short"
    """
    assert sorted(mistakes(text)) == sorted(
        [
            "customer",
            "customers[0].key",
            "customers[0].name",
            "customers[0].rate_card",
            "agents[0].settlement_period",
            "agents[0].condition[1].value",
            "agents[0].condition[2].value",
            "agents[1].key",
            "agents[1].archived",
            "rate_cards[0].currency",
            "rate_cards[0].entries[0].price_per_unit",
            "rate_cards[0].entries[0].agent",
            "notification_rules[0].source",
            "notification_rules[0].url",
            "notification_rules[0].secret",
        ]
    )


@pytest.mark.parametrize("kind", ["taxes", "customers", "agents", "rate_cards", "notification_rules"])
@pytest.mark.parametrize("value", ["3", '"text"', "[3]", "{ key = 3 }"])
def test_a_section_that_is_no_list_of_tables_is_a_mistake(kind: str, value: str) -> None:
    assert mistakes(f"{kind} = {value}") != []


@pytest.mark.parametrize(
    "text",
    ["[[customers]", 'a = "', "x = " + "1" * 5000, "x = " + "[" * 5000, "\x00", "key = nan ="],
)
def test_text_that_is_not_toml_is_one_mistake(text: str) -> None:
    assert len(parse(text).mistakes) == 1
    assert parse(text).items == ()


@given(st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["key", "name", "condition", "entries", "agents", "agent", "kind", "tiers", "secret", "fees", "tax",
                 "commitment", "billing", "address", "country", "tax_id", "logo", "rate", "category", "locale"]
            ),
            inner,
            max_size=6,
        ),
    ),
    max_leaves=10,
))  # fmt: skip
def test_reading_ends_with_an_answer_for_any_document(value: Any) -> None:
    for section in ("seller", "taxes", "customers", "agents", "rate_cards", "notification_rules"):
        for raw in (value, [value]):
            file = read({section: raw})
            reference_mistakes(file, Catalogue())
            assert file.mistakes or len(plan(Catalogue(), file.items, seed=SEED).changes) <= 1


def test_what_is_referred_to_must_be_in_the_file_or_in_the_catalogue() -> None:
    [card] = mistakes('[[customers]]\nkey = "acme"\nrate_card = "standard"')
    assert card == "customers[0].rate_card"
    known = catalogue(agent(), rate_card())
    assert mistakes('[[customers]]\nkey = "acme"\nrate_card = "standard"', known) == []
    text = '[[rate_cards]]\nkey = "vip"\ncurrency = "EUR"\nentries = [%s]'
    entry = '{ agent = "suport", price_per_unit = "1" }'
    file = parse(text % entry)
    [found] = reference_mistakes(file, known)
    assert found.path == "rate_cards[0].entries[0].agent"
    assert 'did you mean "support"?' in found.message


def test_everything_in_a_new_file_is_new() -> None:
    found = planned(FULL)
    assert [difference.mark for difference in found.differences] == ["+"] * 4
    assert [(change.kind, change.key) for change in found.changes] == [
        ("customer", "acme"),
        ("agent", "support"),
        ("rate_card", "standard"),
        ("notification_rule", "crm"),
    ]


def test_applying_a_file_twice_changes_nothing_the_second_time() -> None:
    current = applied(planned(FULL), Catalogue(), 0)
    again = planned(FULL, current)
    assert (again.changes, again.secrets) == ((), {})
    assert {difference.mark for difference in again.differences} == {"="}


def test_what_a_file_does_not_name_is_left_alone() -> None:
    current = applied(planned(FULL), Catalogue(), 0)
    assert planned("", current).changes == ()


def test_a_field_that_an_item_leaves_out_gets_its_default() -> None:
    current = catalogue(customer(name="Acme", email="billing@acme.com"), rate_card())
    text = '[[customers]]\nkey = "acme"\nrate_card = "standard"'
    assert lines(planned(text, current).differences) == [
        '~ customer "acme"',
        '    ~ name: "Acme" → "acme"',
        '    - email: "billing@acme.com"',
    ]


def test_the_difference_has_one_line_per_changed_field() -> None:
    current = applied(planned(FULL), Catalogue(), 0)
    text = (
        FULL.replace("3600", "60")
        .replace("value = 3", "value = 4")
        .replace('"0.99"', '"1.20"')
        .replace('"Acme Inc."', '"Acme"')
        .replace(
            "[[notification_rules]]",
            '[[agents]]\nkey = "b"\ncondition = []\n[[notification_rules]]',
        )
    )
    assert lines(planned(text, current).differences) == [
        '~ customer "acme"',
        '    ~ name: "Acme Inc." → "Acme"',
        '~ agent "support"',
        "    ~ settlement_period: 3600 → 60",
        "    ~ condition[1]: csat not lte 3 → csat not lte 4",
        '+ agent "b"',
        '    + name: "b"',
        "    + settlement_period: 259200",
        '    + attribution_method: "last"',
        "    + condition: []",
        '~ rate card "standard"',
        '    ~ entries[support].price_per_unit: "0.99" → "1.2"',
        '= unchanged: notification rule "crm"',
    ]


AGREED = """
[[customers]]
key = "acme"
name = "Acme Inc."
email = "billing@acme.com"
rate_card = "standard"
entries = [
  { agent = "sales", price_per_unit = "5" },
  { agent = "support", kind = "graduated", free_quota = "10", tiers = [
    { up_to = "100", price_per_unit = "1" },
    { up_to = "200", price_per_unit = "0.80", flat_fee = "2" },
    { price_per_unit = "0.5" },
  ] },
]

[[customers.agents]]
agent = "support"
settlement_period = 60
condition = [{ fact = "closed", operator = "seen" }]

[[agents]]
key = "sales"
condition = []
"""
WITH_AGREED = FULL[FULL.index("[[agents]]") :] + AGREED


def test_what_one_customer_agreed_is_told_field_by_field() -> None:
    assert lines(planned(WITH_AGREED, applied(planned(FULL), Catalogue(), 0)).differences) == [
        '~ customer "acme"',
        '    + entries[sales].price_per_unit: "5"',
        '    + entries[support].kind: "graduated"',
        '    + entries[support].tiers[0].up_to: "100"',
        '    + entries[support].tiers[0].price_per_unit: "1"',
        '    + entries[support].tiers[1].up_to: "200"',
        '    + entries[support].tiers[1].price_per_unit: "0.8"',
        '    + entries[support].tiers[1].flat_fee: "2"',
        '    + entries[support].tiers[2].price_per_unit: "0.5"',
        '    + entries[support].free_quota: "10"',
        "    + agents[support].settlement_period: 60",
        "    + agents[support].condition[0]: closed seen",
        '+ agent "sales"',
        '    + name: "sales"',
        "    + settlement_period: 259200",
        '    + attribution_method: "last"',
        "    + condition: []",
        '= unchanged: agent "support", rate card "standard", notification rule "crm"',
    ]


def test_a_change_to_what_one_customer_agreed_names_the_very_place() -> None:
    current = applied(planned(WITH_AGREED), Catalogue(), 0)
    text = (
        AGREED.replace('price_per_unit = "5"', 'kind = "package", package_size = "10", price_per_package = "40"')
        .replace('"0.80"', '"0.75"')
        .replace(
            '    { price_per_unit = "0.5" },', '    { up_to = "900", price_per_unit = "0.5" },{ price_per_unit = "0" },'
        )
        .replace("settlement_period = 60", 'attribution_method = "sum"')
        .replace('fact = "closed"', 'fact = "shut"')
    )
    assert lines(planned(text, current).differences) == [
        '~ customer "acme"',
        '    ~ entries[sales].kind: "flat" → "package"',
        '    + entries[sales].package_size: "10"',
        '    + entries[sales].price_per_package: "40"',
        '    - entries[sales].price_per_unit: "5"',
        '    ~ entries[support].tiers[1].price_per_unit: "0.8" → "0.75"',
        '    + entries[support].tiers[2].up_to: "900"',
        '    + entries[support].tiers[3].price_per_unit: "0"',
        '    + agents[support].attribution_method: "sum"',
        "    - agents[support].settlement_period: 60",
        "    ~ agents[support].condition[0]: closed seen → shut seen",
        '= unchanged: agent "sales"',
    ]


def test_an_item_that_leaves_out_what_was_agreed_ends_it() -> None:
    current = applied(planned(WITH_AGREED), Catalogue(), 0)
    text = '[[customers]]\nkey = "acme"\nname = "Acme Inc."\nemail = "billing@acme.com"\nrate_card = "standard"'
    found = lines(planned(text, current).differences)
    assert '    - entries[sales].price_per_unit: "5"' in found
    assert "    - agents[support].condition[0]: closed seen" in found
    assert not any(line.startswith(("    +", "    ~")) for line in found)


def test_agents_in_what_one_customer_agreed_must_be_known() -> None:
    file = parse(AGREED.replace('agent = "support"', 'agent = "suport"'))
    assert file.mistakes == ()
    found = reference_mistakes(file, catalogue(agent(), rate_card()))
    assert [mistake.path for mistake in found] == ["customers[0].entries[1].agent", "customers[0].agents[0].agent"]
    assert all('there is no agent "suport"; did you mean "support"?' in mistake.message for mistake in found)


def test_mistakes_in_what_one_customer_agreed_have_their_paths() -> None:
    text = AGREED.replace('"200"', '"100"').replace('operator = "seen"', 'operator = "like"').replace("= 60", "= 0")
    assert sorted(mistake.path for mistake in parse(text).mistakes) == [
        "customers[0].agents[0].condition[0].operator",
        "customers[0].agents[0].settlement_period",
        "customers[0].entries[1].tiers[1].up_to",
    ]


def test_archiving_is_a_change_like_any_other() -> None:
    current = catalogue(agent())
    text = '[[agents]]\nkey = "support"\narchived = true\n'
    text += 'condition = [{ fact = "replied", operator = "seen" }]'
    found = planned(text, current)
    assert lines(found.differences) == ['~ agent "support"', "    + archived: true"]
    assert planned(text, applied(found, current, 5)).changes == ()


def test_a_change_is_compared_with_the_state_at_the_asked_instant() -> None:
    current = catalogue(customer(name="now"), customer(at=100, name="then"), rate_card())
    text = '[[customers]]\nkey = "acme"\nname = "then"\nrate_card = "standard"'
    assert planned(text, current, at=100).changes == ()
    found = planned(text, current, at=50)
    assert lines(found.differences) == [
        '~ customer "acme"',
        '    ~ name: "now" → "then"',
        "    ! stays scheduled from 1970-01-01T00:00:00.100Z",
    ]


def test_a_new_rule_without_a_secret_gets_one_and_keeps_it() -> None:
    found = planned(FULL)
    secret = found.secrets["crm"]
    assert len(secret_bytes(secret)) == 32
    assert planned(FULL).secrets == found.secrets
    assert secret not in "\n".join(lines(found.differences))
    current = applied(found, Catalogue(), 0)
    later = planned(FULL.replace("both", "outcome_missed"), current)
    assert later.secrets == {}
    assert later.changes[0].content["secret"] == secret


def test_generated_secrets_differ_by_rule_and_by_seed() -> None:
    two = FULL + '[[notification_rules]]\nname = "erp"\nsource = "both"\nurl = "https://example.com"'
    first = planned(two).secrets
    assert len(set(first.values())) == 2
    assert plan(Catalogue(), parse(two).items, seed=b"other").secrets["crm"] != first["crm"]


def test_a_changed_secret_is_a_change_that_shows_neither() -> None:
    other = "whsec_" + "B" * 32
    current = catalogue(rule("crm", agent="support"))
    text = FULL[FULL.index("[[notification_rules]]") :] + f'secret = "{other}"'
    shown = "\n".join(lines(planned(text, current).differences))
    assert "~ secret: (hidden" in shown
    assert other not in shown
    assert SECRET not in shown


@given(documents(), st.booleans())
def test_an_export_applied_to_its_own_catalogue_changes_nothing(document: dict[str, Any], secrets: bool) -> None:
    file = read(document)
    assert (file.mistakes, reference_mistakes(file, Catalogue())) == ((), [])
    current = applied(plan(Catalogue(), file.items, seed=SEED), Catalogue(), 0)
    text = tomli_w.dumps(to_document(current, secrets=secrets))
    again = parse(text)
    assert (again.mistakes, reference_mistakes(again, Catalogue())) == ((), [])
    assert plan(current, again.items, seed=b"other").changes == ()
    assert len(again.items) == len(file.items)


@given(documents())
def test_an_export_with_secrets_makes_the_same_catalogue_elsewhere(
    document: dict[str, Any],
) -> None:
    current = applied(plan(Catalogue(), read(document).items, seed=SEED), Catalogue(), 0)
    exported = to_document(current, secrets=True)
    elsewhere = applied(plan(Catalogue(), read(exported).items, seed=b"other"), Catalogue(), 0)
    assert to_document(elsewhere, secrets=True) == exported
    assert {c.hash for c in elsewhere.agents(0).values()} == {c.hash for c in current.agents(0).values()}


@given(documents(), documents())
def test_after_applying_a_file_its_difference_is_empty(before: dict[str, Any], after: dict[str, Any]) -> None:
    current = applied(plan(Catalogue(), read(before).items, seed=SEED), Catalogue(), 0)
    items = read(after).items
    found = plan(current, items, seed=SEED)
    assert [d.mark != "=" for d in found.differences].count(True) == len(found.changes)
    current = applied(found, current, 1)
    assert plan(current, items, seed=SEED).changes == ()


def test_an_export_leaves_secrets_out_unless_asked() -> None:
    current = applied(planned(FULL), Catalogue(), 0)
    [without] = to_document(current)["notification_rules"]
    [with_it] = to_document(current, secrets=True)["notification_rules"]
    assert "secret" not in without
    assert with_it["secret"].startswith("whsec_")


def test_an_export_is_of_one_instant() -> None:
    current = catalogue(customer(name="now"), customer(at=100, name="then"), customer("b", at=100))
    names = [[table["name"] for table in to_document(current, at=at)["customers"]] for at in (50, 100)]
    assert names == [["now"], ["then", "b"]]
    assert to_document(current)["customers"][0]["name"] == "then"
