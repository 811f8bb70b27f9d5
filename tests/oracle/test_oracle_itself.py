"""The oracle obeys the laws that follow from the contract."""

import json
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.oracle import logs as inputs
from tests.oracle import rules
from tests.oracle.logs import AMBIGUOUS, BASE, KEYS, MALFORMED, ODD, Log, cuts, logs
from tests.oracle.oracle import Change, Entry, World, ids, run
from tests.oracle.parse import Event, RefusedError, parse_entry, read_instant, write_instant
from tests.oracle.reach import REASONS
from tests.support.searches import examples

TICK = {b"witnd": b"tick"}

quick = settings(max_examples=examples(150), deadline=None, suppress_health_check=list(HealthCheck))


def is_control(entry: Entry) -> bool:
    fields = entry[2]
    return fields == TICK or (fields.get(b"witnd") == b"retry" and set(fields) == {b"witnd", b"key"})


@quick
@given(logs(ambiguous=True), st.integers(1, 2), st.integers(0, 4))
def test_every_event_entry_has_exactly_one_fate_and_the_sums_hold(log: Log, partitions: int, held_limit: int) -> None:
    entries, changes = log
    world = run(entries, changes, partitions=partitions, held_limit=held_limit)
    assert list(world.fates) == ids([one for one in entries if not is_control(one)])
    assert all(reason in REASONS[fate] for fate, reason in world.fates.values())
    fates = Counter(fate for fate, _ in world.fates.values())
    assert fates["applied"] == sum(one.events_count for one in world.outcomes.values())
    assert fates["held"] == sum(len(waiting) for waiting in world.held.values())
    assert all(len(waiting) <= held_limit for waiting in world.held.values())
    applied = [name for one in world.outcomes.values() for name in one.applied_ids]
    assert all(world.fates[name] == ("applied", None) for name in applied)
    assert not set(world.held) & set(world.outcomes)


@quick
@given(logs())
def test_one_resolution_for_each_final_outcome_and_one_line_for_each_confirmed(log: Log) -> None:
    world = run(*log)
    final = {key: one for key, one in world.outcomes.items() if one.status not in ("OPEN", "PENDING")}
    settled = settlements(world)
    assert sorted(one["outcome_key"] for one in settled) == sorted(final)
    assert all(final[one["outcome_key"]].status == one["status"] for one in settled)
    confirmed = [one for one in settled if one["status"] == "CONFIRMED"]
    assert [one["id"] for one in bills(world)] == [one["line_id"] for one in confirmed]
    assert all(("amount" in one) == (one["status"] == "CONFIRMED") for one in settled)
    names = [one["id"] for one in (*world.resolutions, *bills(world), *world.deliveries)]
    assert len(set(names)) == len(names)


@quick
@given(logs())
def test_a_confirmed_outcome_is_reversed_at_most_once_within_its_window(log: Log) -> None:
    world = run(*log)
    reversals = [one for one in world.resolutions if one["type"] == "outcome_reversed"]
    corrections = [one for one in world.lines if one["kind"] == "reversal"]
    by_entry = {name: key for key, one in world.outcomes.items() if (name := one.reversed_by) is not None}
    assert [one["entry"] for one in reversals] == [one["entry"] for one in corrections]
    assert sorted(one["entry"] for one in reversals) == sorted(by_entry)
    assert {name for name, (fate, _) in world.fates.items() if fate == "reversed"} == set(by_entry)
    for one in reversals:
        outcome = world.outcomes[by_entry[one["entry"]]]
        ms = int(one["entry"].partition("-")[0])
        terms = outcome.contract["reversal"]
        assert (outcome.status, outcome.key) == ("CONFIRMED", one["outcome_key"])
        assert outcome.settles_at <= ms < outcome.settles_at + terms["window"] * 1000
        assert one["entry"] not in outcome.applied_ids
        line = next(number for number, line in enumerate(world.lines) if line["id"] == one["line_id"])
        assert line < next(number for number, line in enumerate(world.lines) if line["id"] == one["id"])


