"""One damaged record puts one outcome on hold: all others are billed, and a repair bills it as if nothing happened."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.daemon import Daemon
from tests.support.deployment import Deployment
from tests.support.processes import until
from tests.support.server import Server
from witnd.domain.outcomes.event import Event
from witnd.domain.outcomes.outcome import Outcome
from witnd.engine.poison import POISON_MAX
from witnd.store.errors import Unsafe
from witnd.store.keys import Keys
from witnd.store.records.codec import FORMAT, held_record

KEYS = Keys("witn", 0)
KEY, OTHER = "ticket-0001", "ticket-0002"
Damage = Callable[[Deployment], None]


def flipped(deployment: Deployment) -> None:
    record = bytearray(deployment.call("GET", KEYS.outcome(KEY)))
    for place in (5, 9, 11):
        record[place] ^= 0x10
    deployment.call("SET", KEYS.outcome(KEY), bytes(record))


def overwritten(deployment: Deployment) -> None:
    deployment.call("SET", KEYS.outcome(KEY), "xxxx")


def copied(deployment: Deployment) -> None:
    deployment.call("COPY", KEYS.outcome(OTHER), KEYS.outcome(KEY), "REPLACE")


def emptied(deployment: Deployment) -> None:
    deployment.call("SET", KEYS.outcome(KEY), "")


def deleted(deployment: Deployment) -> None:
    deployment.call("UNLINK", KEYS.outcome(KEY))


def of_another_type(deployment: Deployment) -> None:
    deployment.call("UNLINK", KEYS.outcome(KEY))
    deployment.call("RPUSH", KEYS.outcome(KEY), "x")


def history_damaged(deployment: Deployment) -> None:
    deployment.call("LSET", KEYS.history(KEY), 0, "xxxx")


def history_deleted(deployment: Deployment) -> None:
    deployment.call("UNLINK", KEYS.history(KEY))


def history_of_another_type(deployment: Deployment) -> None:
    deployment.call("UNLINK", KEYS.history(KEY))
    deployment.call("SET", KEYS.history(KEY), "x")


DAMAGES = [flipped, overwritten, copied, emptied, deleted, of_another_type, history_damaged, history_deleted,
           history_of_another_type]  # fmt: skip


def opened(server: Server, directory: Path) -> Deployment:
    """Two outcomes that wait: one with more events than its record carries."""
    deployment = Deployment(server, directory)
    deployment.apply()
    for number in range(12):
        deployment.event(KEY, "asked", at="*", agent_key="patient", idempotency_key=f"event-{number:04}")
    deployment.event(OTHER, "asked", at="*", agent_key="patient")
    deployment.work()
    return deployment


def on_hold(deployment: Deployment, key: str = KEY) -> bool:
    return bool(deployment.call("HEXISTS", KEYS.on_hold, key))


def fates(deployment: Deployment) -> dict[str, int]:
    return {name: count for name, count in deployment.json("audit")["events"].items() if count}


def state(deployment: Deployment, key: str) -> Any:
    """What is told of an outcome, but for what depends on when it was read."""
    found = deployment.json("explain", key)
    return found["outcome"], found["story"], found["line"], found["resolution"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_outcome_waits_while_others_are_applied_and_its_repair_applies_what_waited(
    session_server: Server, redis_url: str, tmp_path: Path, damage: Damage
) -> None:
    deployment = opened(session_server, tmp_path)
    damage(deployment)
    deployment.event(KEY, "rated", at="*", agent_key="patient", properties={"value": 5})
    deployment.event(KEY, "asked", at="*", agent_key="patient", idempotency_key="event-0003")
    deployment.event(OTHER, "rated", at="*", agent_key="patient", properties={"value": 5})
    deployment.work()

    assert on_hold(deployment)
    assert deployment.json("explain", OTHER)["outcome"]["status"] == "PENDING"
    told = deployment.json("explain", KEY)
    assert told["outcome"] is None
    assert told["on_hold"]["waiting"] == 2
    waiting = deployment.json("events", "--fate", "waiting")["data"]
    assert [one["reason"] for one in waiting] == ["OUTCOME_ON_HOLD"] * 2
    audited = deployment.json("audit", exit_code=5)
    assert [(one["key"], one["what"]) for one in audited["differences"]] == [(KEY, "stored outcome")]
    assert f"witnd repair outcome {KEY}" in deployment.witnd("doctor").output

    with deployment.working():
        done = deployment.json("repair", "outcome", KEY)
    assert done["state"] == "repaired"
    assert not on_hold(deployment)
    outcome, *_ = state(deployment, KEY)
    assert (outcome["status"], outcome["events_count"]) == ("PENDING", 13)
    assert fates(deployment) == {"applied": 15, "duplicate": 1}
    leftover = [KEYS.waiting(KEY), KEYS.repair(KEY)]
    assert deployment.call("EXISTS", *leftover) == 0


@pytest.mark.parametrize("damage", [flipped, deleted])
def test_a_billed_outcome_is_repaired_to_what_it_was_and_billed_no_second_time(
    session_server: Server, redis_url: str, tmp_path: Path, damage: Damage
) -> None:
    deployment = Deployment(session_server, tmp_path)
    deployment.apply()
    deployment.event(KEY, "replied", properties={"attribution": 3})
    deployment.event(OTHER, "replied", 10)
    deployment.work()
    before = state(deployment, KEY)
    damage(deployment)
    deployment.event(KEY, "replied", at="*", properties={"attribution": 3})
    deployment.work()

    assert on_hold(deployment)
    assert deployment.call("XLEN", KEYS.lines) == 2
    with deployment.working():
        assert deployment.json("repair", "outcome", KEY)["state"] == "repaired"
    assert state(deployment, KEY) == before
    assert deployment.call("XLEN", KEYS.lines) == 2
    assert fates(deployment) == {"applied": 2, "late": 1}


def test_an_outcome_that_was_due_while_on_hold_settles_at_its_repair_in_the_running_period_and_is_marked(
    session_server: Server, redis_url: str, tmp_path: Path
) -> None:
    deployment = Deployment(session_server, tmp_path)
    deployment.apply()
    deployment.call("SET", KEYS.outcome(KEY), "xxxx")
    deployment.event(KEY, "replied", properties={"attribution": 3})
    deployment.event(KEY, "reopened", 120_000)
    deployment.event(OTHER, "replied", 130_000)
    deployment.work()  # the month of 2001 that both belong to is closed without the first
    assert on_hold(deployment)

    with deployment.working():
        assert deployment.json("repair", "outcome", KEY)["state"] == "repaired"
        until(lambda: len(deployment.json("invoices")["data"]) == 2, "the line is on an invoice")
    outcome, _, line, resolution = state(deployment, KEY)
    assert (outcome["status"], outcome["settles_at"]) == ("CONFIRMED", "2001-09-09T01:47:40.000Z")
    assert (line["resolved_at"], line["amount"]) == ("2001-09-09T01:47:40.000Z", "2.99")
    assert line["repaired_at"] == resolution["processed_at"] > "2026"
    assert fates(deployment) == {"applied": 2, "late": 1}
    invoice = deployment.json("explain", KEY)["invoice"]
    assert invoice["period_start"] <= line["repaired_at"] < invoice["period_end"]
    assert invoice["id"] != deployment.json("explain", OTHER)["invoice"]["id"]
    audited = deployment.json("audit")
    assert [(one["key"], one["repaired_at"]) for one in audited["repaired"]] == [(KEY, line["repaired_at"])]


def test_a_record_of_a_newer_format_is_no_damage_and_stops_the_daemon(
    session_server: Server, redis_url: str, tmp_path: Path
) -> None:
    deployment = opened(session_server, tmp_path)
    deployment.call("SET", KEYS.outcome(KEY), msgspec.msgpack.encode([FORMAT + 1, 0]))
    deployment.event(KEY, "rated", at="*", agent_key="patient", properties={"value": 5})

    with pytest.raises(BaseExceptionGroup) as stopped:
        deployment.work()
    assert "run the newer witnd" in repr(stopped.value)
    assert not on_hold(deployment)


def test_a_damaged_held_event_puts_its_key_on_hold_and_the_repair_holds_it_again(
    session_server: Server, redis_url: str, tmp_path: Path
) -> None:
    deployment = opened(session_server, tmp_path)
    for number in range(3):
        deployment.event("ticket-0009", "asked", at="*", customer_key="nobody", idempotency_key=f"held-{number:04}")
    deployment.work()
    deployment.call("LSET", KEYS.held_events("ticket-0009"), 1, "xxxx")
    deployment.event("ticket-0009", "asked", at="*", customer_key="nobody", idempotency_key="held-0001")
    deployment.work()

    assert on_hold(deployment, "ticket-0009")
    with deployment.working():
        assert deployment.json("repair", "outcome", "ticket-0009")["state"] == "repaired"
    assert deployment.call("GET", KEYS.outcome("ticket-0009")) == held_record("ticket-0009")
    assert deployment.call("LLEN", KEYS.held_events("ticket-0009")) == 3
    assert fates(deployment) == {"applied": 13, "held": 3, "duplicate": 1}


def test_a_lost_list_of_held_events_puts_its_key_on_hold_and_the_repair_holds_them_again(
    session_server: Server, redis_url: str, tmp_path: Path
) -> None:
    deployment = opened(session_server, tmp_path)
    deployment.event("ticket-0009", "asked", at="*", customer_key="nobody")
    deployment.work()
    deployment.call("UNLINK", KEYS.held_events("ticket-0009"))
    deployment.event("ticket-0009", "asked", at="*", agent_key="patient")
    deployment.work()

    assert on_hold(deployment, "ticket-0009")
    with deployment.working():
        assert deployment.json("repair", "outcome", "ticket-0009")["state"] == "repaired"
    assert fates(deployment) == {"applied": 14, "rejected": 1}


@pytest.mark.parametrize("lost", [KEYS.held_events("ticket-0009"), KEYS.outcome("ticket-0009")])
def test_a_lost_list_of_held_events_is_noticed_without_another_event(
    session_server: Server, redis_url: str, tmp_path: Path, lost: str
) -> None:
    deployment = opened(session_server, tmp_path)
    deployment.event("ticket-0009", "asked", at="*", customer_key="nobody")
    deployment.event("ticket-0010", "asked", at="*", customer_key="nobody")
    deployment.work()
    deployment.call("UNLINK", lost)
    deployment.work(lambda client: client.hlen(KEYS.on_hold) == 1)

    assert on_hold(deployment, "ticket-0009")
    with deployment.working():
        assert deployment.json("repair", "outcome", "ticket-0009")["state"] == "repaired"
    assert fates(deployment) == {"applied": 13, "held": 2}
    assert deployment.json("audit")["clean"]


def test_a_list_of_held_events_that_is_lost_while_its_key_is_in_memory_is_noticed(
    session_server: Server, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("witnd.engine.deadline_audit.PASS_SECONDS", 0.1)
    deployment = opened(session_server, tmp_path)
    with deployment.working():
        deployment.event("ticket-0009", "asked", at="*", customer_key="nobody")
        until(lambda: deployment.call("LLEN", KEYS.held_events("ticket-0009")) == 1, "it is held")
        deployment.call("UNLINK", KEYS.held_events("ticket-0009"))
        until(lambda: on_hold(deployment, "ticket-0009"), "it is on hold")
        # An event that comes now waits, and does not begin a list that lacks the first one.
        deployment.event("ticket-0009", "asked", at="*", customer_key="nobody")
        until(lambda: deployment.call("LLEN", KEYS.waiting("ticket-0009")) == 1, "the second event waits")
        assert deployment.json("repair", "outcome", "ticket-0009")["state"] == "repaired"
    assert fates(deployment) == {"applied": 13, "held": 2}
    assert deployment.json("audit")["clean"]


def test_more_waiting_events_than_one_step_can_apply_stop_only_their_outcome(
    session_server: Server, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment = opened(session_server, tmp_path)
    overwritten(deployment)
    for number in range(3):
        deployment.event(KEY, "asked", at="*", agent_key="patient", idempotency_key=f"later-{number:04}")
    deployment.work()
    assert deployment.json("repair", "outcome", KEY)["state"] == "requested"  # no daemon runs

    with monkeypatch.context() as patched:
        patched.setattr("witnd.fold.hold.WAITING_MAX", 2)
        deployment.event(OTHER, "asked", at="*", agent_key="patient")
        deployment.work()
        assert on_hold(deployment)
        assert deployment.json("explain", OTHER)["outcome"]["events_count"] == 2
        assert deployment.json("explain", KEY)["on_hold"]["waiting"] == 3
        refused = deployment.witnd("repair", "outcome", KEY)
        assert refused.exit_code == 3
        assert "3 events wait for it, and a repair can apply at most 2" in refused.output

    with deployment.working():
        assert deployment.json("repair", "outcome", KEY)["state"] == "repaired"
    assert deployment.json("explain", KEY)["outcome"]["events_count"] == 15
    assert fates(deployment) == {"applied": 17}


def test_the_alarm_of_an_outcome_on_hold_has_the_number_of_its_waiting_events(
    session_server: Server, redis_url: str, tmp_path: Path
) -> None:
    with Daemon(redis_url, tmp_path) as daemon:
        daemon.says("daemon.ready")
        deployment = Deployment(session_server, tmp_path)
        deployment.apply()
        deployment.call("SET", KEYS.outcome(KEY), "xxxx")
        for number in range(3):
            deployment.event(KEY, "replied", at="*", idempotency_key=f"event-{number:04}")
        until(lambda: "waiting events: 3" in str(daemon.request("GET", "/readyz")[1]), "the alarm counts three")
    with Daemon(redis_url, tmp_path) as daemon:
        until(lambda: "waiting events: 3" in str(daemon.request("GET", "/readyz")[1]), "the next one has them")


@pytest.mark.parametrize("lists", [[KEYS.keys], [KEYS.with_status("CONFIRMED")]])
def test_a_billed_outcome_is_billed_no_second_time_where_it_is_missing_in_a_list_too(
    session_server: Server, redis_url: str, tmp_path: Path, lists: list[str]
) -> None:
    deployment = Deployment(session_server, tmp_path)
    deployment.apply()
    deployment.event(KEY, "replied")
    deployment.work()
    deployment.call("UNLINK", KEYS.outcome(KEY))
    for name in lists:
        deployment.call("ZREM", name, KEY)
    deployment.event(KEY, "replied", at="*")
    deployment.work()

    assert deployment.call("XLEN", KEYS.lines) == 1
    assert on_hold(deployment)
    assert len(deployment.json("events", "--fate", "waiting")["data"]) == 1


def test_a_second_line_of_an_outcome_that_another_program_removed_from_everywhere_is_reported_by_audit(
    session_server: Server, redis_url: str, tmp_path: Path
) -> None:
    deployment = Deployment(session_server, tmp_path)
    deployment.apply()
    deployment.event(KEY, "replied")
    deployment.work()
    deployment.call("UNLINK", KEYS.outcome(KEY))
    for name in (KEYS.keys, KEYS.with_status("CONFIRMED")):
        deployment.call("ZREM", name, KEY)
    deployment.event(KEY, "replied", at="*", properties={"settles_at": "2002-01-01T00:00:00Z"})
    deployment.work()

    assert deployment.call("XLEN", KEYS.lines) == 2
    found = deployment.json("audit", exit_code=5)["differences"]
    assert (KEY, "invoice lines", "1 too many") in [(one["key"], one["what"], one["found"]) for one in found]


def test_an_event_whose_fold_fails_puts_one_outcome_on_hold_and_a_version_that_can_repairs_it(
    session_server: Server, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment = opened(session_server, tmp_path)
    apply = Outcome.apply

    def fails(self: Outcome, event: Event, *instants: int) -> None:
        if event.action == "poison":
            self.events += 1  # memory is half changed when it fails
            raise ZeroDivisionError("a mistake in the fold")
        apply(self, event, *instants)

    with monkeypatch.context() as patched:
        patched.setattr(Outcome, "apply", fails)
        deployment.event(OTHER, "rated", at="*", agent_key="patient", properties={"value": 5})
        deployment.event(KEY, "poison", at="*", agent_key="patient")
        deployment.event(OTHER, "asked", at="*", agent_key="patient")
        deployment.work()
        assert on_hold(deployment)
        assert "ZeroDivisionError: a mistake in the fold" in deployment.json("explain", KEY)["on_hold"]["reason"]
        assert deployment.json("explain", OTHER)["outcome"]["events_count"] == 3
        # The repair folds the same event again: the outcome stays on hold, and nothing else stops.
        with deployment.working():
            deployment.witnd("repair", "outcome", KEY)
            deployment.event(OTHER, "asked", at="*", agent_key="patient")
            until(lambda: deployment.json("explain", OTHER)["outcome"]["events_count"] == 4, "others are applied")
        assert on_hold(deployment)

    with deployment.working():
        assert deployment.json("repair", "outcome", KEY)["state"] == "repaired"
    assert state(deployment, KEY)[0]["events_count"] == 13
    assert fates(deployment) == {"applied": 17}


def test_a_version_that_fails_for_every_outcome_stops_instead_of_holding_them_all(
    session_server: Server, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment = Deployment(session_server, tmp_path)
    deployment.apply()

    def fails(*_: object) -> None:
        raise ZeroDivisionError("a mistake in the fold")

    monkeypatch.setattr(Outcome, "apply", fails)
    for number in range(2 * POISON_MAX):
        deployment.event(f"ticket-{number:04}", "asked", at="*", agent_key="patient")
    with pytest.raises((Unsafe, BaseExceptionGroup)) as stopped:
        deployment.work()
    assert "run the previous version" in repr(stopped.value)
    assert deployment.call("HLEN", KEYS.on_hold) <= POISON_MAX


def test_a_damaged_record_that_the_daemon_has_in_memory_leaves_no_repair_for_later(
    session_server: Server, redis_url: str, tmp_path: Path
) -> None:
    deployment = Deployment(session_server, tmp_path)
    deployment.apply()
    deployment.event(KEY, "asked", at="*", agent_key="patient")
    with deployment.working():
        until(lambda: deployment.call("EXISTS", KEYS.outcome(KEY)) == 1, "the outcome is written")
        overwritten(deployment)
        assert deployment.json("repair", "outcome", KEY)["state"] == "in_memory"
    assert deployment.call("EXISTS", KEYS.repair(KEY)) == 0
    with deployment.working():
        assert deployment.json("repair", "outcome", KEY)["state"] == "repaired"
    assert deployment.witnd("audit").exit_code == 0


def test_a_list_of_another_type_puts_its_outcome_on_hold_before_half_a_step_is_written(
    session_server: Server, redis_url: str, tmp_path: Path
) -> None:
    deployment = Deployment(session_server, tmp_path)
    deployment.apply()
    deployment.call("SET", KEYS.history(KEY), "x")
    with deployment.working():
        for number in range(20):
            deployment.event(KEY, "asked", at="*", agent_key="patient")
            deployment.event(f"ticket-1{number:03}", "asked", at="*", agent_key="patient")
        until(lambda: on_hold(deployment), "the outcome is on hold")
        until(lambda: deployment.call("ZCARD", KEYS.with_status("OPEN")) == 20, "all others are applied")
        deployment.call("UNLINK", KEYS.history(KEY))
        assert deployment.json("repair", "outcome", KEY)["state"] == "repaired"
    assert state(deployment, KEY)[0]["events_count"] == 20
    assert fates(deployment) == {"applied": 40}
