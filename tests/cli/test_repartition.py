"""`witnd repartition`: the same outcomes, invoices and deliveries in more partitions, however often it is killed."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.support.deployment import CATALOGUE, Deployment
from tests.support.processes import until
from tests.support.repartition import (
    Killed,
    after,
    before,
    billed,
    content,
    dump,
    facts,
    forwarded,
    multiply,
    restore,
    run_in_process,
    run_killed,
    use,
    with_newcomer,
)
from tests.support.server import Server
from witnd.domain.outcomes.partitioning import partition_of
from witnd.endpoint import endpoint
from witnd.settings import Durability
from witnd.store.errors import Unsafe
from witnd.store.invoices.ledger import Ledger
from witnd.store.keys import Keys
from witnd.store.repartition import run


@pytest.fixture
def make(redis_url: str, session_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    return lambda partitions: Deployment(session_server, tmp_path, partitions=partitions)


def finished(deployment: Deployment) -> dict[str, Any]:
    """Process the later events, and place what was held."""
    after(deployment)
    deployment.work(forwarded(deployment))
    with_newcomer(deployment)
    deployment.work(lambda client: not any(client.exists(key.held) for key in logs(deployment)))
    deployment.work(billed(deployment))
    return facts(deployment)


def logs(deployment: Deployment) -> list[Keys]:
    return [Keys("witn", number) for number in range(deployment.partitions)]


def key_in(partition: int, start: str) -> str:
    """A key that four partitions put into this one."""
    return next(key for number in range(100) if partition_of(key := f"{start}-{number:04}", 4) == partition)


@pytest.mark.parametrize(("partitions", "more"), [(1, 4), (2, 6)])
def test_a_deployment_with_more_partitions_bills_what_it_would_have_billed(
    make: Any, partitions: int, more: int
) -> None:
    untouched = make(partitions)
    before(untouched)
    expected_before = facts(untouched)
    expected = finished(untouched)
    untouched.call("FLUSHALL")

    deployment = make(partitions)
    before(deployment)
    multiply(deployment, more)
    assert deployment.json("audit")["clean"]
    assert facts(deployment) == expected_before
    assert {keys.partition for keys in logs(deployment) if deployment.call("ZCARD", keys.keys)} == set(range(more))
    assert finished(deployment) == expected


def test_lines_that_are_on_no_invoice_yet_are_billed_afterwards(make: Any) -> None:
    deployment = make(1)
    before(deployment)
    expected = facts(deployment)["invoices"]
    deployment.call("FLUSHALL")
    before(deployment, is_billed=False)
    names = deployment.call("KEYS", "witn:{shared}:billing:*")
    if names:
        deployment.call("DEL", *names)  # the biller has taken nothing
    multiply(deployment, 4)
    deployment.work(billed(deployment))
    assert facts(deployment)["invoices"] == expected
    assert deployment.json("audit")["clean"]


def test_a_second_repartition_keeps_what_the_first_one_moved(make: Any) -> None:
    deployment = make(1)
    before(deployment)
    expected = facts(deployment)
    multiply(deployment, 2)
    deployment.event("patient-0001", "rated", at="*", agent_key="patient", properties={"value": 2})
    deployment.work()
    multiply(deployment, 4)
    found = facts(deployment)
    assert found["outcomes"].pop("patient-0001")["events_count"] == 2
    expected["outcomes"].pop("patient-0001")
    assert found["outcomes"] == expected["outcomes"]
    use(deployment, 1)  # a producer with the first number
    ids = [deployment.event(f"patient-{number:04}", "rated", at="*", agent_key="patient") for number in range(8)]
    use(deployment, 4)
    deployment.work(forwarded(deployment))
    assert deployment.json("audit")["events"]["rejected"] == 0
    assert {deployment.json("events", id_)["fate"] for id_ in ids} == {"applied"}


@pytest.mark.parametrize("stride", [7, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_at_any_step_and_run_again_it_ends_as_the_undisturbed_run(make: Any, stride: int) -> None:
    deployment = make(1)
    before(deployment)
    data = dump(deployment)
    multiply(deployment, 4)
    expected = content(deployment)
    use(deployment, 1)
    steps, is_done = 0, False
    while not is_done:
        steps += stride
        restore(deployment, data)
        is_done = run_killed(deployment, 4, steps, is_written=steps % 2 == 0)
        if not is_done and steps % 3 == 0:
            run_killed(deployment, 4, steps, is_written=True)  # and again in the second run
        done = deployment.witnd("repartition", "4")
        assert done.exit_code == 0, done.output
        assert content(deployment) == expected, steps
    assert steps > 20
    use(deployment, 4)
    assert deployment.json("audit")["clean"]


def test_until_it_has_finished_nothing_else_starts(make: Any) -> None:
    deployment = make(1)
    before(deployment)
    run_killed(deployment, 4, 6, is_written=True)
    with pytest.raises(Unsafe, match="run `witnd repartition 4` again"):
        deployment.work()
    for words in (("outcomes",), ("repartition", "2")):
        refused = deployment.witnd(*words)
        assert refused.exit_code in (2, 3)
        assert "run `witnd repartition 4`" in refused.stderr, refused.output
    multiply(deployment, 4)
    assert deployment.json("audit")["clean"]


def test_events_that_arrive_meanwhile_are_in_time(make: Any) -> None:
    deployment = make(1)
    deployment.apply()
    deployment.event("anchor-0001", "rated", at="*", agent_key="patient")
    deployment.work()
    run_killed(deployment, 4, 3, is_written=True)
    ids = {
        f"patient-{n:04}": deployment.event(f"patient-{n:04}", "rated", at="*", agent_key="patient") for n in range(9)
    }
    done = deployment.json("repartition", "4")
    moved = [key for key in ids if partition_of(key, 4)]
    assert done == {"before": 1, "partitions": 4, "done": True, "forwarded": len(moved), "left": []}
    use(deployment, 4)
    deployment.work(forwarded(deployment))
    for key, id_ in ids.items():
        found = deployment.json("events", id_)
        assert (found["fate"], found["partition"], found["key"]) == ("applied", partition_of(key, 4), key)
    assert deployment.json("audit")["clean"]


def test_killed_after_it_forwarded_events_it_does_not_forward_them_again(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment = make(1)
    before(deployment)
    run_killed(deployment, 4, 3, is_written=True)
    for number in range(6):
        deployment.event(f"patient-{number:04}", "rated", at="*", agent_key="patient")

    async def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(run, "finish_repartition", killed)
        with pytest.raises(Killed):
            asyncio.run(run_in_process(deployment, 4))
    lengths = [deployment.call("XLEN", Keys("witn", number).events) for number in range(4)]
    multiply(deployment, 4)
    assert [deployment.call("XLEN", Keys("witn", number).events) for number in range(4)] == lengths
    deployment.work(forwarded(deployment))
    assert deployment.json("audit")["clean"]
    for number in range(6):
        assert deployment.json("explain", f"patient-{number:04}")["outcome"]["events_count"] == 2


def test_producers_with_the_old_number_are_forwarded_once(make: Any) -> None:
    deployment = make(2)
    before(deployment)
    multiply(deployment, 6)
    use(deployment, 2)
    for number in range(20):
        deployment.event(f"patient-{number:04}", "rated", at="*", agent_key="patient", idempotency_key=f"old-{number}")
    foreign = deployment.keys("patient-0000").partition
    use(deployment, 6)
    # A key that was never in this partition.
    wrong = next(key for n in range(100) if partition_of(key := f"foreign-{n:04}", 2) != foreign)
    event = f'{{"key": "{wrong}", "action": "rated", "customer_key": "acme", "agent_key": "patient"}}'
    misplaced = deployment.call("XADD", Keys("witn", foreign).events, "*", "data", event).decode()
    deployment.work(forwarded(deployment))
    report = deployment.json("audit")
    assert report["clean"]
    assert (report["events"]["rejected"], report["events"]["conflict"]) == (1, 0)
    assert deployment.json("events", misplaced)["reason"] == "WRONG_PARTITION"
    for number in range(20):
        story = deployment.json("explain", f"patient-{number:04}")["story"]
        assert [one["action"] for one in story["events"]].count("rated") == len(story["events"])
    # A repeated call, as after a lost reply, appends nothing.
    lengths = [deployment.call("XLEN", keys.events) for keys in logs(deployment)]
    deployment.work(forwarded(deployment))
    assert [deployment.call("XLEN", keys.events) for keys in logs(deployment)] == lengths


def test_an_old_event_is_found_under_both_partitions(make: Any) -> None:
    deployment = make(1)
    deployment.apply()
    key, held = key_in(3, "patient"), key_in(3, "waiting")
    applied = deployment.event(key, "rated", at="*", agent_key="patient")
    waits = deployment.event(held, "replied", at="*", customer_key="newcomer")
    deployment.work()
    multiply(deployment, 4)
    for id_, fate in ((applied, "applied"), (waits, "held")):
        assert deployment.json("events", id_)["fate"] == fate
        for partition in ("0", "3"):
            found = deployment.json("events", id_, "--partition", partition)
            assert (found["fate"], found["partition"]) == (fate, 0)
    # After the log was trimmed, the stored fate still shows a held event.
    deployment.call("XTRIM", Keys("witn", 0).events, "MAXLEN", 0)
    assert deployment.json("events", waits)["fate"] == "held"
    assert deployment.json("events", applied, "--key", key)["fate"] == "applied"
    removed = deployment.witnd("events", "remove", waits)
    assert removed.exit_code == 0, removed.output
    deployment.work()
    assert deployment.json("events", waits)["reason"] == "REMOVED"


def test_an_outcome_on_hold_moves_and_is_repaired_from_the_old_log(make: Any) -> None:
    deployment = make(1)
    deployment.apply()
    key = key_in(2, "patient")
    for number in range(11):
        deployment.event(key, "rated", at="*", agent_key="patient", idempotency_key=f"r-{number}")
    deployment.work()
    deployment.call("SET", Keys("witn", 0).outcome(key), "damaged")
    deployment.event(key, "rated", at="*", agent_key="patient", properties={"value": 5})
    deployment.work()
    multiply(deployment, 4)
    deployment.event(key, "rated", at="*", agent_key="patient", properties={"value": 1})
    deployment.work()
    assert [one["what"] for one in deployment.json("audit", exit_code=5)["differences"]] == ["stored outcome"]
    repaired = deployment.witnd("repair", "outcome", key)
    assert "rebuilt from the log" in repaired.output, repaired.output
    deployment.work()
    assert deployment.json("explain", key)["outcome"]["events_count"] == 13
    assert deployment.json("audit")["clean"]


def test_a_row_of_an_open_draft_is_found_after_the_repartition(make: Any) -> None:
    deployment = make(1)
    before(deployment)
    multiply(deployment, 4)
    for number in range(6):
        found = deployment.json("explain", f"recent-{number:04}")["invoice"]
        assert (found["status"], found["amount"]) == ("draft", "2.00")


# -- what must be true before ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "problem"), [("3", "must be a multiple of 2"), ("2048", "at most 1024"), ("1", "multiple")]
)
def test_an_unsuitable_number_is_refused(make: Any, number: str, problem: str) -> None:
    deployment = make(2)
    deployment.create()
    refused = deployment.witnd("repartition", number)
    assert refused.exit_code == 2
    assert problem in refused.stderr


def test_the_present_number_is_no_change(make: Any) -> None:
    deployment = make(2)
    deployment.create()
    done = deployment.witnd("repartition", "2")
    assert (done.exit_code, "nothing to do" in done.stdout) == (0, True)


def test_a_log_that_is_not_applied_to_its_end_is_refused(make: Any) -> None:
    deployment = make(1)
    before(deployment)
    data = content(deployment)
    last = deployment.event("ticket-0001", "replied", at="*")
    for words in (("repartition", "2", "--dry-run"), ("repartition", "2")):
        refused = deployment.witnd(*words)
        assert refused.exit_code == 3
        assert last in refused.stderr
        assert "let the daemon run until" in refused.stderr
    deployment.call("XDEL", Keys("witn", 0).events, last)
    assert {name: value for name, value in content(deployment).items() if name in data} == data
    assert deployment.call("HGET", "witn:meta", "repartitioning") is None


def test_a_daemon_that_runs_is_named(make: Any) -> None:
    deployment = make(1)
    before(deployment)
    with deployment.working():
        until(lambda: deployment.call("GET", Keys("witn", 0).owner) is not None, "the daemon has the lease")
        refused = deployment.witnd("repartition", "2")
    assert refused.exit_code == 3
    assert "(workshop); stop all daemons first" in refused.stderr


def test_other_obstacles_are_named(make: Any) -> None:
    deployment = make(1)
    before(deployment)
    keys, new = Keys("witn", 0), Keys("witn", 1)
    obstacles: list[tuple[tuple[str, ...], str, str]] = [
        (("XADD", keys.events_moving, "*", "a", "b"), keys.events_moving, "`witnd repair ahead` of partition 0"),
        (("RPUSH", keys.forwards, "x"), keys.forwards, "still wait to be forwarded"),
        (("ZADD", new.keys, "0", "x"), new.keys, "already has data of a partition 1"),
        (("XADD", new.events, "1-1", "a", "b"), new.events, "before the repartition (its first entry is 1-1)"),
    ]
    for command, key, problem in obstacles:
        deployment.call(*command)
        refused = deployment.witnd("repartition", "2")
        assert refused.exit_code == 3, refused.output
        assert problem in refused.stderr
        assert deployment.call("HGET", "witn:meta", "repartitioning") is None
        deployment.call("DEL", key)
    multiply(deployment, 2)


def test_another_number_in_the_configuration_names_the_command(make: Any) -> None:
    deployment = make(1)
    before(deployment)
    multiply(deployment, 2)
    use(deployment, 1)
    refused = deployment.witnd("outcomes")
    assert refused.exit_code == 2
    assert "set it to 2" in refused.stderr
    assert "witnd repartition" in refused.stderr


def test_ticks_that_a_stopped_daemon_left_are_no_obstacle(make: Any) -> None:
    deployment = make(1)
    before(deployment)
    deployment.call("XADD", Keys("witn", 0).events, "*", "witnd", "tick")
    multiply(deployment, 2)
    assert deployment.json("audit")["clean"]
    deployment.work()
    assert deployment.json("audit")["clean"]


def test_the_change_log_names_who_changed_the_number(make: Any) -> None:
    deployment = make(1)
    before(deployment)
    multiply(deployment, 2)
    [(_, fields)] = deployment.call("XREVRANGE", "witn:{shared}:changes", "+", "-", "COUNT", 1)
    assert b'"what":"partitions.change","key":"2"' in fields[b"data"]


def test_partitions_without_any_event_multiply_too(make: Any) -> None:
    deployment = make(2)
    deployment.apply()
    deployment.event("patient-0001", "rated", at="*", agent_key="patient")  # in one of the two
    deployment.work()
    multiply(deployment, 4)
    assert deployment.json("audit")["clean"]
    for number in range(20):
        deployment.event(f"patient-{number:04}", "rated", at="*", agent_key="patient")
    deployment.work()
    report = deployment.json("audit")
    assert (report["clean"], report["events"]["applied"]) == (True, 21)


def test_deliveries_of_many_rules_move_with_their_shared_message(make: Any) -> None:
    deployment = make(1)
    rules = [
        f'[[notification_rules]]\nname = "rule-{n}"\nsource = "both"\nurl = "http://127.0.0.1:9/{n}"\n'
        for n in range(12)
    ]
    deployment.apply(CATALOGUE + "".join(rules))
    for number in range(8):
        deployment.event(f"ticket-{number:04}", "replied", number)
    deployment.work()
    expected = facts(deployment)["deliveries"]
    assert len(expected) == 8 * 13
    multiply(deployment, 4)
    assert deployment.json("audit")["clean"]
    assert facts(deployment)["deliveries"] == expected
    one = expected[-1][0]
    assert deployment.json("deliveries", "show", one)["outcome_key"].startswith("ticket-")
    deployment.work()
    assert deployment.json("audit")["clean"]


def test_a_biller_with_the_old_number_makes_no_invoices(make: Any) -> None:
    deployment = make(1)
    before(deployment)
    multiply(deployment, 2)

    async def state() -> None:
        ledger = Ledger(endpoint(deployment.server.url), "witn", 1, "test", Durability("server"))
        try:
            await ledger.state()
        finally:
            ledger.close()

    with pytest.raises(Unsafe, match=r"set redis\.partitions to 2"):
        asyncio.run(state())


def test_doctor_names_a_repartition_that_is_not_finished(make: Any) -> None:
    deployment = make(1)
    before(deployment)
    run_killed(deployment, 2, 4, is_written=True)
    found = deployment.witnd("doctor")
    assert "run `witnd repartition 2` again" in found.output
