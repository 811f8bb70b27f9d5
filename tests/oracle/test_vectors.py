"""The public contract's ready vectors (section 10.1), all but 18 and the HTTP codes."""

import json
from decimal import Decimal
from typing import Any

import pytest

from tests.oracle.conftest import Runner
from tests.oracle.oracle import Change, Entry, World

T0 = 1_700_000_000_000
MINUTE = 60_000
HOUR = 60 * MINUTE
KEY = "support:ticket:1001"

SUPPORT = [
    {"fact": "agent_replied", "operator": "seen"},
    {"fact": "escalated", "operator": "not seen"},
    {"fact": "reopened", "operator": "not seen"},
    {"fact": "csat", "operator": "not lte", "value": 3},
]
PENDING_CONFIRMED = ("PENDING", "CONFIRMED")
PENDING_FAILED = ("PENDING", "FAILED")
OPEN = ("OPEN", None)


def agent(condition: Any = SUPPORT, *, method: str = "last", at: int = 0) -> Change:
    content = {
        "name": "Support",
        "settlement_period": 72 * 3600,
        "attribution_method": method,
        "condition": condition,
    }
    return Change("agent", "support", at, False, content)


def card(price: str | None = "10", *, at: int = 0) -> Change:
    entries = [] if price is None else [{"agent": "support", "price_per_unit": price}]
    return Change("rate_card", "std", at, False, {"currency": "EUR", "entries": entries})


def customer(rate_card: str | None = "std") -> Change:
    content = {"name": "Acme", "email": None, "rate_card": rate_card}
    return Change("customer", "acme", 0, False, content)


CATALOGUE = [agent(), card(), customer()]


def log(*events: str | dict[str, Any], key: str = KEY, start: int = T0) -> list[Entry]:
    """One event a minute; a string is an action, a dictionary holds more members."""
    entries: list[Entry] = []
    for number, event in enumerate(events):
        members = {"action": event} if isinstance(event, str) else event
        body = {"key": key, "customer_key": "acme", **members}
        entries.append((start + number * MINUTE, 0, {b"data": json.dumps(body).encode()}))
    return entries


def tick(after: list[Entry], wait: int = 73 * HOUR) -> list[Entry]:
    """The log, and a tick long enough after it for everything to be settled."""
    return [*after, (after[-1][0] + wait, 0, {b"witnd": b"tick"})]


def csat(value: Any) -> dict[str, Any]:
    return {"action": "csat", "properties": {"value": value}}


def attributed(value: Any, action: str = "agent_replied") -> dict[str, Any]:
    return {"action": action, "properties": {"attribution": value}}


def state(world: World, key: str = KEY) -> tuple[str, str | None]:
    outcome = world.outcomes[key]
    return outcome.status, outcome.scheduled_resolution


def billed(world: World) -> list[str]:
    return [line["amount"] for line in world.lines]


@pytest.mark.parametrize(
    ("events", "states", "final", "amounts"),
    [
        pytest.param(["agent_replied"], [PENDING_CONFIRMED], "CONFIRMED", ["10.00"], id="1"),
        pytest.param(
            ["agent_replied", "reopened"],
            [PENDING_CONFIRMED, PENDING_FAILED],
            "FAILED",
            [],
            id="2",
        ),
        pytest.param(["ticket_created"], [OPEN], "FAILED", [], id="3"),
        pytest.param(
            ["agent_replied", csat(2), csat(5)],
            [PENDING_CONFIRMED, PENDING_FAILED, PENDING_CONFIRMED],
            "CONFIRMED",
            ["10.00"],
            id="4",
        ),
        pytest.param(
            ["agent_replied", csat(5), csat(3)],
            [PENDING_CONFIRMED, PENDING_CONFIRMED, PENDING_FAILED],
            "FAILED",
            [],
            id="5",
        ),
        pytest.param(["reopened", "agent_replied"], [OPEN, OPEN], "FAILED", [], id="6"),
    ],
)
def test_states_after_each_event_and_at_expiry(
    runner: Runner,
    events: list[Any],
    states: list[tuple[str, str | None]],
    final: str,
    amounts: list[str],
) -> None:
    entries = log(*events)
    for number, expected in enumerate(states, 1):
        assert state(runner(entries[:number], CATALOGUE)) == expected
    world = runner(tick(entries), CATALOGUE)
    assert world.outcomes[KEY].status == final
    assert [one["status"] for one in world.resolutions] == [final]
    assert billed(world) == amounts


def test_7_the_same_idempotency_key_twice_counts_once(runner: Runner) -> None:
    once = [{"fact": "agent_replied", "operator": "count_eq", "value": 1}]
    event = {"action": "agent_replied", "idempotency_key": "a"}
    world = runner(tick(log(event, event)), [agent(once), card(), customer()])
    assert list(world.fates.values()) == [("applied", None), ("duplicate", None)]
    assert world.outcomes[KEY].events_count == 1
    assert billed(world) == ["10.00"]


@pytest.mark.parametrize(
    ("method", "amount"),
    [
        ("first", "20.00"),
        ("last", "30.00"),
        ("min", "20.00"),
        ("max", "50.00"),
        ("sum", "100.00"),
    ],
)
def test_8_attribution_methods(runner: Runner, method: str, amount: str) -> None:
    entries = log(attributed(2), attributed(5, "note"), attributed(3))
    world = runner(tick(entries), [agent(method=method), card(), customer()])
    assert billed(world) == [amount]


