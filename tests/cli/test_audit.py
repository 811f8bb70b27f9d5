"""`witnd audit`: clean on what the daemon made, and loud about everything that was tampered with."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import redis

from tests.support.deployment import CATALOGUE, LONG_AGO, Deployment
from witnd.domain.webhooks.notification import delivery_id, rule_id
from witnd.store.keys import BillingKeys
from witnd.store.records.codec import FateRecord, encode_fate
from witnd.store.records.sealed import seal, unseal

BILLING = BillingKeys("witn")


def work(deployment: Deployment) -> None:
    """Outcomes of every kind, events of every fate, one in each way of opening."""
    deployment.apply()
    deployment.event("ticket-0001", "replied", 0, properties={"attribution": 2}, idempotency_key="a")
    deployment.event("ticket-0001", "replied", 1, properties={"attribution": 2}, idempotency_key="a")
    deployment.event("ticket-0001", "replied", 2, properties={"attribution": 3}, idempotency_key="a")
    deployment.event("ticket-0001", "noted", 3, properties={"attribution": 0.1})
    deployment.event("ticket-0002", "replied", 4)
    deployment.event("ticket-0002", "reopened", 5)
    deployment.event("ticket-0003", "replied", 6, customer_key="penniless")
    deployment.event("ticket-0003", "replied", 7, customer_key="nobody")
    deployment.event("ticket-0004", "asked", 8, agent_key=None)
    deployment.event("ticket-0004", "replied", 9, properties={"settles_at": "2001-01-01T00:00:00Z"})
    deployment.event("ticket-0001", "replied", 10, customer_key="penniless")
    deployment.event("ticket-0005", "replied", 11, properties={"settles_at": "2001-09-09T01:47:00Z"})
    deployment.call("XADD", deployment.keys("ticket-0001").events, f"{LONG_AGO + 12}-0", "data", "{")
    deployment.event("ticket-0001", "replied", 100_000)
    for n in range(120):
        deployment.event("ticket-0009", "rated", 200_000 + n, agent_key="patient", properties={"value": n / 7})
    for n in range(120):
        deployment.event("ticket-0007", "rated", at="*", agent_key="patient", properties={"value": n})
    deployment.work()


def differences(deployment: Deployment, *arguments: str) -> set[tuple[str, str]]:
    report = deployment.json("audit", *arguments, exit_code=5)
    assert not report["clean"]
    assert report["difference_count"] >= len(report["differences"]) > 0
    return {(one["key"], one["what"]) for one in report["differences"]}


def test_what_the_daemon_made_is_clean(deployment: Deployment) -> None:
    work(deployment)
    report = deployment.json("audit")
    assert report["clean"], report
    assert report["outcomes"] == {"OPEN": 0, "PENDING": 1, "CONFIRMED": 4, "FAILED": 1}
    assert report["events"] == {
        "applied": 247, "held": 2, "rejected": 2, "reversed": 0, "late": 1, "duplicate": 1, "conflict": 1,
        "waiting": 0,
    }  # fmt: skip
    assert report["billed"] == [{"currency": "EUR", "lines": 4, "amount": "6.09"}]
    assert report["deliveries"] == 5
    assert report["partitions"] == [{"partition": 0, "exact": True, "log": "compared", "gaps": 0, "lost": 0}]
    quick = deployment.json("audit", "--quick")
    assert quick["clean"]
    assert (quick["events"], quick["billed"]) == (report["events"], report["billed"])
    told = deployment.witnd("audit")
    assert told.exit_code == 0
    assert "clean" in told.stdout
    assert "missed" in told.stdout
    assert "6.09" in told.stdout


def test_several_partitions_are_summed_up(sharded: Deployment) -> None:
    work(sharded)
    report = sharded.json("audit")
    assert report["clean"], report
    assert [one["partition"] for one in report["partitions"]] == [0, 1, 2]
    assert sum(report["outcomes"].values()) == 6
    parts = [sharded.json("audit", "--partition", str(number)) for number in range(3)]
    assert sum(sum(part["events"].values()) for part in parts) == sum(report["events"].values())


def billed(client: redis.Redis) -> bool:
    """Everything is on an invoice that is issued, but for what resolved in the running month."""
    return bool(client.zcard(BILLING.invoices)) and not client.exists(BILLING.to_issue, BILLING.open)


def test_invoices_are_part_of_the_sums(deployment: Deployment) -> None:
    work(deployment)
    deployment.work(billed)
    report = deployment.json("audit")
    assert report["clean"], report
    [euro] = report["invoices"]
    assert (euro["lines"], euro["waiting"]) == (4, 0)
    assert (euro["settled"], euro["added"]) == ("6.09", "0.00")
    issued = euro["issued"]
    assert (issued["lines"], issued["subtotal"], issued["total"]) == (4, "6.09", "6.09")
    assert deployment.json("audit", "--partition", "0")["invoices"] is None
    told = deployment.witnd("audit").stdout
    assert f"invoices issued  {issued['invoices']} in EUR, 4 lines" in told


def test_a_changed_invoice_is_named_with_what_to_do(deployment: Deployment) -> None:
    work(deployment)
    deployment.work(billed)
    id_ = deployment.call("ZRANGE", BILLING.invoices, 0, 0)[0].decode()
    deployment.call("HSET", BILLING.invoice(id_), "total", "1")
    report = deployment.json("audit", "--quick", exit_code=5)
    [one] = report["differences"]
    assert (one["invoice"], one["partition"], one["what"], one["found"]) == (id_, None, "total", "1")
    told = deployment.witnd("audit")
    assert told.exit_code == 5
    assert f"HSET witn:{{shared}}:billing:invoice:{id_} total {one['expected']}" in told.stdout


def test_nothing_at_all_is_clean(deployment: Deployment) -> None:
    assert deployment.json("audit")["clean"]


def test_an_audit_writes_nothing(deployment: Deployment) -> None:
    work(deployment)
    before = deployment.call("DEBUG", "DIGEST")
    deployment.json("audit")
    assert deployment.call("DEBUG", "DIGEST") == before


def test_terms_that_changed_later_change_nothing(deployment: Deployment) -> None:
    work(deployment)
    deployment.apply(CATALOGUE.replace("0.995", "7").replace('"seen"', '"count_gte", value = 2'))
    assert deployment.json("audit")["clean"]


def test_a_trimmed_log_is_said_to_be_left_out(deployment: Deployment) -> None:
    work(deployment)
    deployment.call("XTRIM", "witn:{0}:events", "MAXLEN", 5)
    report = deployment.json("audit")
    assert report["clean"]
    assert report["partitions"][0]["log"].startswith("not compared: ")


def record(deployment: Deployment, key: str, change: Callable[[list[Any]], None]) -> None:
    """Change the stored record of an outcome in place."""
    name = deployment.keys(key).outcome(key)
    fields = msgspec.msgpack.decode(unseal(key, deployment.call("GET", name)))
    change(fields)
    deployment.call("SET", name, seal(key, msgspec.msgpack.encode(fields)))


def put(place: int, value: object) -> Callable[[list[Any]], None]:
    return lambda fields: fields.__setitem__(place, value)


@pytest.mark.parametrize(
    ("place", "value", "what"),
    [
        (1, 3, "status"),
        (2, False, "condition"),
        (6, LONG_AGO - 1, "opened_at"),
        (7, LONG_AGO + 60_004, "settles_at"),
        (8, LONG_AGO, "processed_at"),
        (9, 3, "events"),
        (10, [2, 0], "count of replied"),
        (13, [0, "99"], "unit"),
    ],
)
def test_a_record_that_was_changed_is_found(deployment: Deployment, place: int, value: object, what: str) -> None:
    work(deployment)
    record(deployment, "ticket-0001", put(place, value))
    assert ("ticket-0001", what) in differences(deployment)


def test_a_value_that_was_changed_is_found(deployment: Deployment) -> None:
    work(deployment)
    record(deployment, "ticket-0007", put(11, [3.5]))
    assert ("ticket-0007", "value of rated") in differences(deployment)


@pytest.mark.parametrize(
    ("command", "key", "what"),
    [
        (("DEL", "history:ticket-0007"), "ticket-0007", "length of the history"),
        (("LTRIM", "history:ticket-0007", 0, 99), "ticket-0007", "length of the history"),
        (("DEL", "outcome:ticket-0007"), "ticket-0007", "history"),
        (("ZREM", "due", "ticket-0007"), "ticket-0007", "stored deadline"),
        (("ZADD", "due", 5, "ticket-0007"), "ticket-0007", "stored deadline"),
        (("ZADD", "due", 5, "ticket-0001"), "ticket-0001", "stored deadline"),
        (("ZADD", "due", 5, "ticket-9999"), "ticket-9999", "stored deadline"),
        (("DEL", "held:ticket-0003"), "ticket-0003", "held events"),
        (("ZADD", "held", 5, "ticket-0003"), "ticket-0003", "instant of the first held event"),
        (("DEL", "outcome:ticket-0003"), "ticket-0003", "held events"),
        (("HINCRBY", "state", "applied", 1), "", "counter of applied events"),
        (("HINCRBY", "state", "CONFIRMED", -1), "", "counter of CONFIRMED outcomes"),
        (("HSET", "fates", "5-5", encode_fate(FateRecord("late", None, None, None, None))), "", "fates on record"),
        (("ZADD", "fates:late", 5, "5-5"), "", "fate of 5-5"),
        (("DEL", "fates:conflict"), "", "counter of conflict events"),
    ],
)  # fmt: skip
def test_keys_that_were_changed_are_found(
    deployment: Deployment, command: tuple[Any, ...], key: str, what: str
) -> None:
    work(deployment)
    name, key_of, *words = command
    deployment.call(name, f"witn:{{0}}:{key_of}", *words)
    assert (key, what) in differences(deployment)


def results(deployment: Deployment, stream: str) -> list[tuple[bytes, dict[str, Any]]]:
    entries = deployment.call("XRANGE", f"witn:{{0}}:{stream}", "-", "+")
    return [(id_, json.loads(fields[b"data"])) for id_, fields in entries]


@pytest.mark.parametrize("quick", [[], ["--quick"]])
@pytest.mark.parametrize("stream", ["resolutions", "lines"])
def test_a_result_that_is_there_twice_is_found(deployment: Deployment, stream: str, quick: list[str]) -> None:
    work(deployment)
    _, one = results(deployment, stream)[0]
    deployment.call("XADD", f"witn:{{0}}:{stream}", "*", "data", json.dumps(one))
    what = stream if stream == "resolutions" else "invoice lines"
    found = differences(deployment, *quick)
    assert (one["outcome_key"], what) in found
    assert ("", what) in found


@pytest.mark.parametrize("stream", ["resolutions", "lines"])
def test_a_result_that_stands_for_another_is_found(deployment: Deployment, stream: str) -> None:
    """The number of entries is right, and one outcome has two while another has none."""
    work(deployment)
    entries = results(deployment, stream)
    key = f"witn:{{0}}:{stream}"
    deployment.call("DEL", key)
    for _, said in [*entries[1:], entries[1]]:
        deployment.call("XADD", key, "*", "data", json.dumps(said))
    what = stream if stream == "resolutions" else "invoice lines"
    found = differences(deployment)
    assert {(entries[0][1]["outcome_key"], what), (entries[1][1]["outcome_key"], what)} <= found


@pytest.mark.parametrize(
    ("stream", "member", "value"),
    [("lines", "amount", "100.00"), ("lines", "unit", "7"), ("resolutions", "amount", "100.00"),
     ("resolutions", "processed_at", "2000-01-01T00:00:00.000Z"), ("lines", "extra", 1)],
)  # fmt: skip
def test_a_result_with_other_contents_is_found(deployment: Deployment, stream: str, member: str, value: object) -> None:
    work(deployment)
    entries = results(deployment, stream)
    key = f"witn:{{0}}:{stream}"
    deployment.call("DEL", key)
    place = next(n for n, (_, said) in enumerate(entries) if said["outcome_key"] == "ticket-0001")
    entries[place][1][member] = value
    for _, said in entries:
        deployment.call("XADD", key, "*", "data", json.dumps(said))
    assert ("ticket-0001", f"{stream[:-1]}: {member}") in differences(deployment)


def test_a_result_that_is_unreadable_is_found(deployment: Deployment) -> None:
    work(deployment)
    id_ = deployment.call("XADD", "witn:{0}:lines", "*", "data", '{"outcome_key": "ticket-0001"}')
    assert ("", f"line {id_.decode()}") in differences(deployment)


def test_deliveries_are_those_of_the_rules_in_effect(deployment: Deployment) -> None:
    work(deployment)
    id_ = delivery_id(rule_id("crm"), "ticket-0001", "outcome_succeed")
    outbox = f"witn:{{0}}:outbox:{rule_id('crm')}"
    deployment.call("ZREM", outbox, id_)
    assert ("ticket-0001", f"delivery {id_}: due in the outbox") in differences(deployment)
    deployment.call("HDEL", "witn:{0}:deliveries", id_)
    assert ("ticket-0001", f"delivery {id_}") in differences(deployment)


def test_a_history_that_is_not_that_of_the_log_is_found(deployment: Deployment) -> None:
    """Everything stored agrees with itself; only the log says otherwise."""
    work(deployment)
    entries = deployment.call("XRANGE", "witn:{0}:events", "-", "+")
    deployment.call("DEL", "witn:{0}:events")
    for id_, fields in entries:
        data = fields.get(b"data", b"").replace(b'"attribution": 0.1', b'"attribution": 0.2')
        sent = {**fields, b"data": data} if b"data" in fields else fields
        deployment.call("XADD", "witn:{0}:events", id_, *[word for pair in sent.items() for word in pair])
    assert ("ticket-0001", "recorded events") in differences(deployment)


def test_an_event_of_the_log_without_a_fate_is_found(deployment: Deployment) -> None:
    work(deployment)
    deployment.call("XADD", "witn:{0}:events", "*", "data", "{")
    deployment.call("HSET", "witn:{0}:state", "cursor", "9999999999999-0")
    assert ("", "events of the log") in differences(deployment, "--quick")


def test_terms_that_were_not_in_force_are_found(deployment: Deployment) -> None:
    work(deployment)
    other = msgspec.msgpack.decode(unseal("ticket-0007", deployment.call("GET", "witn:{0}:outcome:ticket-0007")))[5]
    record(deployment, "ticket-0002", put(5, other))
    assert ("ticket-0002", "price at 2001-09-09T01:46:40.004Z") in differences(deployment)
    record(deployment, "ticket-0002", put(5, b"\0" * 32))
    assert ("ticket-0002", "terms") in differences(deployment)


def test_a_key_of_another_type_is_told_and_is_no_traceback(deployment: Deployment) -> None:
    work(deployment)
    deployment.call("DEL", "witn:{0}:due")
    deployment.call("SET", "witn:{0}:due", "x")
    wrong = deployment.witnd("audit")
    assert wrong.exit_code == 3
    assert "another type of data" in wrong.stderr


def test_differences_are_a_table_for_people(deployment: Deployment) -> None:
    work(deployment)
    record(deployment, "ticket-0001", put(13, [0, "99"]))
    told = deployment.witnd("audit")
    assert told.exit_code == 5
    lines = [line.split() for line in told.stdout.splitlines()]
    assert lines[0] == ["key", "partition", "what", "expected", "found"]
    assert ["ticket-0001", "0", "unit", "2.1", "99"] in lines
    assert "difference" in told.stderr


def test_a_partition_that_moves_on_is_said_not_to_be_exact(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    from witnd.audit import run as audit

    work(deployment)
    check = audit.check_lines

    async def busy(scope: Any) -> None:
        deployment.call("HINCRBY", "witn:{0}:state", "seq", 1)
        await check(scope)

    monkeypatch.setattr(audit, "check_lines", busy)
    moving = deployment.witnd("audit")
    assert moving.exit_code == 3
    assert "the sums of partition 0 are not exact" in moving.stderr
    assert "clean" not in moving.stdout


def test_an_audit_beside_a_working_daemon_finds_nothing_wrong(deployment: Deployment) -> None:
    work(deployment)
    with deployment.working():
        for n in range(5):
            for place in range(20):
                deployment.event(f"ticket-1{n}{place:02}", "replied", at="*")
            done = deployment.witnd("audit", "--json")
            assert json.loads(done.stdout)["difference_count"] == 0, done.stdout
    assert deployment.json("audit")["clean"]
