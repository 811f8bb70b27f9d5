"""A step is bounded by what it makes, and what it makes does not depend on where it was cut."""

from typing import Any

from tests.engine.model import KEYS, WHOLE, Drive, catalogue_of
from tests.oracle.oracle import Change, Entry
from witnd.domain.webhooks.notification import new_deliveries, new_delivery
from witnd.fold.step import Step

START = 1_789_000_000_000
PERIOD_MS = 60_000
SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
SOLD = [
    Change("agent", "support", 0, False, {"condition": [], "settlement_period": 60}),
    Change(
        "rate_card", "standard", 0, False, {"currency": "EUR", "entries": [{"agent": "support", "price_per_unit": "1"}]}
    ),
]
CUSTOMER = Change("customer", "acme", 0, False, {"rate_card": "standard"})


def rule(number: int, **changes: Any) -> Change:
    content = {"source": "both", "agent": None, "url": f"https://example.com/{number}", "secret": SECRET}
    return Change("notification_rule", f"rule-{number:03}", 0, False, {**content, "enabled": True, **changes})


def event(number: int, ms: int, key: str = "") -> Entry:
    return ms, 0, {b"key": (key or f"outcome-{number}").encode(), b"customer_key": b"acme", b"action": b"opened"}


class Steps(Drive):
    """Keeps every step."""

    def start(self, *where: Any) -> None:
        super().start(*where)
        self.steps: list[Step] = []
        whole = self.partition.fold

        def folded(*args: Any) -> tuple[Step, int]:
            step, reached = whole(*args)
            self.steps.append(step)
            return step, reached

        self.partition.fold = folded  # type: ignore[method-assign]


def settled(rules: int, outcomes: int, most: int) -> Steps:
    run = Steps([*SOLD, CUSTOMER, *map(rule, range(rules))], 0, 1, 1000)
    run.partition._deliver_max = most
    run.partition.deadlines.horizon = START + 10 * PERIOD_MS
    run.take([event(number, START) for number in range(1, outcomes + 1)], 1, WHOLE)
    run.take([(START + PERIOD_MS, 0, {b"witnd": b"tick"})], 2, WHOLE)
    return run


def test_a_step_makes_no_more_deliveries_than_its_bound_and_those_of_one_outcome() -> None:
    cut = settled(30, 20, 100)
    made = [step.deliveries for step in cut.steps if step.settled]
    assert sum(made) == 30 * 20
    assert max(made) < 100 + 30
    assert len(made) == 5, "as many as the bound allows, not one for each outcome"
    whole = settled(30, 20, 10_000)
    assert len([step for step in whole.steps if step.settled]) == 1
    assert cut.model.data[KEYS.deliveries] == whole.model.data[KEYS.deliveries]
    assert cut.model.data[KEYS.state]["cursor"] == whole.model.data[KEYS.state]["cursor"]
    assert list(cut.model.data[KEYS.resolutions]) == list(whole.model.data[KEYS.resolutions])


def test_a_step_places_no_more_held_events_than_its_bound_and_those_of_one_key() -> None:
    late = Change("customer", "acme", START + 1000, False, {"rate_card": "standard"})
    run = Steps([*SOLD, late], 0, 1, 1000)
    run.partition._place_max = 25
    run.partition.deadlines.horizon = START + 10 * PERIOD_MS
    keys = [f"outcome-{number}" for number in range(12)]
    run.take([event(0, START + n, key) for n in range(10) for key in keys], 1, WHOLE)
    assert run.partition.counters["held"] == 120
    run.steps.clear()
    run.take(
        [(START + 2000 + n, 0, {b"witnd": b"retry", b"key": key.encode()}) for n, key in enumerate(keys)], 2, WHOLE
    )
    placed = [len(step.unfated) for step in run.steps]
    assert sum(placed) == 120
    assert max(placed) == 30
    assert run.partition.counters["applied"] == 120


def test_the_message_of_each_rule_is_the_one_that_it_would_get_alone() -> None:
    catalogue = catalogue_of([*SOLD, CUSTOMER, *map(rule, range(3))])
    about: Any = {
        "outcome_key": 'ticket-"0001"',
        "customer_key": "ac\u00e9me\x00",
        "agent_key": "support",
        "agent_name": "Support \u2603",
        "status": "CONFIRMED",
        "resolved_at": START,
        "outcome_facts": {"unit": "1", "amount": "1.00", "currency": "EUR", "line_id": "ab"},
    }
    rules = catalogue.rules(START)
    assert new_deliveries(rules, **about) == tuple(new_delivery(one, **about) for one in rules)


def test_the_rules_that_want_a_final_state_are_those_that_say_so_one_by_one() -> None:
    rules = [
        rule(1),
        rule(2, source="outcome_missed"),
        rule(3, source="outcome_confirmed"),
        rule(4, agent="support"),
        rule(5, agent="other"),
        rule(6, enabled=False),
        Change("notification_rule", "rule-001", START, True, rule(1).content),
        Change("notification_rule", "rule-007", START, False, rule(7).content),
    ]
    catalogue = catalogue_of([*SOLD, *rules])
    for at in (0, START - 1, START, START + 1, 0):
        for agent in ("support", "other", "third"):
            for kind in ("outcome_succeed", "outcome_failed"):
                found = catalogue.rules_for(agent, kind, at)
                assert found == tuple(one for one in catalogue.rules(at) if one.wants(agent, kind))
