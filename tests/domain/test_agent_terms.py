"""Grades and timers of agents: what is refused, what is stored, and how their differences read."""

from typing import Any

import pytest

from tests.support.catalogues import agent, catalogue, customer
from tests.support.conditions import leaf
from witnd.domain.catalogue.contract import Contract, read_agent, read_own_terms
from witnd.domain.catalogue.file import parse, to_document
from witnd.domain.catalogue.plan import Change, lines, plan
from witnd.domain.catalogue.terms.grades import condition_of, without_replaced
from witnd.domain.catalogue.terms.timers import MAX_TIMERS
from witnd.domain.values.versions import CatalogueEntry

SOLVED = {"key": "solved", "name": "Solved", "condition": [leaf("solved", "seen")]}
TRIED = {"key": "tried", "condition": [leaf("replied", "seen"), leaf("reopened", "not seen")]}
GRADES = [SOLVED, TRIED]
TIMERS = {"replied": 60, "note_added": "keep"}


def read(**fields: Any) -> list[str]:
    """The mistakes of an agent with these fields."""
    content, wrong = read_agent("support", fields, "agents[0]")
    if not wrong:
        assert Contract.from_content("support", content).content == content
    return [str(one) for one in wrong]


def test_grades_and_timers_without_mistakes_have_none() -> None:
    assert read(grades=GRADES, timers=TIMERS) == []


@pytest.mark.parametrize(
    ("fields", "path", "words"),
    [
        ({"grades": GRADES, "condition": [leaf("a", "seen")]}, "agents[0].grades", "not both"),
        ({}, "agents[0].condition", "is missing"),
        ({"grades": []}, "agents[0].grades", "write 1 to 20"),
        ({"grades": [TRIED | {"key": str(n)} for n in range(21)]}, "agents[0].grades", "has 21 grades"),
        ({"grades": "solved"}, "agents[0].grades", "must be a list of grades"),
        ({"grades": [SOLVED, SOLVED]}, "agents[0].grades[1].key", 'must not be repeated, got "solved" again'),
        ({"grades": [{"condition": []}]}, "agents[0].grades[0].key", "is missing"),
        ({"grades": [{"key": "a"}]}, "agents[0].grades[0].condition", "is missing"),
        ({"grades": [TRIED | {"colour": 1}]}, "agents[0].grades[0].colour", "is not a known field"),
        ({"grades": [TRIED | {"condition": [leaf("a", "gte")]}]}, "agents[0].grades[0].condition[0].value", "missing"),
        ({"condition": [], "timers": 60}, "agents[0].timers", "must be a table of actions"),
        ({"condition": [], "timers": {"a": 0}}, "agents[0].timers.a", "from 1 to 15552000"),
        ({"condition": [], "timers": {"a": 15_552_001}}, "agents[0].timers.a", "from 1 to 15552000"),
        ({"condition": [], "timers": {"a": 1.5}}, "agents[0].timers.a", "whole seconds"),
        ({"condition": [], "timers": {"a": True}}, "agents[0].timers.a", "whole seconds"),
        ({"condition": [], "timers": {"a": "never"}}, "agents[0].timers.a", 'or "keep"'),
        ({"condition": [], "timers": {"a" * 256: 1}}, "agents[0].timers." + "a" * 256, "256 characters"),
        (
            {"condition": [], "timers": {str(n): 1 for n in range(MAX_TIMERS + 1)}},
            "agents[0].timers",
            f"more than {MAX_TIMERS}",
        ),
    ],
)
def test_each_mistake_has_its_path_and_says_what_to_write(fields: dict[str, Any], path: str, words: str) -> None:
    (found,) = read(**fields)
    assert found.startswith(f"{path}: " if path else "")
    assert words in found


def test_all_mistakes_are_reported_together() -> None:
    found = read(grades=[SOLVED, SOLVED, {"key": "b"}], timers={"a": 0, "b": "no"})
    assert [one.partition(":")[0] for one in found] == [
        "agents[0].grades[1].key",
        "agents[0].grades[2].condition",
        "agents[0].timers.a",
        "agents[0].timers.b",
    ]


def test_the_condition_of_grades_is_their_alternative() -> None:
    content, _ = read_agent("support", {"grades": GRADES}, "")
    both = {"op": "AND", "conditions": TRIED["condition"]}
    assert condition_of(content) == [{"op": "OR", "conditions": [SOLVED["condition"][0], both]}]