def test_9_an_attribution_that_is_no_number_is_ignored(runner: Runner) -> None:
    world = runner(tick(log(attributed("x"), "agent_replied")), CATALOGUE)
    assert billed(world) == ["10.00"]
    assert Decimal(world.lines[0]["unit"]) == 1


def test_10_an_event_after_confirmation_is_late_and_changes_nothing(runner: Runner) -> None:
    entries = tick(log("agent_replied"))
    before = runner(entries, CATALOGUE)
    late = log("reopened", start=entries[-1][0] + MINUTE)
    world = runner([*entries, *late, *tick(late)[1:]], CATALOGUE)
    assert world.fates[f"{late[0][0]}-0"] == ("late", "OUTCOME_NOT_OPEN")
    assert world.outcomes == before.outcomes
    assert world.resolutions == before.resolutions
    assert billed(world) == ["10.00"]


def test_11_the_empty_condition_is_true_after_any_event(runner: Runner) -> None:
    catalogue = [agent([]), card(), customer()]
    assert state(runner(log("whatever"), catalogue)) == PENDING_CONFIRMED
    assert billed(runner(tick(log("whatever")), catalogue)) == ["10.00"]


def test_12_a_price_edited_after_opening_is_for_new_outcomes(runner: Runner) -> None:
    old = log("agent_replied", "agent_replied")
    new = log("agent_replied", key="support:ticket:1002", start=T0 + HOUR)
    world = runner(tick([*old, *new]), [*CATALOGUE, card("12", at=T0 + 1)])
    amounts = {line["outcome_key"]: line["amount"] for line in world.lines}
    assert amounts == {KEY: "10.00", "support:ticket:1002": "12.00"}


def test_13_a_condition_edited_after_opening_is_for_new_outcomes(runner: Runner) -> None:
    never = [{"fact": "never", "operator": "seen"}]
    old = log("ticket_created", "agent_replied")
    new = log("agent_replied", key="support:ticket:1002", start=T0 + HOUR)
    world = runner(tick([*old, *new]), [*CATALOGUE, agent(never, at=T0 + 1)])
    finals = {key: outcome.status for key, outcome in world.outcomes.items()}
    assert finals == {KEY: "CONFIRMED", "support:ticket:1002": "FAILED"}


def test_14_a_pinned_instant_is_the_close_time(runner: Runner) -> None:
    pin = T0 + 600_000  # 2023-11-14T22:23:20Z
    event = {"action": "agent_replied", "properties": {"settles_at": "2023-11-14T22:23:20Z"}}
    entries = log(event)
    assert runner(entries, CATALOGUE).outcomes[KEY].settles_at == pin
    early = runner([*entries, (pin - 1, 0, {b"witnd": b"tick"})], CATALOGUE)
    assert early.outcomes[KEY].status == "PENDING"
    world = runner([*entries, (pin, 0, {b"witnd": b"tick"})], CATALOGUE)
    assert world.outcomes[KEY].status == "CONFIRMED"
    assert world.resolutions[0]["settles_at"] == "2023-11-14T22:23:20.000Z"


@pytest.mark.parametrize(
    ("catalogue", "reason"),
    [
        ([agent(), card(), customer(None)], "NO_RATE_CARD"),
        ([agent(), card(None), customer()], "NO_PRICE"),
    ],
)
def test_15_without_card_or_price_the_event_is_held(runner: Runner, catalogue: list[Change], reason: str) -> None:
    world = runner(tick(log("agent_replied")), catalogue)
    assert world.fates == {f"{T0}-0": ("held", reason)}
    assert world.held == {KEY: [f"{T0}-0"]}
    assert world.outcomes == {}
    assert billed(world) == []


@pytest.mark.parametrize(
    ("length", "fate"),
    [
        (7, ("rejected", "INVALID_EVENT")),
        (8, ("applied", None)),
        (255, ("applied", None)),
        (256, ("rejected", "INVALID_EVENT")),
    ],
)
@pytest.mark.parametrize("letter", ["k", "é", "\U0001f600"])
def test_16_lengths_of_keys(runner: Runner, length: int, fate: tuple[str, str | None], letter: str) -> None:
    world = runner(log("agent_replied", key=letter * length), CATALOGUE)
    assert world.fates == {f"{T0}-0": fate}


@pytest.mark.parametrize(
    ("size", "fate"),
    [(262_144, ("applied", None)), (262_145, ("rejected", "INVALID_EVENT"))],
)
@pytest.mark.parametrize("form", ["json", "flat"])
def test_17_sizes_of_events(runner: Runner, size: int, fate: tuple[str, str | None], form: str) -> None:
    def event(padding: int) -> dict[bytes, bytes]:
        body = {"key": KEY, "action": "agent_replied", "customer_key": "acme"}
        note = json.dumps({"note": "x" * padding})
        if form == "json":
            return {b"data": (json.dumps(body)[:-1] + f', "properties": {note}}}').encode()}
        fields = {name.encode(): text.encode() for name, text in body.items()}
        return {**fields, b"properties": note.encode()}

    empty = event(0)
    counted = empty.values() if form == "json" else [*empty, *empty.values()]
    fields = event(size - sum(len(text) for text in counted))
    assert runner([(T0, 0, fields)], CATALOGUE).fates == {f"{T0}-0": fate}
