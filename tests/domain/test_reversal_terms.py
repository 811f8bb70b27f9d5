"""The reversal of agents: what is refused, what is stored, and how differences read."""

from typing import Any

import pytest

from tests.domain.test_agent_terms import difference
from tests.support.catalogues import agent, catalogue, customer
from tests.support.conditions import leaf
from witnd.domain.catalogue.contract import Contract, read_agent, read_own_terms
from witnd.domain.catalogue.file import to_document
from witnd.domain.catalogue.terms.reversal import MAX_ACTIONS, reversal_text

WEEK = {"window": 604_800, "on": ["ticket_reopened", "refunded"]}


def read(reversal: Any, **fields: Any) -> list[str]:
    """The mistakes of an agent with this reversal."""
    content, wrong = read_agent("support", {"condition": [], "reversal": reversal, **fields}, "agents[0]")
    if not wrong:
        assert Contract.from_content("support", content).content == content
    return [str(one) for one in wrong]


@pytest.mark.parametrize("window", [1, 15_552_000, 604_800.0])
def test_a_reversal_without_mistakes_has_none(window: float) -> None:
    assert read({"window": window, "on": ["refunded"]}) == []
    assert read({"window": window, "on": ["x" * 255]}) == []


def test_a_reversing_action_can_be_in_the_condition_too() -> None:
    assert read(WEEK, condition=[leaf("refunded", "not seen")]) == []


@pytest.mark.parametrize(
    ("reversal", "path", "words"),
    [
        (60, ".", "must be a table, got 60; write a table such as"),
        ({"window": 0, "on": ["a"]}, ".window", "whole seconds from 1 to 15552000 (180 days)"),
        ({"window": 15_552_001, "on": ["a"]}, ".window", "whole seconds from 1 to 15552000"),
        ({"window": 1.5, "on": ["a"]}, ".window", "whole seconds"),
        ({"window": True, "on": ["a"]}, ".window", "whole seconds"),
        ({"window": "7 days", "on": ["a"]}, ".window", "whole seconds"),
        ({"on": ["a"]}, ".window", "is missing; write whole seconds"),
        ({"window": 1}, ".on", "is missing; write a list of actions"),
        ({"window": 1, "on": "a"}, ".on", "must be a list of actions"),
        ({"window": 1, "on": []}, ".on", f"has 0 actions; write 1 to {MAX_ACTIONS}"),
        ({"window": 1, "on": [str(n) for n in range(MAX_ACTIONS + 1)]}, ".on", f"has {MAX_ACTIONS + 1} actions"),
        ({"window": 1, "on": ["a", "b", "a"]}, ".on[2]", 'must not be repeated, got "a" again; write each action once'),
        ({"window": 1, "on": ["a", 5]}, ".on[1]", "5"),
        ({"window": 1, "on": [""]}, ".on[0]", "empty"),
        ({"window": 1, "on": ["a" * 256]}, ".on[0]", "256 characters"),
        ({"window": 1, "on": ["a"], "colour": 1}, ".colour", "is not a known field"),
    ],
)
def test_each_mistake_has_its_path_and_says_what_to_write(reversal: Any, path: str, words: str) -> None:
    (found,) = read(reversal)
    assert found.startswith(f"agents[0].reversal{path.rstrip('.')}: ")
    assert words in found


def test_all_mistakes_are_reported_together() -> None:
    found = read({"on": ["a", "a", ""], "colour": 1}, timers={"a": 0})
    assert [one.partition(": ")[0] for one in found] == [
        "agents[0].timers.a",
        "agents[0].reversal.colour",
        "agents[0].reversal.window",
        "agents[0].reversal.on[1]",
        "agents[0].reversal.on[2]",
    ]


def test_it_is_part_of_the_content_and_its_hash_only_if_given() -> None:
    plain = Contract.from_content("support", read_agent("support", {"condition": []}, "")[0])
    reversible = Contract.from_content("support", read_agent("support", {"condition": [], "reversal": WEEK}, "")[0])
    assert "reversal" not in plain.content
    assert (reversible.content["reversal"], reversible.reversal_ms) == (WEEK, 604_800_000)
    assert plain.hash != reversible.hash


def test_own_terms_replace_the_whole_reversal_or_remove_it() -> None:
    base = Contract.from_content("support", read_agent("support", {"condition": [], "reversal": WEEK}, "")[0])
    for own, expected in (({"window": 1, "on": ["a"]}, {"window": 1, "on": ["a"]}), ({}, None)):
        terms, wrong = read_own_terms({"agent": "support", "reversal": own}, "")
        assert wrong == []
        assert base.with_terms(terms).reversal == expected
    _, wrong = read_own_terms({"agent": "support", "reversal": {"window": 1}}, "agents[0]")
    assert [one.path for one in wrong] == ["agents[0].reversal.on"]


def test_words() -> None:
    assert reversal_text(WEEK) == "within 7 d by ticket_reopened, refunded"


FILE = """
[[agents]]
key = "support"
condition = []
reversal = { window = 60, on = ["refunded", "note added"] }
"""


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        ("window = 60", "window = 61", ["    ~ reversal.window: 60 → 61"]),
        ('"refunded", "note added"', '"refunded"', ['    ~ reversal.on: refunded, "note added" → refunded']),
        ('reversal = { window = 60, on = ["refunded", "note added"] }', "", [
            "    - reversal.window: 60", '    - reversal.on: refunded, "note added"',
        ]),
    ],
)  # fmt: skip
def test_a_change_is_a_line_for_each_field(old: str, new: str, lines: list[str]) -> None:
    assert difference(FILE, FILE.replace(old, new)) == ['~ agent "support"', *lines]


def test_an_export_has_it_last() -> None:
    own = [{"agent": "support", "reversal": {}, "name": "n"}]
    document = to_document(catalogue(agent(reversal=WEEK, timers={"a": 1}), customer(agents=own)))
    assert list(document["agents"][0])[-3:] == ["condition", "timers", "reversal"]
    assert document["agents"][0]["reversal"] == WEEK
    assert document["customers"][0]["agents"] == own