@quick
@given(logs())
def test_reversals_change_nothing_that_was_settled(log: Log) -> None:
    entries, changes = log
    with_terms, without = run(entries, changes), run(entries, [_irreversible(one) for one in changes])
    assert settlements(with_terms) == settlements(without)
    assert bills(with_terms) == bills(without)
    for name, (fate, _) in without.fates.items():
        if fate == "late":  # the keys of reversing events, and keys after 35 days, can make it one of these
            assert with_terms.fates[name][0] in ("late", "reversed", "duplicate", "conflict")
        else:
            assert with_terms.fates[name][0] == fate


def _irreversible(change: Change) -> Change:
    content = {name: one for name, one in change.content.items() if name != "reversal"}
    if "agents" in content:
        content["agents"] = [
            {name: one for name, one in own.items() if name != "reversal"} for own in content["agents"]
        ]
    return replace(change, content=content)


def settlements(world: World) -> list[dict[str, Any]]:
    """The resolutions without reversals."""
    return [one for one in world.resolutions if one["type"] != "outcome_reversed"]


def bills(world: World) -> list[dict[str, Any]]:
    """The lines without their reversals."""
    return [one for one in world.lines if one["kind"] == "line"]


@quick
@given(logs())
def test_resolutions_come_in_order_and_never_before_they_are_due(log: Log) -> None:
    resolutions = settlements(run(*log))
    due = [(one["settles_at"], one["outcome_key"].encode()) for one in resolutions]
    order = [(one["processed_at"], *rest) for one, rest in zip(resolutions, due, strict=True)]
    if order != sorted(order):
        # Entries of one ms settle one after the other, and `processed_at` does not tell them apart.
        by_entry = [(number, *rest) for number, rest in zip(_settled_by(*log), due, strict=True)]
        assert by_entry == sorted(by_entry)
    assert all(one["opened_at"] <= one["settles_at"] <= one["processed_at"] for one in resolutions)


def _settled_by(entries: list[Entry], changes: list[Change]) -> list[int]:
    """For each resolution in order, the number of the entry at which it was made."""
    counts = [len(settlements(run(entries[:length], changes))) for length in range(len(entries) + 1)]
    return [number for number, (before, after) in enumerate(pairwise(counts)) for _ in range(before, after)]


@quick
@given(logs(), st.randoms(use_true_random=False))
def test_running_twice_is_equal_and_the_order_of_the_changes_is_nothing(log: Log, random: Any) -> None:
    entries, changes = log
    shuffled = list(changes)
    random.shuffle(shuffled)
    assert run(entries, changes) == run(entries, changes) == run(entries, shuffled)


@quick
@given(logs(), st.integers(0, 30))
def test_a_prefix_of_the_log_gives_a_prefix_of_the_results(log: Log, length: int) -> None:
    entries, changes = log
    part, whole = run(entries[:length], changes), run(entries, changes)
    for name in ("resolutions", "lines", "deliveries"):
        first, second = getattr(part, name), getattr(whole, name)
        assert first == second[: len(first)]
    for key, outcome in part.outcomes.items():
        later = whole.outcomes[key]
        if outcome.status in ("CONFIRMED", "FAILED"):
            assert outcome in (later, replace(later, reversed_by=None))
        else:
            assert outcome.applied_ids == later.applied_ids[: outcome.events_count]
            assert outcome.contract == later.contract
            # With grades, settlement decides which price applies.
            assert outcome.price == later.price or "grades" in outcome.contract
    for entry, fate in part.fates.items():
        moved = whole.fates[entry]
        assert moved == fate or (fate[0] == "held" and moved in (("applied", None), ("rejected", "IDENTITY_MISMATCH")))


