"""The public contract's ready vectors (section 10.1), through a real daemon over HTTP and nothing else.

An outcome is settled by an event that carries a `settles_at` in the past: it counts, and the outcome settles behind it.
"""

import json
import time
from typing import Any

import pytest

from tests.support.processes import until
from tests.web.api_server import Answer, ApiServer
from witnd.domain.values import instant

KEY = "support:ticket:1001"
SUPPORT = [
    {"fact": "agent_replied", "operator": "seen"},
    {"fact": "escalated", "operator": "not seen"},
    {"fact": "reopened", "operator": "not seen"},
    {"fact": "csat", "operator": "not lte", "value": 3},
]
NOW = "1970-01-01T00:00:00Z"
PENDING_CONFIRMED = ("PENDING", "CONFIRMED")
PENDING_FAILED = ("PENDING", "FAILED")
OPEN = ("OPEN", None)


class Desk:
    """What a client of the API does."""

    def __init__(self, api: ApiServer) -> None:
        self.api = api

    def set_up(
        self, condition: Any = SUPPORT, *, method: str = "last", card: str | None = "std", price: str | None = "10"
    ) -> None:
        agent = {"key": "support", "condition": condition, "attribution_method": method}
        self.changed("POST", "/v1/agents", agent, 201)
        entries = [] if price is None else [{"agent": "support", "price_per_unit": price}]
        self.changed("POST", "/v1/rate-cards", {"key": "std", "currency": "EUR", "entries": entries}, 201)
        self.changed("POST", "/v1/customers", {"key": "acme", "rate_card": card}, 201)

    def changed(self, method: str, path: str, body: Any, status: int = 200) -> None:
        """Change the catalogue, and wait until the change is in force."""
        answer = self.api.ask(method, path, body)
        assert answer.status == status, answer.body
        at = instant.parse(answer.json["effective_from"])
        until(lambda: time.time() * 1000 > at, "the change is in force")

    def send(self, event: str | dict[str, Any], *, key: str = KEY, settles: bool = False) -> Answer:
        members = {"action": event} if isinstance(event, str) else dict(event)
        if settles:
            members["properties"] = members.get("properties", {}) | {"settles_at": NOW}
        return self.api.ask("POST", "/v1/events", {"key": key, "customer_key": "acme"} | members, scope="ingest")

    def fate(self, sent: Answer) -> tuple[str, str | None]:
        """What became of an event, as soon as it was read."""
        assert sent.status == 202, sent.body
        path = f"/v1/events/{sent.json['partition']}/{sent.json['id']}"
        until(lambda: self.api.get(path, scope="read")["fate"] != "waiting", "the event is read")
        found = self.api.get(path, scope="read")
        return found["fate"], found["reason"]

    def outcome(self, key: str = KEY) -> Any:
        return self.api.get(f"/v1/outcomes/{key}", scope="read")["outcome"]

    def state(self, key: str = KEY) -> tuple[str, str | None]:
        outcome = self.outcome(key)
        return outcome["status"], outcome["scheduled_resolution"]

    def settled(self, key: str = KEY) -> str:
        def is_settled() -> bool:
            answer = self.api.ask("GET", f"/v1/outcomes/{key}", scope="read")
            return answer.status == 200 and answer.json["outcome"]["status"] in ("CONFIRMED", "FAILED")

        until(is_settled, "it is settled")
        status = self.outcome(key)["status"]
        assert isinstance(status, str)
        return status

    def billed(self, expected: dict[str, str]) -> None:
        """Whether exactly these outcomes are charged. Lines are collected a moment after they are made."""

        def lines() -> list[tuple[str, str]]:
            found = self.api.pages("/v1/invoice-lines?customer_key=acme")
            return sorted((line["outcome_key"], line["amount"]) for line in found)

        until(lambda: len(lines()) >= len(expected), "the lines are collected")
        assert lines() == sorted(expected.items())


@pytest.fixture
def desk(api: ApiServer) -> Desk:
    return Desk(api)


def csat(value: Any) -> dict[str, Any]:
    return {"action": "csat", "properties": {"value": value}}


def attributed(value: Any, action: str = "agent_replied") -> dict[str, Any]:
    return {"action": action, "properties": {"attribution": value}}