def test_a_given_condition_or_grades_replaces_the_other() -> None:
    content = {"name": "a", "condition": [], "timers": TIMERS}
    assert without_replaced(content, {"grades": GRADES}) == {"name": "a", "timers": TIMERS}
    assert without_replaced(content, {"grades": None}) == content
    assert without_replaced({"grades": GRADES}, {"condition": []}) == {}


def test_own_terms_replace_grades_and_can_remove_timers() -> None:
    base, _ = read_agent("support", {"grades": GRADES, "timers": TIMERS}, "")
    own, wrong = read_own_terms({"agent": "support", "condition": [], "timers": {}}, "")
    assert wrong == []
    agreed = Contract.from_content("support", base).with_terms(own)
    assert (agreed.grades, agreed.condition, agreed.timers) == (None, [], None)
    _, both = read_own_terms({"agent": "support", "condition": [], "grades": GRADES}, "agents[0]")
    assert [one.path for one in both] == ["agents[0].grades"]


FILE = """
[[agents]]
key = "support"
settlement_period = 60
grades = [
    { key = "solved", name = "Solved", condition = [{ fact = "solved", operator = "seen" }] },
    { key = "tried", condition = [{ fact = "replied", operator = "seen" }] },
]
timers = { replied = 60, "note added" = "keep" }

[[rate_cards]]
key = "standard"
currency = "EUR"
entries = [
    { agent = "support", grade = "solved", price_per_unit = "2" },
    { agent = "support", price_per_unit = "1" },
]
"""


def difference(before: str, after: str) -> list[str]:
    stored = catalogue()
    for change in plan(stored, parse(before).items, seed=b"").changes:
        stored.add(entry_of(change))
    return lines(plan(stored, parse(after).items, seed=b"").differences)


def entry_of(change: Change) -> CatalogueEntry:
    return CatalogueEntry(kind=change.kind, key=change.key, effective_from=0, archived=False, content=change.content)


def test_new_grades_and_timers_read_field_by_field() -> None:
    assert lines(plan(catalogue(), parse(FILE).items, seed=b"").differences) == [
        '+ agent "support"',
        '    + name: "support"',
        "    + settlement_period: 60",
        '    + attribution_method: "last"',
        "    + grades: solved, tried",
        '    + grades[solved].name: "Solved"',
        "    + grades[solved].condition[0]: solved seen",
        "    + grades[tried].condition[0]: replied seen",
        '    + timers["note added"]: "keep"',
        "    + timers[replied]: 60",
        '+ rate card "standard"',
        '    + currency: "EUR"',
        '    + entries[support].price_per_unit: "1"',
        '    + entries[support][solved].price_per_unit: "2"',
    ]


@pytest.mark.parametrize(
    ("old", "new", "lines_"),
    [
        ('"Solved"', '"Done"', ['    ~ grades[solved].name: "Solved" → "Done"']),
        ("replied = 60", "replied = 61", ["    ~ timers[replied]: 60 → 61"]),
        ('timers = { replied = 60, "note added" = "keep" }', "", [
            '    - timers["note added"]: "keep"', "    - timers[replied]: 60",
        ]),
        ('fact = "solved", operator = "seen"', 'fact = "solved", operator = "not seen"', [
            "    ~ grades[solved].condition[0]: solved seen → solved not seen",
        ]),
    ],
)  # fmt: skip
def test_a_change_names_the_grade_or_the_action(old: str, new: str, lines_: list[str]) -> None:
    found = difference(FILE, FILE.replace(old, new, 1))
    assert found == ['~ agent "support"', *lines_, '= unchanged: rate card "standard"']


def test_another_order_of_grades_is_a_change() -> None:
    rows = FILE.splitlines()
    rows[5], rows[6] = rows[6], rows[5]
    assert difference(FILE, "\n".join(rows))[:2] == [
        '~ agent "support"',
        "    ~ grades: solved, tried → tried, solved",
    ]


def test_a_price_of_one_grade_is_one_line() -> None:
    found = difference(FILE, FILE.replace('"2"', '"3"'))
    assert found[:2] == ['~ rate card "standard"', '    ~ entries[support][solved].price_per_unit: "2" → "3"']


def test_an_export_has_long_fields_last() -> None:
    known = catalogue(agent(condition=None, grades=GRADES, timers=TIMERS, archived=True), customer(agents=[
        {"agent": "support", "timers": {}, "name": "n"},
    ]))  # fmt: skip
    document = to_document(known)
    assert list(document["agents"][0]) == [
        "key", "name", "settlement_period", "attribution_method", "archived", "grades", "timers",
    ]  # fmt: skip
    assert document["customers"][0]["agents"] == [{"agent": "support", "name": "n", "timers": {}}]