@quick
@given(logs(), st.integers(0, 30), st.sampled_from((0, 1, 500, 5000)))
def test_a_forged_tick_only_proves_time(log: Log, place: int, step: int) -> None:
    entries, changes = log
    place = min(place, len(entries) - 1)
    ms, seq = entries[place][:2]
    if entries[place + 1 :] and entries[place + 1][:2] <= (ms + step, seq + 1):
        return  # ids only increase: no room for a tick here
    ticked = [*entries[: place + 1], (ms + step, seq + 1, TICK), *entries[place + 1 :]]
    before, after = run(entries, changes), run(ticked, changes)
    assert before.fates == after.fates
    assert [one["outcome_key"] for one in before.resolutions] == [one["outcome_key"] for one in after.resolutions][
        : len(before.resolutions)
    ]
    assert before.lines == after.lines[: len(before.lines)]
    assert before.deliveries == after.deliveries[: len(before.deliveries)]


@quick
@given(logs())
def test_what_a_wrong_partition_refuses_the_right_one_takes(log: Log) -> None:
    entries, changes = log
    whole = run(entries, changes)
    halves = [run(entries, changes, partition=number, partitions=2) for number in (0, 1)]
    merged: World = World()
    for half in halves:
        merged.outcomes.update(half.outcomes)
        merged.held.update(half.held)
        merged.lines += half.lines
    assert merged.outcomes == whole.outcomes
    assert merged.held == whole.held
    assert sorted(one["id"] for one in merged.lines) == sorted(one["id"] for one in whole.lines)


@quick
@given(logs())
def test_the_form_of_an_event_does_not_matter(log: Log) -> None:
    entries, changes = log
    assert run([(ms, seq, _as_json(fields)) for ms, seq, fields in entries], changes) == run(entries, changes)


def _as_json(fields: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """A flat entry as the same event in JSON; any other as it is."""
    if b"data" in fields or b"witnd" in fields or b"key" not in fields:
        return fields
    try:
        parse_entry(fields)
    except RefusedError:
        return fields
    quoted = [
        f"{json.dumps(name.decode())}: " + (text.decode() if name == b"properties" else json.dumps(text.decode()))
        for name, text in fields.items()
        if text  # an empty optional field is absence, which JSON spells by leaving it out
    ]
    return {b"data": ("{" + ", ".join(quoted) + "}").encode()}


@pytest.mark.parametrize("fields", MALFORMED, ids=range(len(MALFORMED)))
def test_every_malformed_entry_is_refused(fields: dict[bytes, bytes]) -> None:
    with pytest.raises(RefusedError):
        parse_entry(fields)


@pytest.mark.parametrize("fields", ODD, ids=range(len(ODD)))
def test_every_odd_entry_is_an_event(fields: dict[bytes, bytes]) -> None:
    assert isinstance(parse_entry(fields), Event)


def test_ambiguous_entries_get_a_fate_too() -> None:
    special = [fields for group in AMBIGUOUS.values() for fields in group]
    entries = [(BASE + number, 0, fields) for number, fields in enumerate(special)]
    assert run(entries, []).fates


@given(st.integers(0, 253_000_000_000_000))
@example(0)
@example(951_782_400_000)  # 2000-02-29
def test_instants_written_are_read_back(ms: int) -> None:
    assert read_instant(write_instant(ms)) == ms


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.1Z", 100),
        ("1970-01-01T00:00:00.0019999Z", 1),
        ("1970-01-01T01:30:00.000+01:30", 0),
        ("1969-12-31T23:00:00Z", None),
        ("2023-11-14T22:13:20-00:00", 1_700_000_000_000),
    ],
)
def test_instants(text: str, ms: int | None) -> None:
    if ms is None:
        with pytest.raises(RefusedError):
            read_instant(text)
    else:
        assert read_instant(text) == ms


