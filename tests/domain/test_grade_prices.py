"""Prices that do not fit the grades of their agent: refused where they are written, a warning where they are left."""

from typing import Any

import pytest

from tests.support.catalogues import agent, catalogue, customer, rate_card
from tests.support.conditions import leaf
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.catalogue.checks.grade_prices import (
    agent_grade_warnings,
    card_grade_warnings,
    customer_grade_warnings,
    grade_mistakes,
    grade_warnings,
)
from witnd.domain.catalogue.file import Item, read

SEEN = [leaf("replied", "seen")]
GRADES = [{"key": "good", "condition": SEEN}, {"key": "fair", "condition": []}]
GRADED: dict[str, Any] = {"condition": None, "grades": GRADES}


def priced(*grades: str | None, agent: str = "support") -> list[dict[str, Any]]:
    return [{"agent": agent, "price_per_unit": "1"} | ({} if one is None else {"grade": one}) for one in grades]


def stored(*, graded: bool = True, **more: Any) -> Catalogue:
    return catalogue(agent(**(GRADED if graded else {})), *more.values())


def items(known: Catalogue, **sections: Any) -> tuple[Item, ...]:
    found = read(sections, known)
    assert found.mistakes == ()
    return found.items


def card(*grades: str | None) -> dict[str, Any]:
    return {"key": "standard", "currency": "EUR", "entries": priced(*grades)}


def mistakes(known: Catalogue, **sections: Any) -> list[str]:
    return [str(one) for one in grade_mistakes(known, items(known, **sections), 1)]


def warnings(known: Catalogue, **sections: Any) -> list[str]:
    return [str(one) for one in grade_warnings(known, items(known, **sections), 1)]


@pytest.mark.parametrize("grades", [(None,), ("good", None), ("good", "fair"), ("good", "fair", None)])
def test_a_card_that_prices_every_grade_is_right(grades: tuple[str | None, ...]) -> None:
    assert mistakes(stored(), rate_cards=[card(*grades)]) == warnings(stored(), rate_cards=[card(*grades)]) == []


@pytest.mark.parametrize(
    ("graded", "grade", "words"),
    [
        (True, "god", 'agent "support" has no grade "god"; did you mean "good"?'),
        (True, "zzz", 'agent "support" has no grade "zzz"; write one of "good", "fair"'),
        (False, "good", 'agent "support" has no grades; remove grade "good", or add grades to the agent'),
    ],
)
def test_a_new_entry_for_an_unknown_grade_is_refused(graded: bool, grade: str, words: str) -> None:
    known = stored(graded=graded)
    assert mistakes(known, rate_cards=[card(None, grade)]) == [f"rate_cards[0].entries[1].grade: {words}"]
    # The path names the place in the file, not that of the sorted entries.
    assert mistakes(known, rate_cards=[card(grade, None)]) == [f"rate_cards[0].entries[0].grade: {words}"]


def test_all_unknown_grades_are_reported_together() -> None:
    own = {"key": "acme", "rate_card": "standard", "entries": priced("x")}
    found = mistakes(stored(), rate_cards=[card("y", None, "z")], customers=[own])
    assert [one.partition(": ")[0] for one in found] == [
        "customers[0].entries[0].grade",
        "rate_cards[0].entries[0].grade",
        "rate_cards[0].entries[2].grade",
    ]


def test_grades_of_the_same_change_count() -> None:
    new = {"key": "support", "grades": [{"key": "best", "condition": []}]}
    assert mistakes(stored(), agents=[new], rate_cards=[card("best")]) == []
    assert len(mistakes(stored(), agents=[new], rate_cards=[card("good")])) == 1
    assert mistakes(catalogue(), rate_cards=[card("best")]) == []  # the unknown agent is a mistake of its own


def test_own_entries_may_name_grades_of_the_agent_and_of_own_terms() -> None:
    own = {"agent": "support", "grades": [{"key": "own", "condition": []}]}
    acme = {"key": "acme", "rate_card": "standard", "agents": [own]}
    assert mistakes(stored(), customers=[acme | {"entries": priced("own", "good")}]) == []
    assert len(mistakes(stored(), customers=[acme | {"entries": priced("other")}])) == 1
    assert len(mistakes(stored(), rate_cards=[card("own")])) == 1  # those of one customer are no grades of the agent


def test_an_entry_that_was_left_behind_is_a_warning_until_it_changes() -> None:
    old = rate_card(entries=priced("good", "old", None))
    known = catalogue(agent(**GRADED), old)
    same = card("good", "old", None)
    assert mistakes(known, rate_cards=[same]) == []
    assert warnings(known, rate_cards=[same]) == [
        'rate_cards[0].entries[1].grade: agent "support" has no grade "old"; write one of "good", "fair"'
    ]
    same["entries"][1]["price_per_unit"] = "2"
    assert len(mistakes(known, rate_cards=[same])) == 1


@pytest.mark.parametrize(
    ("graded", "grades", "words"),
    [
        (True, ("good",), 'agent "support" has no price for grade "fair", so its events are held'),
        (False, ("good",), 'agent "support" has no grades, and all its prices name one, so its events are held'),
    ],
)
def test_a_grade_without_a_price_is_a_warning(graded: bool, grades: tuple[str, ...], words: str) -> None:
    known = catalogue(agent(**(GRADED if graded else {})), rate_card(entries=priced(*grades)))
    (found,) = [one for one in warnings(known, rate_cards=[card(*grades)]) if one.startswith("rate_cards[0].entries: ")]
    assert words in found
    content = known.versions("rate_card", "standard")[0].content
    assert any(words in one for one in card_grade_warnings(known, content, 1))


def test_a_customer_is_compared_with_its_own_terms() -> None:
    known = catalogue(agent(**GRADED), rate_card(entries=priced("good", "fair")))
    plain = {"key": "acme", "rate_card": "standard", "agents": [{"agent": "support", "condition": []}]}
    (found,) = warnings(known, customers=[plain])
    assert found.startswith('customers[0].agents: agent "support" has no grades, and all its prices name one')
    own = plain | {"entries": priced("good")}
    assert warnings(known, customers=[own])[0].startswith("customers[0].entries: ")
    assert warnings(known, customers=[plain | {"entries": priced(None)}]) == []
    content = items(known, customers=[plain])[0].content
    assert len(customer_grade_warnings(known, content, 1)) == 1


def test_a_change_of_grades_warns_of_every_card_and_customer_it_leaves_without_a_price() -> None:
    known = catalogue(
        agent(**GRADED), rate_card(entries=priced("good", "fair")), customer(entries=priced("good", "fair"))
    )
    more = {"key": "support", "grades": [*GRADES, {"key": "poor", "condition": []}]}
    problem = 'agent "support" has no price for grade "poor", so its events are held; add the missing entries'
    assert warnings(known, agents=[more]) == [
        f'agents[0].grades: rate card "standard": {problem}',
        f'agents[0].grades: customer "acme": {problem}',
    ]
    assert warnings(known, agents=[{"key": "support", "grades": GRADES, "name": "n"}]) == []
    fewer = {"key": "support", "grades": GRADES[:1]}
    assert 'has no grade "fair"' in warnings(known, agents=[fewer])[0]
    assert agent_grade_warnings(known, "support", 1) == []
