"""Grades (11.1) and timers (11.2): which grade an outcome gets, what it costs, and when it settles."""

from typing import Any

import pytest

from tests.support.catalogues import catalogue
from witnd.domain.catalogue.catalogue import Catalogue, CatalogueEntry
from witnd.domain.catalogue.contract import read_agent, read_own_terms
from witnd.domain.catalogue.routing import HeldReason, Terms, opening_terms
from witnd.domain.outcomes.event import Event
from witnd.domain.outcomes.explain import explanation
from witnd.domain.outcomes.outcome import Outcome

T0 = 1_700_000_000_000
HOUR = 3_600_000
FULL = {"key": "full", "name": "Confirmed by the customer", "condition": [{"fact": "thanked", "operator": "seen"}]}
ASSUMED = {"key": "assumed", "condition": [{"fact": "solved", "operator": "seen"}]}


def agent(**content: Any) -> dict[str, Any]:
    content, mistakes = read_agent("support", {"grades": [FULL, ASSUMED], **content}, "")
    assert mistakes == []
    return content


def known(entries: list[dict[str, Any]], own: list[dict[str, Any]] | None = None, **content: Any) -> Catalogue:
    customer: dict[str, Any] = {"name": "Acme", "email": None, "rate_card": "std"}
    if own is not None:
        customer["entries"] = own
    card = {"currency": "EUR", "digits": 2, "entries": entries}
    return catalogue(
        version("agent", "support", agent(**content)),
        version("rate_card", "std", card),
        version("customer", "acme", customer),
    )


def version(kind: str, key: str, content: dict[str, Any], at: int = 0) -> CatalogueEntry:
    return CatalogueEntry(kind=kind, key=key, effective_from=at, content=content)


def price(per_unit: str, **more: str) -> dict[str, Any]:
    return {"agent": "support", "kind": "flat", "price_per_unit": per_unit, **more}


def opened(found: Catalogue) -> Outcome:
    terms = opening_terms(found, action="solved", agent_key=None, customer_key="acme", at=T0)
    assert isinstance(terms, Terms), terms
    return Outcome("ticket-1", "acme", terms.contract, terms.price, T0, terms.graded)


def event(action: str, **more: Any) -> Event:
    absent = dict.fromkeys(("agent_key", "timestamp", "value", "attribution", "pin", "mark", "content"))
    return Event(**{**absent, "key": "ticket-1", "action": action, "customer_key": "acme", **more})


@pytest.mark.parametrize(
    ("actions", "grade", "amount"),
    [(["solved"], "assumed", "0.50"), (["solved", "thanked"], "full", "0.99"), (["thanked"], "full", "0.99")],
)
def test_the_first_grade_that_is_true_at_settlement_decides_the_price(
    actions: list[str], grade: str, amount: str
) -> None:
    outcome = opened(known([price("0.50"), price("0.99", grade="full")]))
    for place, action in enumerate(actions):
        outcome.apply(event(action), T0 + place, T0 + place)
    outcome.settle(outcome.settles_at)
    assert outcome.status == "CONFIRMED"
    assert outcome.contract.grade_at(outcome.grade) == grade
    assert str(outcome.price.price_per_unit) == amount


def test_an_outcome_without_a_true_grade_is_missed_and_has_none() -> None:
    outcome = opened(known([price("1")]))
    outcome.apply(event("opened"), T0, T0)
    outcome.settle(outcome.settles_at)
    assert (outcome.status, outcome.grade) == ("FAILED", None)


@pytest.mark.parametrize(
    "entries",
    [[price("1", grade="full")], [price("1", grade="other")]],
)
def test_events_are_held_while_a_grade_has_no_price(entries: list[dict[str, Any]]) -> None:
    found = opening_terms(known(entries), action="solved", agent_key=None, customer_key="acme", at=T0)
    assert found == HeldReason.NO_PRICE


def test_own_entries_replace_all_entries_of_the_card_for_the_agent() -> None:
    card = [price("1"), price("2", grade="full")]
    outcome = opened(known(card, own=[price("5")]))
    assert outcome.graded is not None
    assert [str(one.price_per_unit) for one in outcome.graded] == ["5", "5"]