@pytest.mark.parametrize(
    ("entry", "quantity", "amount", "exact"),
    [
        ({"price_per_unit": "0.335"}, "3", "1.01", "1.005"),
        ({"kind": "percentage", "percent": "2.5"}, "10", "0.25", "0.25"),
        ({"kind": "percentage", "percent": "2.5", "minimum": "1"}, "10", "1.00", "1"),
        ({"kind": "percentage", "percent": "2.5", "minimum": "1"}, "0", "0.00", "0"),
        ({"kind": "percentage", "percent": "2.5", "maximum": "0.105"}, "10", "0.10", "0.1"),
        ({"kind": "percentage", "percent": "2.5", "minimum": "0.251"}, "10", "0.26", "0.26"),
        ({"kind": "percentage", "percent": "2.5", "minimum": "0.001", "maximum": "0.009"}, "10", "0.00", "0"),
        ({"kind": "percentage", "percent": "2.5", "free_quota": "0.0"}, "10", "0.25", "0.25"),
        ({"price_per_unit": "1", "free_quota": "0.1"}, "10", None, None),
        ({"price_per_unit": "1", "period_cap": "0"}, "10", None, None),
        ({"kind": "package", "package_size": "1", "price_per_package": "1"}, "10", None, None),
    ],
)
def test_what_one_outcome_costs(entry: dict[str, str], quantity: str, amount: str | None, exact: str | None) -> None:
    rated = rules.rated(entry, Fraction(quantity), "EUR")
    assert (rated["amount"], rated["amount_exact"]) == (amount, exact)
    assert rated["rated"] == ("at_close" if amount is None else "at_settlement")


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        ("0", "EUR", "0.00"),
        ("0.005", "EUR", "0.01"),
        ("0.00499", "EUR", "0.00"),
        ("1.5", "JPY", "2"),
        ("2.5", "JPY", "3"),
        ("0.0005", "KWD", "0.001"),
        ("12.3456", "KWD", "12.346"),
        ("1000000000000000000000.015", "USD", "1000000000000000000000.02"),
    ],
)
def test_amounts_are_rounded_half_up_to_the_minor_digits(amount: str, currency: str, text: str) -> None:
    assert rules.half_up(Fraction(amount), currency) == text


@pytest.mark.parametrize("text", ["0", "1", "0.8", "100", "0.000000000001", "2.675"])
def test_plain_notation(text: str) -> None:
    assert rules.plain(Fraction(text)) == text


def _operator_truth(operator: str, value: object, times: int, latest: object) -> bool:
    events = []
    for number in range(times):
        text = inputs.write_json(
            {
                "key": KEYS[0],
                "action": "rated",
                "customer_key": "acme",
                "properties": {"value": latest},
            },
            0,
        )
        event = parse_entry({b"data": text.encode()})
        assert isinstance(event, Event)
        events.append(rules.Applied((number, 0), event, number))
    leaf = {"fact": "rated", "operator": operator, "value": value}
    return rules.leaf_holds(leaf, events)


@pytest.mark.parametrize(
    ("operator", "value", "times", "latest", "truth"),
    [
        ("seen", None, 0, None, False),
        ("seen", None, 1, None, True),
        ("not seen", None, 0, None, True),
        ("not seen", None, 1, None, False),
        ("count_gte", 2, 2, None, True),
        ("count_gt", 2, 2, None, False),
        ("count_lte", 2, 2, None, True),
        ("count_lt", 2, 2, None, False),
        ("count_eq", 0, 0, None, True),
        ("match", 3, 1, 3.0, True),
        ("match", 3, 1, "3", False),
        ("match", 1, 1, True, False),
        ("match", True, 1, 1, False),
        ("match", "yes", 0, None, False),
        ("match", "yes", 1, "yes", True),
        ("gte", 3, 1, 3, True),
        ("gt", 3, 1, 3, False),
        ("lte", 3, 1, 3, True),
        ("lt", 3, 1, 3, False),
        ("gte", 0, 1, True, False),
        ("gte", 3, 0, None, False),
        ("not gte", 3, 1, 3, False),
        ("not gt", 3, 1, 3, True),
        ("not lte", 3, 1, 3, False),
        ("not lt", 3, 1, 3, True),
        ("not gte", 3, 0, None, True),
        ("not gte", 3, 1, None, True),
        ("not gte", 3, 1, "5", True),
        ("not gte", 0, 1, True, True),
    ],
)
def test_operators(operator: str, value: object, times: int, latest: object, truth: bool) -> None:
    assert _operator_truth(operator, value, times, latest) is truth


