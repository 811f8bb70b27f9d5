"""`witnd send`: what is checked, what is sent, and what is said when that is not known."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.deployment import Deployment
from tests.support.server import Server
from witnd.domain.outcomes.partitioning import partition_of
from witnd.store.errors import StoreUnavailable
from witnd.store.server.wire import Wire


def log(deployment: Deployment, partition: int = 0) -> list[dict[str, Any]]:
    entries = deployment.call("XRANGE", deployment.keys(partition=partition).events, "-", "+")
    return [json.loads(fields[b"data"]) for _, fields in entries]


def test_an_event_is_appended_and_its_id_and_fresh_idempotency_key_printed(deployment: Deployment) -> None:
    done = deployment.witnd("send", "ticket-4711", "replied", "--customer", "acme")
    assert done.exit_code == 0
    [event] = log(deployment)
    assert (event["key"], event["action"], event["customer_key"]) == ("ticket-4711", "replied", "acme")
    [(id_, _)] = deployment.call("XRANGE", "witn:{0}:events", "-", "+")
    assert done.stdout == f"{id_.decode()}  --id {event['idempotency_key']}\n"


def test_every_option_becomes_its_member(deployment: Deployment) -> None:
    done = deployment.witnd(
        *("send", "ticket-4711", "rated", "--customer", "acme", "--agent", "support"),
        *("--id", "evt-1", "--value", "4", "--attribution", "-2.5"),
        *("--settles-at", "2030-01-01T00:00:00Z", "--timestamp", "2026-01-01T00:00:00+01:00"),
        *("--property", 'by={"name":"Äda"}', "--property", "where=at=home", "--property", "n=null"),
    )
    assert done.exit_code == 0, done.output
    assert log(deployment) == [
        {
            "key": "ticket-4711",
            "action": "rated",
            "customer_key": "acme",
            "agent_key": "support",
            "idempotency_key": "evt-1",
            "timestamp": "2026-01-01T00:00:00+01:00",
            "properties": {
                "value": 4,
                "attribution": -2.5,
                "settles_at": "2030-01-01T00:00:00Z",
                "by": {"name": "Äda"},
                "where": "at=home",
                "n": None,
            },
        }
    ]


@pytest.mark.parametrize(
    ("given", "value"),
    [("4", 4), ("-0.5", -0.5), ("true", True), ('"4"', "4"), ("won", "won"), ("007", "007"), ("", "")],
)
def test_a_value_is_json_and_a_bare_word_is_text(deployment: Deployment, given: str, value: object) -> None:
    done = deployment.witnd("send", "ticket-4711", "rated", "--customer", "acme", "--value", given)
    assert done.exit_code == 0, done.output
    sent = log(deployment)[0]["properties"]["value"]
    assert sent == value
    assert type(sent) is type(value)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["short", "replied", "--customer", "acme"], "key: must have 8 to 255 characters"),
        (["ticket-4711", "replied"], "--customer: is required"),
        (["ticket-4711", "--customer", "acme"], "ACTION: is required"),
        (["ticket-4711", "x", "--customer", "a", "--value", "[1]"], "--value: must be text"),
        (["ticket-4711", "x", "--customer", "a", "--value", "{1"], "--value: '{1' is not valid JSON"),
        (["ticket-4711", "x", "--customer", "a", "--value", "1e999"], "--value: '1e999' is not valid JSON"),
        (["ticket-4711", "x", "--customer", "a", "--attribution", "much"], "'much' is not a number"),
        (["ticket-4711", "x", "--customer", "a", "--attribution", "true"], "'true' is not a number"),
        (["ticket-4711", "x", "--customer", "a", "--attribution", "1e16"], "properties.attribution"),
        (["ticket-4711", "x", "--customer", "a", "--settles-at", "soon"], "properties.settles_at"),
        (["ticket-4711", "x", "--customer", "a", "--timestamp", "1"], "timestamp: must look like"),
        (["ticket-4711", "x", "--customer", "a", "--property", "novalue"], "NAME=JSON"),
        (
            ["ticket-4711", "x", "--customer", "a", "--value", "1", "--property", "value=2"],
            "value must not be repeated; it is also set by --value",
        ),
        (["-", "replied"], "leave out ACTION"),
    ],
)
def test_mistakes_are_named_and_nothing_is_sent(deployment: Deployment, arguments: list[str], told: str) -> None:
    wrong = deployment.witnd("send", *arguments)
    assert wrong.exit_code == 2
    assert told in wrong.stderr
    assert deployment.call("EXISTS", "witn:{0}:events") == 0


def test_bytes_that_are_no_text_are_a_usage_error(deployment: Deployment) -> None:
    wrong = deployment.witnd("send", "ticket-\udcff711", "replied", "--customer", "acme")
    assert wrong.exit_code == 2
    assert "is not UTF-8" in wrong.stderr


def test_an_event_goes_to_the_partition_of_its_key(redis_url: str, session_server: Server, tmp_path: Path) -> None:
    deployment = Deployment(session_server, tmp_path, partitions=4)
    for number in range(8):
        key = f"ticket-{number}"
        done = deployment.json("send", key, "replied", "--customer", "acme")
        assert done["partition"] == partition_of(key, 4)
        assert done["id"]
    assert sum(len(log(deployment, number)) for number in range(4)) == 8


def test_waiting_tells_the_fate(deployment: Deployment) -> None:
    deployment.apply()
    deployment.event("ticket-0000", "replied")
    sent = deployment.json("send", "ticket-4711", "replied", "--customer", "nobody")
    assert sent["fate"] is None
    late = deployment.witnd("send", "ticket-4711", "replied", "--customer", "nobody", "--wait", "--timeout", "0.1")
    assert late.exit_code == 3
    assert "waiting" in late.stdout
    assert "`witnd run`" in late.stderr
    deployment.work()
    assert deployment.json("events", sent["id"])["fate"] == "held"


def test_waiting_ends_when_the_daemon_has_read_it(deployment: Deployment) -> None:
    deployment.apply()
    with deployment.working():
        done = deployment.json("send", "ticket-4711", "replied", "--customer", "acme", "--wait")
        assert done["fate"]["fate"] == "applied"
        again = deployment.witnd(
            *("send", "ticket-4711", "replied", "--customer", "acme", "--wait"),
            *("--id", done["idempotency_key"]),
        )
        assert again.stdout.endswith("  duplicate\n")
        held = deployment.witnd("send", "ticket-4712", "replied", "--customer", "nobody", "--wait")
        assert held.stdout.endswith("  held (UNKNOWN_CUSTOMER)\n")


def test_lines_are_sent_in_order_each_with_an_idempotency_key(deployment: Deployment) -> None:
    lines = [
        {"key": "ticket-0001", "action": "replied", "customer_key": "acme"},
        {"key": "ticket-0002", "action": "replied", "customer_key": "acme", "idempotency_key": "mine"},
        {
            "specversion": "1.0",
            "source": "crm",
            "id": "17",
            "data": {"key": "ticket-0003", "action": "replied", "customer_key": "acme"},
        },
    ]
    text = "\n".join(json.dumps(line) for line in lines) + "\n\n"
    done = deployment.witnd("send", "-", "--json", stdin=text)
    assert done.exit_code == 0, done.output
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["key"] for one in answers] == ["ticket-0001", "ticket-0002", "ticket-0003"]
    assert answers[0]["idempotency_key"].startswith("witnd-send-")
    assert answers[1]["idempotency_key"] == "mine"
    sent = log(deployment)
    assert sent[0]["idempotency_key"] == answers[0]["idempotency_key"]
    assert sent[1:] == lines[1:]


def test_a_mistake_in_a_line_is_told_with_its_number_and_its_batch_is_not_sent(deployment: Deployment) -> None:
    good = json.dumps({"key": "ticket-0001", "action": "replied", "customer_key": "acme"})
    wrong = deployment.witnd("send", "-", stdin=f'{good}\n{{"key": "ticket-0002"}}\nnonsense\n')
    assert wrong.exit_code == 2
    assert "line 2: action: is required" in wrong.stderr
    assert "line 3: is not strict JSON" in wrong.stderr
    assert "from line 1 on" in wrong.stderr
    assert deployment.call("EXISTS", "witn:{0}:events") == 0


def test_earlier_batches_stay_sent(deployment: Deployment) -> None:
    good = json.dumps({"key": "ticket-0001", "action": "replied", "customer_key": "acme"})
    wrong = deployment.witnd("send", "-", stdin=f"{good}\n" * 500 + "nonsense\n")
    assert wrong.exit_code == 2
    assert "from line 501 on" in wrong.stderr
    assert len(log(deployment)) == 500
    assert len(wrong.stdout.splitlines()) == 500


def test_a_lost_reply_is_told_as_unknown_with_how_to_repeat_it(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment.apply()

    def lose(wire: Wire) -> None:
        send = wire.send

        def sent(commands: Any) -> Any:
            future = send(commands)
            if commands[0][0] == "XADD":
                future.cancel()
                lost = future.get_loop().create_future()
                lost.set_exception(StoreUnavailable("lost"))
                return lost
            return future

        monkeypatch.setattr(wire, "send", sent)

    made = Wire.__init__

    def wired(wire: Wire, name: str) -> None:
        made(wire, name)
        lose(wire)

    with monkeypatch.context() as broken:
        broken.setattr(Wire, "__init__", wired)
        unknown = deployment.witnd("send", "ticket-4711", "replied", "--customer", "acme")
    assert unknown.exit_code == 3
    assert "write not confirmed" in unknown.stderr
    identity = unknown.stderr.split("--id ")[1].split(";")[0]
    again = deployment.witnd("send", "ticket-4711", "replied", "--customer", "acme", "--id", identity)
    assert again.exit_code == 0
    deployment.work()
    assert deployment.call("HGET", "witn:{0}:state", "applied") == b"1"


def test_a_server_that_refuses_says_so(server: Any, tmp_path: Path) -> None:
    full = server(extra=("--maxmemory", "1"))
    refused = Deployment(full, tmp_path).witnd("send", "ticket-4711", "replied", "--customer", "acme")
    assert refused.exit_code == 3
    assert "memory limit" in refused.stderr
    assert "not sent" in refused.stderr


def test_no_server_is_told_with_its_address(tmp_path: Path) -> None:
    deployment = Deployment.__new__(Deployment)
    deployment.environ = {"WITND_REDIS__URL": f"unix://{tmp_path}/none.sock"}
    away = deployment.witnd("send", "ticket-4711", "replied", "--customer", "acme")
    assert away.exit_code == 3
    assert "none.sock" in away.stderr
