"""The story of an outcome says what happened, what flipped, and why it became what it is."""

from decimal import Decimal

import pytest

from tests.domain.test_recount import Item, contract, recorded_run
from tests.support.conditions import leaf
from witnd.domain.outcomes.explain import Reasoning, event_values_text, explanation
from witnd.domain.values.duration import duration_text

ENDED = (
    "Missed, because event 1001-0 ended the condition (`reopened`; no longer true: `reopened` was not seen), "
    "it did not hold again, and after event 1002-0 nothing came until it was due at 1970-01-01T00:00:11.002Z."
)
NOT_REOPENED = [leaf("replied", "seen"), leaf("reopened", "not seen")]


def told(history: list[Item], *, settled: bool = False, **terms: object) -> Reasoning:
    made = contract(NOT_REOPENED, **terms)
    return explanation(recorded_run(made, history, settled=settled), history)


def test_every_event_shows_each_leaf_after_it_and_what_it_flipped() -> None:
    said = told([Item((1000, 0), "replied"), Item((2000, 0), "reopened"), Item((3000, 0), "noted")])
    leaves = [[(leaf_.holds, leaf_.flipped) for leaf_ in event.leaves] for event in said.events]
    assert leaves == [
        [(True, True), (True, False)],
        [(True, False), (False, True)],
        [(True, False), (False, False)],
    ]
    assert [event.holds for event in said.events] == [True, False, False]
    assert [event.status for event in said.events] == ["PENDING"] * 3
    assert said.events[0].leaves[0].path == "condition[0]"
    assert said.condition == "`replied` was seen and `reopened` was not seen"


def test_every_event_says_when_the_outcome_was_due_after_it() -> None:
    history = [Item((1000, 0)), Item((2000, 0), pin=60_000), Item((3000, 0), pin=5), Item((3000, 1))]
    said = told(history)
    assert [event.settles_at for event in said.events] == [
        "1970-01-01T00:00:11.000Z",
        "1970-01-01T00:01:00.000Z",
        "1970-01-01T00:00:03.000Z",
        "1970-01-01T00:00:13.000Z",
    ]
    assert "Due 10 s later." in said.events[0].words
    assert "Due at the instant the event pinned." in said.events[1].words
    assert "Pinned to an instant that had passed: due at once." in said.events[2].words


@pytest.mark.parametrize(
    ("actions", "settled", "why"),
    [
        (["asked"], False, "Open, because the condition does not hold yet (not true: `replied` was seen)."),
        (["replied"], False, "Pending, because the condition holds since event 1000-0 (`replied`; now true: "),
        (["replied", "reopened"], False, "Pending, because the condition has held, and holds no longer since event"),
        (["replied", "noted"], True, "Confirmed, because the condition held since event 1000-0 (`replied`; "),
        (["asked"], True, "Missed, because the condition never held (not true: `replied` was seen), and"),
        (["replied", "reopened", "noted"], True, "Missed, because event 1001-0 ended the condition (`reopened`; no "),
        (["replied", "reopened", "noted"], True, ENDED),
        (["reopened", "replied"], True, "Missed, because the condition never held (not true: `reopened` was"),
    ],
)  # fmt: skip
def test_why_is_said_in_a_sentence(actions: list[str], settled: bool, why: str) -> None:
    history = [Item((1000 + n, 0), action) for n, action in enumerate(actions)]
    said = told(history, settled=settled).why
    assert said.startswith(why), said
    assert said.endswith(".")


def test_a_condition_that_came_and_went_turned_last_with_the_event_that_ended_it() -> None:
    terms = contract([leaf("rated", "gte", 4)])
    history = [Item((1000 + n, 0), "rated", value=value) for n, value in enumerate([5.0, 1.0, 4.0, 2.0, 3.0])]
    said = explanation(recorded_run(terms, history, settled=True), history)
    assert "event 1003-0 ended the condition" in said.why
    assert "holds again" in said.events[2].words
    assert "the latest value of `rated` is at least 4" in said.events[0].leaves[0].words


def test_a_combination_that_fails_without_a_false_leaf_is_said_to() -> None:
    terms = contract([{"op": "NOT", "condition": leaf("replied", "seen")}])
    history = [Item((1000, 0), "replied")]
    said = explanation(recorded_run(terms, history, settled=True), history)
    assert "every check is true, but not their combination" in said.why


def test_a_condition_without_checks_holds_from_the_first_event_on() -> None:
    history = [Item((1000, 0), "anything")]
    said = explanation(recorded_run(contract([]), history, settled=True), history)
    assert said.condition == "always"
    assert said.why.startswith("Confirmed, because the condition held since event 1000-0 (`anything`)")


@pytest.mark.parametrize(
    ("method", "quantities", "words"),
    [
        ("sum", [], "1: no event carried an attribution"),
        ("sum", ["2.50", "0.5"], "3: the sum attribution of 2 events"),
        ("last", ["2"], "2: the last attribution of 1 event"),
        ("min", ["2", "-3"], "0: the min attribution of 2 events, raised to 0"),
    ],
)
def test_the_unit_is_explained(method: str, quantities: list[str], words: str) -> None:
    history = [Item((999, 0))] + [Item((1000 + n, 0), attribution=Decimal(one)) for n, one in enumerate(quantities)]
    assert told(history, attribution_method=method).unit == words


def test_placed_events_and_what_they_carried_are_told() -> None:
    item = Item((1000, 0), value="no\x1b", timestamp=7, pin=90_000, attribution=Decimal("1.50"), placed_at=5000)
    [event] = told([item]).events
    assert event.words.startswith("Was held, and placed at 1970-01-01T00:00:05.000Z.")
    assert event_values_text(event) == (
        'value "no\\u001b", attribution 1.5, settles_at 1970-01-01T00:01:30.000Z, timestamp 1970-01-01T00:00:00.007Z'
    )


def test_a_history_that_is_gone_is_said_to_be() -> None:
    outcome = recorded_run(contract(), [Item((1000, 0))], settled=True)
    assert explanation(outcome, []).why == "Confirmed; its history is not kept any more."


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(1, "1 s"), (60, "1 min"), (259_200, "3 d"), (93_784, "1 d 2 h 3 min 4 s"), (0, "0 s")],
)
def test_durations_are_spelled_in_their_units(seconds: int, words: str) -> None:
    assert duration_text(seconds) == words


def test_a_check_that_several_grades_share_is_named_once() -> None:
    shared = leaf("replied", "seen")
    made = contract([], grades=[
        {"key": "good", "condition": [shared, leaf("csat", "gte", 4)]},
        {"key": "plain", "condition": [shared]},
    ])  # fmt: skip
    history = [Item((1000, 0), "replied")]
    said = explanation(recorded_run(made, history, settled=False), history)
    assert said.events[0].words.count("`replied` was seen") == 1
    assert said.why.count("`replied` was seen") == 1