# --- scenes told by hand ---------------------------------------------------------------------


def _agent(condition: Any = (), **more: Any) -> Change:
    content = {"name": "S", "settlement_period": 1, "attribution_method": "sum"}
    return Change("agent", "support", 0, False, {**content, "condition": list(condition), **more})


def _card(at: int = 0) -> Change:
    entries = [{"agent": "support", "price_per_unit": "2"}]
    return Change("rate_card", "std", at, False, {"currency": "EUR", "entries": entries})


def _customer(key: str = "acme", at: int = 0, rate_card: str = "std") -> Change:
    return Change("customer", key, at, False, {"name": key, "email": None, "rate_card": rate_card})


def _sent(customer: str = "acme", **more: object) -> dict[bytes, bytes]:
    body = {"key": KEYS[0], "action": "replied", "customer_key": customer, **more}
    return {b"data": json.dumps(body).encode()}


RETRY = {b"witnd": b"retry", b"key": KEYS[0].encode()}
DAYS_35 = 35 * 86_400_000


def test_the_border_belongs_to_settlement() -> None:
    for step, fate in ((999, "applied"), (1000, "late"), (1001, "late")):
        entries = [(BASE, 0, _sent()), (BASE + step, 0, _sent())]
        world = run(entries, [_agent(), _card(), _customer()])
        assert world.fates[f"{BASE + step}-0"][0] == fate


def test_a_past_pin_settles_right_after_its_event_even_in_the_same_ms() -> None:
    pinned = _sent(properties={"settles_at": "2001-01-01T00:00:00Z", "attribution": 2})
    entries = [
        (BASE, 0, _sent(properties={"attribution": 1})),
        (BASE, 1, pinned),
        (BASE, 2, _sent()),
    ]
    world = run(entries, [_agent(), _card(), _customer()])
    assert [fate for fate, _ in world.fates.values()] == ["applied", "applied", "late"]
    assert world.lines[0]["amount"] == "6.00"
    assert world.resolutions[0]["settles_at"] == write_instant(BASE)


def test_pins_of_one_ms_settle_entry_by_entry_and_not_by_key() -> None:
    past = {"settles_at": "2001-01-01T00:00:00Z"}
    entries = [
        (BASE, 0, _sent(key=KEYS[1], properties=past)),
        (BASE, 1, _sent(key=KEYS[0], properties=past)),
        (BASE, 2, TICK),
    ]
    resolutions = run(entries, [_agent(), _card(), _customer()]).resolutions
    assert [one["outcome_key"] for one in resolutions] == [KEYS[1], KEYS[0]]
    assert {(one["settles_at"], one["processed_at"]) for one in resolutions} == {(write_instant(BASE),) * 2}


def test_a_retry_places_all_held_events_in_one_step() -> None:
    past = {"settles_at": "2001-01-01T00:00:00Z"}
    entries = [
        (BASE, 0, _sent("other", idempotency_key="x")),
        (BASE + 1, 0, _sent(properties=past)),
        (BASE + 2, 0, _sent("other", idempotency_key="x")),
        (BASE + 5000, 0, _sent()),
        (BASE + 9000, 0, RETRY),
        (BASE + 9000, 1, _sent(idempotency_key="x")),
    ]
    changes = [_agent(), _card(), _customer(at=BASE + 9000)]
    world = run(entries, changes)
    assert list(world.fates.values()) == [
        ("rejected", "IDENTITY_MISMATCH"),
        ("applied", None),
        ("duplicate", None),
        ("applied", None),
        ("applied", None),
    ]
    outcome = world.outcomes[KEYS[0]]
    assert (outcome.opened_at, outcome.settles_at) == (BASE + 9000, BASE + 10_000)