@pytest.mark.parametrize(
    ("events", "states", "final"),
    [
        pytest.param(["agent_replied"], [PENDING_CONFIRMED], "CONFIRMED", id="1"),
        pytest.param(["agent_replied", "reopened"], [PENDING_CONFIRMED, PENDING_FAILED], "FAILED", id="2"),
        pytest.param(["ticket_created"], [OPEN], "FAILED", id="3"),
        pytest.param(
            ["agent_replied", csat(2), csat(5)],
            [PENDING_CONFIRMED, PENDING_FAILED, PENDING_CONFIRMED],
            "CONFIRMED",
            id="4",
        ),
        pytest.param(
            ["agent_replied", csat(5), csat(3)],
            [PENDING_CONFIRMED, PENDING_CONFIRMED, PENDING_FAILED],
            "FAILED",
            id="5",
        ),
        pytest.param(["reopened", "agent_replied"], [OPEN, OPEN], "FAILED", id="6"),
    ],
)
def test_states_after_each_event_and_at_expiry(
    desk: Desk, events: list[Any], states: list[tuple[str, str | None]], final: str
) -> None:
    desk.set_up()
    for event, expected in zip(events, states, strict=True):
        assert desk.fate(desk.send(event)) == ("applied", None)
        assert desk.state() == expected
    other = "support:ticket:1002"
    for number, event in enumerate(events):
        assert desk.fate(desk.send(event, key=other, settles=number == len(events) - 1)) == ("applied", None)
    assert desk.settled(other) == final
    desk.billed({other: "10.00"} if final == "CONFIRMED" else {})
    assert desk.state() == states[-1], "the other one goes on waiting"


def test_7_the_same_idempotency_key_twice_counts_once(desk: Desk) -> None:
    desk.set_up([{"fact": "agent_replied", "operator": "count_eq", "value": 1}])
    event = {"action": "agent_replied", "idempotency_key": "a"}
    assert desk.fate(desk.send(event)) == ("applied", None)
    assert desk.fate(desk.send(event)) == ("duplicate", None)
    assert desk.fate(desk.send(event | {"action": "other"})) == ("conflict", None)
    assert desk.outcome()["events_count"] == 1
    desk.send("done", settles=True)
    assert desk.settled() == "CONFIRMED"
    desk.billed({KEY: "10.00"})


@pytest.mark.parametrize(
    ("method", "amount"),
    [("first", "20.00"), ("last", "30.00"), ("min", "20.00"), ("max", "50.00"), ("sum", "100.00")],
)
def test_8_attribution_methods(desk: Desk, method: str, amount: str) -> None:
    desk.set_up(method=method)
    desk.send(attributed(2))
    desk.send(attributed(5, "note"))
    desk.send(attributed(3), settles=True)
    assert desk.settled() == "CONFIRMED"
    desk.billed({KEY: amount})


def test_9_an_attribution_that_is_no_number_is_accepted_and_ignored(desk: Desk) -> None:
    desk.set_up()
    assert desk.fate(desk.send(attributed("x"))) == ("applied", None)
    desk.send("agent_replied", settles=True)
    assert desk.settled() == "CONFIRMED"
    desk.billed({KEY: "10.00"})
    assert desk.outcome()["unit"] == "1"


def test_10_an_event_after_confirmation_is_taken_and_changes_nothing(desk: Desk) -> None:
    desk.set_up()
    desk.send("agent_replied", settles=True)
    assert desk.settled() == "CONFIRMED"
    before = desk.outcome()
    late = desk.send("reopened")
    assert late.status == 202
    assert desk.fate(late) == ("late", "OUTCOME_NOT_OPEN")
    assert desk.outcome() == before
    desk.billed({KEY: "10.00"})


def test_11_the_empty_condition_is_true_after_any_event(desk: Desk) -> None:
    desk.set_up([])
    assert desk.fate(desk.send("whatever")) == ("applied", None)
    assert desk.state() == PENDING_CONFIRMED
    desk.send("whatever", settles=True)
    assert desk.settled() == "CONFIRMED"
    desk.billed({KEY: "10.00"})