def test_an_entry_without_grade_prices_an_agent_without_grades_and_one_with_a_grade_does_not() -> None:
    content, _ = read_agent("support", {"condition": []}, "")
    for entries, has_price in (([price("1")], True), ([price("1", grade="full")], False)):
        found = known(entries)
        found.add(version("agent", "support", content, at=1))
        terms = opening_terms(found, action="solved", agent_key=None, customer_key="acme", at=T0)
        assert isinstance(terms, Terms) == has_price


def test_own_conditions_and_grades_replace_whichever_the_agent_has() -> None:
    base = known([price("1")]).agents(T0)["support"]
    condition = base.with_terms({"condition": [{"fact": "x", "operator": "seen"}]})
    assert condition.grades is None
    graded = condition.with_terms({"grades": [ASSUMED]})
    assert graded.grades == (ASSUMED,)
    assert "condition" not in graded.content


def test_a_condition_and_grades_together_are_refused_with_every_other_mistake() -> None:
    raw = {
        "condition": [],
        "grades": [FULL],
        "timers": {"replied": 0, "noted": "stop", "": 5, "closed": 15_552_001, "fine": "keep"},
    }
    _, mistakes = read_agent("support", raw, "agents[0]")
    assert {one.path for one in mistakes} == {
        "agents[0].grades",
        "agents[0].timers.replied",
        "agents[0].timers.noted",
        "agents[0].timers.",
        "agents[0].timers.closed",
    }
    _, mistakes = read_agent("support", {"grades": [FULL, FULL, {"key": "x"}]}, "agents[0]")
    assert {one.path for one in mistakes} == {"agents[0].grades[1].key", "agents[0].grades[2].condition"}


def test_absent_grades_and_timers_are_not_part_of_the_content() -> None:
    content, mistakes = read_agent("support", {"condition": [], "timers": {}}, "")
    assert (mistakes, set(content)) == ([], {"name", "settlement_period", "attribution_method", "condition"})
    terms, mistakes = read_own_terms({"agent": "support", "timers": {}}, "")
    assert (mistakes, terms) == ([], {"agent": "support", "timers": {}})


@pytest.mark.parametrize(
    ("actions", "hours"),
    [
        (["replied"], 24),  # its timer
        (["solved"], 72),  # none: the settlement period
        (["replied", "noted"], 24),  # noted keeps the deadline
        (["noted"], 72),  # of the first event, which has none to keep
        (["replied", "noted", "solved"], 72),
    ],
)
def test_the_timer_of_an_action_sets_the_deadline(actions: list[str], hours: int) -> None:
    outcome = opened(known([price("1")], timers={"replied": 24 * 3600, "noted": "keep"}))
    last = 0
    for place, action in enumerate(actions):
        outcome.apply(event(action), T0 + place, T0 + place)
        last = place if action != "noted" or place == 0 else last
    assert outcome.settles_at == T0 + last + hours * HOUR


def test_a_pinned_instant_overrides_the_timer_and_keep_keeps_it() -> None:
    outcome = opened(known([price("1")], timers={"noted": "keep", "replied": 60}))
    outcome.apply(event("replied", pin=T0 + 5 * HOUR), T0, T0)
    outcome.apply(event("noted"), T0 + 1, T0 + 1)
    assert outcome.settles_at == T0 + 5 * HOUR


def test_the_explanation_names_the_grade_and_why_not_the_one_above() -> None:
    outcome = opened(known([price("1")]))
    outcome.apply(event("solved"), T0, T0)
    story = explanation(outcome, [_Item("solved")])
    assert story.grade is not None
    assert "`assumed`" in story.grade
    assert "`full` (Confirmed by the customer) is not true (not: `thanked` was seen)" in story.grade


class _Item:
    entry = (T0, 0)
    timestamp = value = attribution = pin = placed_at = None

    def __init__(self, action: str) -> None:
        self.action = action