def test_an_idempotency_key_is_honoured_for_35_days_after_resolution() -> None:
    resolved = BASE + 1000
    for ms, fate in ((resolved + DAYS_35 - 1, "duplicate"), (resolved + DAYS_35, "late")):
        entries = [(BASE, 0, _sent(idempotency_key="x")), (ms, 0, _sent(idempotency_key="x"))]
        world = run(entries, [_agent(), _card(), _customer()])
        assert world.fates[f"{ms}-0"][0] == fate


def test_same_content_is_typed_and_blind_to_spelling() -> None:
    def second(text: str) -> str:
        first = _sent(idempotency_key="x", properties={"value": 3, "n": {"a": 1, "b": [True]}})
        head = f'{{"customer_key":"acme","key":"{KEYS[0]}","action":"replied","idempotency_key":"x",'
        other = {b"data": (head + text + "}").encode()}
        world = run([(BASE, 0, first), (BASE + 1, 0, other)], [_agent(), _card(), _customer()])
        return world.fates[f"{BASE + 1}-0"][0]

    assert second('"properties":{"n":{"b":[true],"a":1.0},"value":0.3e1}') == "duplicate"
    assert second('"agent_key":null,"properties":{"value":3,"n":{"a":1,"b":[true]}}') == "duplicate"
    assert second('"properties":{"value":3,"n":{"a":true,"b":[true]}}') == "conflict"
    assert second('"properties":{"value":"3","n":{"a":1,"b":[true]}}') == "conflict"
    assert second('"agent_key":"support","properties":{"value":3,"n":{"a":1,"b":[true]}}') == "conflict"


def test_due_outcomes_resolve_by_instant_and_then_by_key_in_utf8() -> None:
    names = ("zz-\U0001f600-key", "aa-late-key", "zz-\uffee-key")
    steps = (0, 1, 0)
    entries = [
        (BASE + step, seq, _sent(key=name))
        for seq, (step, name) in sorted(enumerate(zip(steps, names, strict=True)), key=lambda it: it[1][0])
    ]
    world = run([*entries, (BASE + 9000, 0, TICK)], [_agent(), _card(), _customer()])
    assert [one["outcome_key"] for one in world.resolutions] == [names[2], names[0], names[1]]


@pytest.mark.parametrize(("method", "unit"), [("first", 7), ("last", 5)])
def test_values_go_by_timestamp_and_then_by_log_order(method: str, unit: int) -> None:
    def sent(value: int, timestamp: str | None) -> dict[bytes, bytes]:
        return _sent(timestamp=timestamp, properties={"value": value, "attribution": value})

    early, late = write_instant(BASE - 5), write_instant(BASE + 50)
    entries = [
        (BASE, 0, sent(3, None)),
        (BASE + 1, 0, sent(4, late)),
        (BASE + 2, 0, sent(5, late)),
        (BASE + 3, 0, sent(6, None)),
        (BASE + 4, 0, sent(7, early)),
        (BASE + 5, 0, sent(8, early)),
    ]
    condition = [{"fact": "replied", "operator": "match", "value": 5}]
    changes = [_agent(condition, attribution_method=method), _card(), _customer()]
    outcome = run(entries, changes).outcomes[KEYS[0]]
    assert outcome.values == {"replied": 5}
    assert outcome.truth == [True]
    assert outcome.unit == unit


def test_a_unit_below_zero_bills_as_zero() -> None:
    entries = [(BASE, 0, _sent(properties={"attribution": -3})), (BASE + 1000, 0, TICK)]
    line = run(entries, [_agent(), _card(), _customer()]).lines[0]
    assert (line["unit"], line["amount"], line["amount_exact"]) == ("0", "0.00", "0")