def test_12_a_price_edited_after_opening_is_for_new_outcomes(desk: Desk) -> None:
    desk.set_up()
    desk.fate(desk.send("agent_replied"))
    desk.changed("PATCH", "/v1/rate-cards/std", {"entries": [{"agent": "support", "price_per_unit": "12"}]})
    new = "support:ticket:1002"
    for key in (KEY, new):
        desk.send("agent_replied", key=key, settles=True)
        assert desk.settled(key) == "CONFIRMED"
    desk.billed({KEY: "10.00", new: "12.00"})


def test_13_a_condition_edited_after_opening_is_for_new_outcomes(desk: Desk) -> None:
    desk.set_up()
    desk.fate(desk.send("ticket_created"))
    desk.changed("PATCH", "/v1/agents/support", {"condition": [{"fact": "never", "operator": "seen"}]})
    new = "support:ticket:1002"
    desk.send("agent_replied", settles=True)
    desk.send("agent_replied", key=new, settles=True)
    assert (desk.settled(), desk.settled(new)) == ("CONFIRMED", "FAILED")
    desk.billed({KEY: "10.00"})


def test_14_a_pinned_instant_is_the_close_time(desk: Desk) -> None:
    desk.set_up()
    pin = int(time.time() * 1000) + 1000
    event = {"action": "agent_replied", "properties": {"settles_at": instant.render(pin)}}
    assert desk.fate(desk.send(event)) == ("applied", None)
    assert desk.outcome()["settles_at"] == instant.render(pin)
    assert desk.settled() == "CONFIRMED"
    outcome = desk.outcome()
    assert outcome["settles_at"] == instant.render(pin)
    assert pin <= instant.parse(outcome["processed_at"])


@pytest.mark.parametrize(
    ("card", "price", "reason"), [(None, "10", "NO_RATE_CARD"), ("std", None, "NO_PRICE")], ids=["no card", "no price"]
)
def test_15_without_card_or_price_the_event_is_taken_and_opens_nothing(
    desk: Desk, card: str | None, price: str | None, reason: str
) -> None:
    desk.set_up(card=card, price=price)
    sent = desk.send("agent_replied", settles=True)
    assert sent.status == 202
    assert desk.fate(sent) == ("held", reason)
    assert desk.outcome() is None
    desk.billed({})


@pytest.mark.parametrize(("length", "status"), [(7, 400), (8, 202), (255, 202), (256, 400)])
@pytest.mark.parametrize("letter", ["k", "é", "\U0001f600"])
def test_16_lengths_of_keys(desk: Desk, length: int, status: int, letter: str) -> None:
    answer = desk.send("agent_replied", key=letter * length)
    assert answer.status == status
    if status == 400:
        assert [one["path"] for one in answer.error["details"]] == ["key"]


@pytest.mark.parametrize(("size", "status"), [(262_144, 202), (262_145, 413)])
def test_17_sizes_of_events(desk: Desk, size: int, status: int) -> None:
    event = {"key": KEY, "action": "agent_replied", "customer_key": "acme", "properties": {"note": ""}}
    event["properties"] = {"note": "x" * (size - len(json.dumps(event)))}
    body = json.dumps(event).encode()
    assert len(body) == size
    assert desk.api.ask("POST", "/v1/events", body, scope="ingest").status == status


def test_18_who_has_no_good_token_is_told_so(desk: Desk) -> None:
    api = desk.api
    made = api.ask("POST", "/v1/tokens", {"name": "old", "scopes": ["ingest"]})
    assert made.status == 201
    old = made.json["token"]
    event = {"key": KEY, "action": "agent_replied", "customer_key": "acme"}
    assert api.ask("POST", "/v1/events", event, token=old).status == 202
    assert api.ask("DELETE", f"/v1/tokens/{made.json['id']}").status == 200
    for headers in ({}, {"Authorization": "Basic x"}, {"Authorization": "garbage"}, {"Authorization": f"Bearer {old}"}):
        answer = api.ask("POST", "/v1/events", event, scope=None, headers=headers)
        assert (answer.status, answer.error["code"]) == (401, "TOKEN_INVALID"), headers
        assert answer.headers["www-authenticate"] == "Bearer"