def test_beyond_the_limit_nothing_is_held_and_no_idempotency_key_is_taken() -> None:
    entries = [
        (BASE, 0, _sent("other", idempotency_key="x")),
        (BASE, 1, _sent("other", idempotency_key="y")),
        (BASE, 2, _sent("other", idempotency_key="y")),
        (BASE, 3, _sent("other", idempotency_key="x")),
    ]
    world = run(entries, [_agent(), _card(), _customer()], held_limit=1)
    assert [reason or fate for fate, reason in world.fates.values()] == [
        "UNKNOWN_CUSTOMER",
        "HELD_LIMIT",
        "HELD_LIMIT",
        "duplicate",
    ]


def test_a_version_is_in_force_from_its_own_instant_on() -> None:
    for step, fate in ((-1, "held"), (0, "applied")):
        entries = [(BASE + step, 0, _sent())]
        assert run(entries, [_agent(), _card(at=BASE), _customer()]).fates == {
            f"{BASE + step}-0": (fate, "NO_RATE_CARD" if step else None)
        }


def test_a_rule_counts_at_resolved_at_and_not_when_the_log_gets_there() -> None:
    def rule(at: int, *, enabled: bool) -> Change:
        content = {"source": "both", "agent": None, "url": "u", "secret": "s", "enabled": enabled}
        return Change("notification_rule", "hook", at, False, content)

    resolved = BASE + 1000
    for at, deliveries in ((resolved, 1), (resolved + 1, 0)):
        changes = [_agent(), _card(), _customer(), rule(0, enabled=False), rule(at, enabled=True)]
        world = run([(BASE, 0, _sent()), (resolved + 5000, 0, TICK)], changes)
        assert len(world.deliveries) == deliveries


def test_routing_by_the_only_agent_and_by_the_only_one_that_names_the_action() -> None:
    other = _agent([{"fact": "solved", "operator": "seen"}])
    sales = Change("agent", "sales", 0, False, other.content)
    named = [{"op": "NOT", "condition": {"fact": "replied", "operator": "seen"}}]
    cases: list[tuple[list[Change], tuple[str, str | None]]] = [
        ([_agent()], ("applied", None)),
        ([_agent(), sales], ("held", "AGENT_AMBIGUOUS")),
        ([_agent(named), sales], ("applied", None)),
        ([], ("held", "AGENT_AMBIGUOUS")),
    ]
    for agents, fate in cases:
        assert run([(BASE, 0, _sent())], [*agents, _card(), _customer()]).fates[f"{BASE}-0"] == fate


def test_what_a_customer_agreed_is_for_this_customer_alone() -> None:
    condition = [{"fact": "solved", "operator": "seen"}]
    sales = Change("agent", "sales", 0, False, {**_agent(condition).content, "name": "Sales"})
    own = {
        "agents": [{"agent": "support", "name": "Own", "settlement_period": 2, "condition": condition}],
        "entries": [{"agent": "support", "price_per_unit": "7"}],
    }
    acme, globex = _customer(), _customer("globex")
    changes = [_agent(), sales, _card(), globex, replace(acme, content={**acme.content, **own})]
    log = [(BASE, 0, _sent(agent_key="support", action="solved")), (BASE + 9000, 0, TICK)]

    [resolution] = run(log, changes).resolutions
    assert (resolution["amount"], resolution["settles_at"]) == ("7.00", write_instant(BASE + 2000))
    others = [(BASE, 0, _sent("globex", agent_key="support", action="solved")), (BASE + 9000, 0, TICK)]
    [resolution] = run(others, changes).resolutions
    assert (resolution["amount"], resolution["settles_at"]) == ("2.00", write_instant(BASE + 1000))
    # Without a name: both agents name the action for the one customer, and only sales, without a price, for the other.
    for customer, reason in (("acme", "AGENT_AMBIGUOUS"), ("globex", "NO_PRICE")):
        assert run([(BASE, 0, _sent(customer, action="solved"))], changes).fates == {f"{BASE}-0": ("held", reason)}


WINDOW = {"window": 60, "on": ["refunded"]}


@pytest.mark.parametrize(
    ("action", "step", "fate"),
    [
        ("refunded", 999, "applied"),  # before settlement it is an event as any other
        ("refunded", 1000, "reversed"),
        ("refunded", 60_999, "reversed"),
        ("refunded", 61_000, "late"),
        ("replied", 1000, "late"),
    ],
)
def test_a_reversal_belongs_to_the_time_from_settlement_to_the_end_of_the_window(
    action: str, step: int, fate: str
) -> None:
    rule = Change("notification_rule", "hook", 0, False, {"source": "outcome_reversed", "enabled": True})
    entries = [(BASE, 0, _sent()), (BASE + step, 0, _sent(action=action)), (BASE + step, 1, _sent(action=action))]
    world = run([*entries, (BASE + 99_000, 0, TICK)], [_agent(reversal=WINDOW), _card(), _customer(), rule])
    assert [found for found, _ in world.fates.values()] == ["applied", fate, fate if fate != "reversed" else "late"]
    outcome, is_reversed = world.outcomes[KEYS[0]], fate == "reversed"
    assert outcome.status == "CONFIRMED"
    assert outcome.events_count == (3 if fate == "applied" else 1)
    assert outcome.reversed_by == (f"{BASE + step}-0" if is_reversed else None)
    assert [one["type"] for one in world.deliveries] == ["outcome_reversed"] * is_reversed
    assert len(world.lines) == len(world.resolutions) == 1 + is_reversed


def test_a_missed_outcome_is_not_reversed() -> None:
    agent = _agent([{"fact": "solved", "operator": "seen"}], reversal=WINDOW)
    entries = [(BASE, 0, _sent()), (BASE + 1000, 0, _sent(action="refunded"))]
    assert list(run(entries, [agent, _card(), _customer()]).fates.values())[1] == ("late", "OUTCOME_NOT_OPEN")


@pytest.mark.parametrize("is_confirmed", [True, False])
@pytest.mark.parametrize(("window", "days"), [(60, 35), (35 * 86_400, 35), (40 * 86_400, 40)])
def test_keys_are_honoured_for_the_window_if_that_is_longer(window: int, days: int, is_confirmed: bool) -> None:
    condition = [] if is_confirmed else [{"fact": "solved", "operator": "seen"}]
    agent = _agent(condition, reversal={"window": window, "on": ["refunded"]})
    first, ends = _sent(idempotency_key="x"), BASE + 1000 + days * 86_400_000
    for ms, fate in ((ends - 1, "duplicate"), (ends, "late")):
        world = run([(BASE, 0, first), (ms, 0, first)], [agent, _card(), _customer()])
        assert world.fates[f"{ms}-0"][0] == fate


def test_a_reversing_event_takes_its_key_and_another_does_not() -> None:
    def refund(key: str, value: int = 1) -> dict[bytes, bytes]:
        return _sent(action="refunded", idempotency_key=key, properties={"value": value})

    sent = [_sent(idempotency_key="a"), refund("a"), refund("b"), refund("b"), refund("b", 2), refund("c"), refund("c")]
    entries = [(BASE + 1000 * number, 0, fields) for number, fields in enumerate(sent)]
    world = run(entries, [_agent(reversal=WINDOW), _card(), _customer()])
    fates = [fate for fate, _ in world.fates.values()]
    assert fates == ["applied", "conflict", "reversed", "duplicate", "conflict", "late", "late"]


@given(st.integers(1, 40).flatmap(cuts))
def test_cuts_are_borders_in_order(cut: inputs.Cuts) -> None:
    assert cut.batches == sorted(set(cut.batches))
    assert 1 <= cut.settle_limit <= 3
