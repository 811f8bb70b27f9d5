"""`witnd doctor` on a real server: each problem that can be made is found, with its remedy and exit code."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.billing.harness import Confirmed, line
from tests.support.deployment import LONG_AGO, Deployment
from tests.support.processes import until
from tests.support.server import Server, start_loading
from witnd.domain.webhooks.delivery import EndpointState
from witnd.domain.webhooks.notification import rule_id
from witnd.store.deliveries.endpoint_codec import encode_endpoint
from witnd.store.journal.journal import Journal
from witnd.store.keys import BillingKeys
from witnd.store.records.codec import OutcomeRecord
from witnd.store.records.json_record import encode_record
from witnd.store.records.sealed import seal, unseal
from witnd.store.server import wire

BILLING = BillingKeys("witn")
HOUR = 3_600_000
Start = Callable[..., Server]


@pytest.fixture(autouse=True)
def _quiet_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No daemon and no unit of this machine are looked at, and its state directory is the test's own."""
    monkeypatch.setenv("WITND_HTTP__BIND", "127.0.0.1:9")
    monkeypatch.setenv("WITND_DAEMON__STATE_DIR", str(tmp_path))
    monkeypatch.setattr("witnd.doctor.machine.unit", lambda: None)


def report(deployment: Deployment, exit_code: int = 0, **settings: str) -> dict[str, Any]:
    deployment.environ |= settings
    made: dict[str, Any] = deployment.json("doctor", exit_code=exit_code)
    return made


def named(made: dict[str, Any], name: str, state: str | None = None) -> dict[str, Any]:
    """The one check of that name, and of that state where one is given."""
    [one] = [one for one in made["checks"] if one["name"] == name and state in (None, one["state"])]
    return dict(one)


def problems(made: dict[str, Any]) -> list[str]:
    return [one["name"] for one in made["checks"] if one["state"] == "problem"]


@pytest.fixture
def own(server: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Deployment]:
    """Commands on a server that the test may reconfigure."""
    monkeypatch.chdir(tmp_path)
    return lambda *extra, **options: Deployment(server(extra=extra, **options), tmp_path)


# -- healthy ----------------------------------------------------------------------------------------------------------


def test_a_deployment_in_use_has_no_problem(deployment: Deployment) -> None:
    deployment.apply()
    deployment.event("ticket-4711", "replied")
    deployment.work()
    deployment.witnd("tokens", "create", "ops", "--scope", "admin")
    made = report(deployment)
    assert problems(made) == []
    for name in ("reachable", "version", "role", "persistence", "eviction", "durability", "commands", "latency"):
        assert named(made, name)["state"] == "ok", named(made, name)
    assert named(made, "server and host")["state"] == "ok"
    assert [named(made, name)["state"] for name in ("deployment", "catalogue", "tokens", "logs")] == ["ok"] * 4
    assert "1 agent" not in named(made, "catalogue")["found"]
    assert "2 agents" in named(made, "catalogue")["found"]


def test_before_the_first_start_there_is_nothing_to_complain_about(deployment: Deployment) -> None:
    made = report(deployment)
    assert problems(made) == []
    assert named(made, "deployment")["state"] == "note"
    assert "no daemon ever ran here" in named(made, "deployment")["found"]
    assert "witnd apply" in named(made, "catalogue")["remedy"]


def test_json_has_one_shape(deployment: Deployment) -> None:
    made = report(deployment)
    assert set(made) == {"state", "exit_code", "counts", "checks"}
    assert set(made["counts"]) == {"ok", "note", "warning", "problem"}
    assert sum(made["counts"].values()) == len(made["checks"])
    groups = [one["group"] for one in made["checks"]]
    assert list(dict.fromkeys(groups)) == ["redis", "clock", "data", "daemon", "unit"]
    for one in made["checks"]:
        assert set(one) == {"group", "name", "state", "found", "remedy", "exit_code"}
        assert (one["state"] == "problem") == bool(one["exit_code"])
        assert one["remedy"] or one["state"] in ("ok", "note")


def test_people_get_a_table_what_to_do_and_a_sum(deployment: Deployment) -> None:
    done = deployment.witnd("doctor")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("part ")
    assert "Valkey" in done.stdout
    assert "remedy" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("0 problems, ")


def test_nothing_is_written(deployment: Deployment) -> None:
    deployment.apply()
    deployment.event("ticket-4711", "replied")
    deployment.work()
    before = deployment.call("INFO", "persistence")
    report(deployment)
    after = deployment.call("INFO", "persistence")
    assert before["rdb_changes_since_last_save"] == after["rdb_changes_since_last_save"]
    assert before["aof_current_size"] == after["aof_current_size"]


def test_beside_a_daemon_it_tells_who_works(sharded: Deployment) -> None:
    sharded.apply()
    with sharded.working():
        until_owned(sharded)
        made = report(sharded)
    assert problems(made) == []
    for number in range(3):
        assert named(made, f"partition {number}")["state"] == "ok"
        assert "owned by workshop" in named(made, f"partition {number}")["found"]
    assert "owned by workshop" in named(made, "invoices")["found"]


def until_owned(deployment: Deployment) -> None:
    owners = [*(deployment.keys(partition=number).owner for number in range(deployment.partitions)), BILLING.owner]
    until(lambda: deployment.call("EXISTS", *owners) == len(owners), "everything has an owner")


# -- Redis ------------------------------------------------------------------------------------------------------------


def test_a_server_that_keeps_nothing_is_a_problem(own: Callable[..., Deployment]) -> None:
    deployment = own("--appendonly", "no")
    made = report(deployment, 3)
    assert problems(made) == ["persistence"]
    assert "appendonly yes" in named(made, "persistence")["remedy"]


def test_snapshots_alone_are_a_warning(own: Callable[..., Deployment]) -> None:
    made = report(own("--appendonly", "no", "--save", "60 1"))
    assert "snapshots" in named(made, "persistence", "warning")["found"]


@pytest.mark.parametrize(
    ("settings", "name", "remedy"),
    [
        ({"maxmemory-policy": "allkeys-lru"}, "eviction", "noeviction"),
        ({"maxmemory": "100kb"}, "memory", "maxmemory"),
        ({"min-replicas-to-write": "1"}, "replicas", "replicas"),
    ],
)
def test_what_makes_redis_unfit_is_named_with_its_remedy(
    own: Callable[..., Deployment], settings: dict[str, str], name: str, remedy: str
) -> None:
    deployment = own()
    for setting, value in settings.items():
        deployment.call("CONFIG", "SET", setting, value)
    made = report(deployment, 3)
    assert name in problems(made)
    assert remedy in named(made, name, "problem")["remedy"]


def test_a_replica_is_a_problem(own: Callable[..., Deployment]) -> None:
    deployment = own()
    deployment.call("REPLICAOF", "127.0.0.1", "1")
    made = report(deployment, 3)
    assert named(made, "role")["remedy"] == "point redis.url at the primary"


def test_authorities_that_cannot_be_read_are_a_problem_of_the_configuration(deployment: Deployment) -> None:
    deployment.environ["WITND_WEBHOOKS__CA_FILE"] = "/nowhere/ca.pem"
    found = named(report(deployment, 2), "webhook authorities")
    assert "/nowhere/ca.pem" in found["found"]
    assert "webhooks.ca_file" in found["remedy"]


def test_a_ca_file_in_the_address_gets_a_specific_remedy(deployment: Deployment) -> None:
    deployment.environ["WITND_REDIS__URL"] = "rediss://h/0?ssl_ca_certs=/nowhere/ca.pem"
    assert named(report(deployment, 2), "login")["remedy"] == "correct redis.url"


def test_a_cluster_is_a_problem(own: Callable[..., Deployment]) -> None:
    made = report(own("--cluster-enabled", "yes"), 3)
    assert "cluster-enabled" in named(made, "mode")["found"]


@pytest.mark.parametrize(
    ("settings", "durability", "name", "state"),
    [
        ({}, "fsync", "durability", "ok"),
        ({"appendfsync": "always"}, "fsync", "durability", "ok"),
        ({"appendonly": "no", "save": "60 1"}, "fsync", "durability", "problem"),
        ({"appendfsync": "no"}, "server", "durability", "warning"),
        ({"no-appendfsync-on-rewrite": "yes"}, "server", "persistence", "warning"),
        ({}, "replica:2", "replicas", "problem"),
        ({"timeout": "5"}, "server", "delays", "note"),
        ({"maxclients": "50"}, "server", "clients", "warning"),
    ],
)
def test_settings_are_held_against_the_configuration(
    own: Callable[..., Deployment], settings: dict[str, str], durability: str, name: str, state: str
) -> None:
    deployment = own()
    for setting, value in settings.items():
        deployment.call("CONFIG", "SET", setting, value)
    made = report(deployment, 3 if state == "problem" else 0, WITND_REDIS__DURABILITY=durability)
    assert named(made, name, state)["remedy"] or state == "ok"


def test_what_it_refused_is_told(own: Callable[..., Deployment]) -> None:
    deployment = own()
    deployment.call("CONFIG", "SET", "min-replicas-to-write", "1")
    with pytest.raises(Exception, match="NOREPLICAS"):
        deployment.event("ticket-4711", "replied", at="*")
    deployment.call("CONFIG", "SET", "min-replicas-to-write", "0")
    assert "too few replicas" in named(report(deployment), "refusals")["found"]


def test_a_server_that_is_away_is_a_problem(own: Callable[..., Deployment]) -> None:
    deployment = own()
    deployment.server.stop()
    made = report(deployment, 3)
    assert problems(made) == ["reachable"]
    assert "redis.url" in named(made, "reachable")["remedy"]
    assert {one["group"] for one in made["checks"]} == {"redis", "daemon", "unit"}


def test_a_server_that_hangs_is_a_problem_soon(own: Callable[..., Deployment], monkeypatch: pytest.MonkeyPatch) -> None:
    deployment = own()
    monkeypatch.setattr(wire, "CONNECT_SECONDS", 0.2)
    deployment.server.pause()
    assert problems(report(deployment, 3)) == ["reachable"]
    deployment.server.resume()


@pytest.mark.slow
def test_a_server_that_is_still_loading_is_a_problem_until_it_has_finished(own: Callable[..., Deployment]) -> None:
    deployment = own()
    start_loading(deployment.server)
    made = report(deployment, 3)
    assert problems(made) == ["loading"]
    assert "until it has finished" in named(made, "loading")["remedy"]
    assert "not checked" in named(made, "data")["found"]


def test_a_wrong_password_is_a_problem(own: Callable[..., Deployment], tmp_path: Path) -> None:
    deployment = own()
    deployment.call("ACL", "SETUSER", "default", "resetpass", ">right")
    assert "requires authentication" in named(report(deployment, 3), "reachable")["found"]
    (tmp_path / "password").write_text("wrong\n")
    made = report(deployment, 3, WITND_REDIS__PASSWORD_FILE=str(tmp_path / "password"))
    assert "does not accept" in named(made, "reachable")["found"]
    (tmp_path / "password").write_text("right\n")
    assert problems(report(deployment)) == []


def test_a_credential_that_only_the_unit_has_is_a_mistake_of_configuration(deployment: Deployment) -> None:
    made = report(deployment, 2, WITND_REDIS__PASSWORD_FILE="credential:redis-password")
    assert "WITND_REDIS__PASSWORD_FILE" in named(made, "login")["remedy"]


def test_a_user_with_the_documented_rights_is_not_refused(own: Callable[..., Deployment]) -> None:
    deployment = own()
    documented = ("~witn:*", "&witn:*", "+@all", "-@admin", "-@dangerous", "+info", "+config|get")
    deployment.call("ACL", "SETUSER", "witnd", "on", ">secret", *documented)
    login = deployment.server.url.replace("unix://", "unix://witnd:secret@")
    made = report(deployment, WITND_REDIS__URL=login)
    assert problems(made) == []
    assert named(made, "commands")["state"] == "note"
    # Whoever may ask is told.
    deployment.call("ACL", "SETUSER", "witnd", "+acl|dryrun")
    assert named(report(deployment), "commands")["state"] == "ok"


def test_a_command_that_the_user_may_not_run_is_named(own: Callable[..., Deployment]) -> None:
    deployment = own()
    rights = ("~witn:*", "&witn:*", "+@all", "-xadd", "-evalsha")
    deployment.call("ACL", "SETUSER", "witnd", "on", ">secret", *rights)
    made = report(deployment, 3, WITND_REDIS__URL=deployment.server.url.replace("unix://", "unix://witnd:secret@"))
    assert "EVALSHA, XADD" in named(made, "commands")["found"]
    deployment.call("ACL", "SETUSER", "witnd", "resetkeys", "~other:*", "+xadd", "+evalsha")
    made = report(deployment, 3)
    assert "XADD" in named(made, "commands")["found"]
    assert named(made, "data")["state"] == "problem"


def test_hidden_settings_are_a_note(own: Callable[..., Deployment]) -> None:
    deployment = own()
    deployment.call("ACL", "SETUSER", "witnd", "on", ">secret", "~*", "&*", "+@all", "-config")
    made = report(deployment, WITND_REDIS__URL=deployment.server.url.replace("unix://", "unix://witnd:secret@"))
    assert named(made, "settings")["state"] == "note"


# -- clock ------------------------------------------------------------------------------------------------------------


def test_an_entry_far_ahead_is_a_problem_and_its_repair_is_named(deployment: Deployment) -> None:
    deployment.event("ticket-4711", "replied", at=f"{now(deployment) + HOUR}-0")
    one = named(report(deployment, 3), "logs")
    assert "60 min ahead" in one["found"]
    assert "witnd repair ahead" in one["remedy"]


def test_an_entry_a_little_ahead_only_waits(deployment: Deployment) -> None:
    deployment.event("ticket-4711", "replied", at=f"{now(deployment) + 30_000}-0")
    assert named(report(deployment), "logs")["state"] == "note"


def test_a_jump_that_blocks_a_running_daemon_is_a_problem_and_its_repair_is_named(deployment: Deployment) -> None:
    deployment.call("SET", "witn:{0}:owner", "7:nonce:daemon-a")
    deployment.call("HSET", "witn:{shared}:clock", "jump:daemon-a", "15000")
    one = named(report(deployment, 3), "jump")
    assert one["state"] == "problem"
    assert "daemon daemon-a is blocked: the clock of the Redis server jumped by +15 s" in one["found"]
    assert "witnd repair clock" in one["remedy"]


def test_a_jump_that_a_dead_daemon_left_behind_is_a_warning(deployment: Deployment) -> None:
    deployment.call("HSET", "witn:{shared}:clock", "jump:daemon-a", "15000")
    assert named(report(deployment), "jump")["state"] == "warning"


def test_a_damaged_record_of_a_jump_is_a_problem_beside_all_other_checks(deployment: Deployment) -> None:
    deployment.call("HSET", "witn:{shared}:clock", "jump:daemon-a", "xx")
    made = report(deployment, 3)
    assert "HDEL witn:{shared}:clock jump:daemon-a" in named(made, "jump")["remedy"]
    assert named(made, "logs")["state"] == "ok"


def now(deployment: Deployment) -> int:
    return int(deployment.call("TIME")[0]) * 1000


# -- data -------------------------------------------------------------------------------------------------------------


def test_another_number_of_partitions_is_a_mistake_of_configuration(deployment: Deployment) -> None:
    deployment.create()
    one = named(report(deployment, 2, WITND_REDIS__PARTITIONS="3"), "deployment")
    assert "but this deployment has 1" in one["found"]
    assert one["remedy"].startswith("set it to 1")


def test_data_of_a_newer_version_are_a_problem(deployment: Deployment) -> None:
    deployment.call("HSET", "witn:meta", "format", "99", "deployment", "d", "partitions", "1")
    assert named(report(deployment, 3), "data")["remedy"] == "install the newer version again"


@pytest.mark.parametrize("key", ["witn:meta", "witn:{0}:state", "witn:{shared}:tokens", "witn:{shared}:catalogue"])
def test_a_key_of_another_type_is_a_problem(deployment: Deployment, key: str) -> None:
    deployment.call("SET", key, "x")
    assert named(report(deployment, 3), "data")["state"] == "problem"


def test_unread_entries_that_were_trimmed_are_a_problem(deployment: Deployment) -> None:
    for number in range(3):
        deployment.event(f"ticket-{number:04}", "replied", after=number)
    deployment.call("XTRIM", "witn:{0}:events", "MAXLEN", "1")
    one = named(report(deployment, 3), "partition 0")
    assert "trimmed before they were read" in one["found"]
    assert "witnd repair gap" in one["remedy"]


def test_events_that_nobody_reads_are_a_warning(deployment: Deployment) -> None:
    deployment.event("ticket-4711", "replied")
    one = named(report(deployment), "partition 0")
    assert (one["state"], "1 event behind" in one["found"]) == ("warning", True)
    assert "witnd run" in one["remedy"]


def test_an_outcome_that_is_overdue_is_a_warning(deployment: Deployment) -> None:
    deployment.apply()
    deployment.event("ticket-4711", "replied", at="*")
    deployment.work(lambda client: bool(client.zcard("witn:{0}:due")))
    key = deployment.keys().outcome("ticket-4711")
    assert "next due in" in named(report(deployment), "partition 0")["found"]
    # The set has lower bounds: one that has passed says nothing about the outcome.
    deployment.call("ZADD", "witn:{0}:due", LONG_AGO, "ticket-4711")
    assert "was due" not in named(report(deployment), "partition 0")["found"]
    # As after a pause of a day: the deadline itself has come, and nobody was there.
    fields = msgspec.msgpack.decode(unseal("ticket-4711", deployment.call("GET", key)))
    fields[OutcomeRecord.__struct_fields__.index("settles_at")] = now(deployment) - 24 * HOUR
    deployment.call("SET", key, seal("ticket-4711", msgspec.msgpack.encode(fields)))
    one = named(report(deployment), "partition 0", "warning")
    assert "an outcome was due 24 h ago" in one["found"]
    assert "witnd run" in one["remedy"]
    deployment.call("SET", deployment.keys().owner, "1:x:elsewhere", "PX", 10_000)
    assert "elsewhere" in named(report(deployment), "partition 0", "warning")["remedy"]


def test_held_and_rejected_events_are_told(deployment: Deployment) -> None:
    deployment.apply()
    deployment.event("ticket-4711", "replied", customer_key="penniless")
    deployment.call("XADD", "witn:{0}:events", "*", "data", "{")
    deployment.work()
    made = report(deployment)
    assert "1 key" in named(made, "held events", "warning")["found"]
    assert "1 event " in named(made, "rejected events")["found"]
    assert "penniless" in named(made, "rate cards", "warning")["found"]


def test_many_partitions_are_told_where_something_is_wrong(deployment: Deployment) -> None:
    deployment.environ["WITND_REDIS__PARTITIONS"] = "100"
    for number in range(30):
        deployment.call("XADD", f"witn:{{{number + 50}}}:events", "*", "data", "{")
    made = report(deployment)
    told = [one["name"] for one in made["checks"] if one["name"].startswith("partition ")]
    assert told == [f"partition {number}" for number in range(50, 70)]
    assert "70 of 100 have no owner" in named(made, "partitions", "note")["found"]
    assert "10 more" in named(made, "partitions", "warning")["found"]


def test_a_journal_that_no_daemon_is_sure_to_use_is_a_warning(deployment: Deployment, tmp_path: Path) -> None:
    write_journal(tmp_path, "gone", 7)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("witnd.config._state_dir", lambda _named, _environ: (tmp_path, False))
        one = named(report(deployment), "journal", "warning")
    assert "this state directory" in one["found"]


def test_an_endpoint_that_is_suspended_is_a_warning_with_the_rule(deployment: Deployment) -> None:
    deployment.apply()
    rule = rule_id("crm")
    state = EndpointState(failing_since=LONG_AGO, suspended_at=LONG_AGO, reason="answered 410")
    deployment.call("HSET", "witn:{shared}:endpoints", rule, encode_endpoint(state))
    deployment.call("ZADD", deployment.keys().parked(rule), LONG_AGO, "a" * 64)
    one = named(report(deployment), "endpoint", "warning")
    assert "answered 410" in one["found"]
    assert "1 delivery parked" in one["found"]
    assert "witnd deliveries resume crm" in one["remedy"]


def test_deliveries_that_are_not_queued_yet_are_a_note(deployment: Deployment) -> None:
    deployment.call("HSET", deployment.keys().unqueued, "ticket-0001", "x", "ticket-0002", "x")
    assert "2 outcomes are not queued" in named(report(deployment), "webhooks", "note")["found"]


def test_dead_letters_and_failing_endpoints_are_told(deployment: Deployment) -> None:
    deployment.apply()
    deployment.call(
        "HSET", "witn:{shared}:endpoints", rule_id("crm"), encode_endpoint(EndpointState(failing_since=LONG_AGO))
    )
    deployment.call("ZADD", deployment.keys().dead, LONG_AGO, "a" * 64)
    made = report(deployment)
    assert "crm" in named(made, "endpoint", "note")["found"]
    assert "resend" in named(made, "dead letters", "warning")["remedy"]


def test_a_period_that_ended_and_is_not_closed_says_why(deployment: Deployment) -> None:
    deployment.create()
    deployment.call("ZADD", BILLING.open, LONG_AGO, "a" * 64)
    assert "witnd run" in named(report(deployment), "period", "warning")["remedy"]
    deployment.call("SET", BILLING.owner, "1:x:elsewhere", "PX", 10_000)
    assert "waits for partition 0" in named(report(deployment), "period", "warning")["found"]
    deployment.call("HSET", deployment.keys().state, "cursor", f"{LONG_AGO}-0", "read", "1")
    deployment.call("XADD", deployment.keys().events, f"{LONG_AGO}-0", "witnd", "tick")
    assert "billing." in named(report(deployment), "period", "warning")["remedy"]


def test_a_draft_past_its_review_is_a_warning_where_witnd_issues(deployment: Deployment) -> None:
    deployment.call("ZADD", BILLING.to_issue, now(deployment) - 25 * HOUR, "a" * 64)
    assert "1 draft past" in named(report(deployment), "drafts", "warning")["found"]
    made = report(deployment, WITND_BILLING__ISSUE="manual")
    assert "1 draft" in named(made, "drafts", "note")["found"]
    deployment.environ.pop("WITND_BILLING__ISSUE")
    made = report(deployment, WITND_BILLING__GRACE="30h")
    assert "drafts" not in [one["name"] for one in made["checks"]]


def test_lines_that_nobody_collects_are_a_warning(deployment: Deployment) -> None:
    deployment.create()
    deployment.call("XADD", deployment.keys().lines, "1-0", "data", encode_record(line(Confirmed(0, LONG_AGO, "x"))))
    deployment.call("HSET", deployment.keys().state, "lines", "1")
    assert "1 partition" in named(report(deployment), "lines", "warning")["found"]
    deployment.call("HSET", BILLING.state, "read:0", "1 ab")
    assert "lines" not in [one["name"] for one in report(deployment)["checks"]]


def test_redis_that_has_less_than_the_journal_is_a_problem(deployment: Deployment, tmp_path: Path) -> None:
    deployment.create()
    write_journal(tmp_path, "d", 7)
    one = named(report(deployment, 3), "journal")
    assert "is at step 0 and was at step 7" in one["found"]
    deployment.call("HSET", "witn:{0}:state", "seq", "7")
    assert named(report(deployment), "journal")["state"] == "ok"
    deployment.call("DEL", "witn:meta")
    assert "witn:meta is lost" in named(report(deployment, 3), "data")["found"]
    deployment.call("DEL", "witn:{0}:state")
    assert "is empty" in named(report(deployment, 3), "journal")["found"]
    (tmp_path / "journal-witn.json").write_text("{")
    assert "is damaged" in named(report(deployment, 3), "journal")["found"]


def write_journal(directory: Path, deployment: str, sequence: int) -> None:
    journal = Journal(directory, "witn")
    journal.open(None)
    journal.begin(deployment)
    journal.note(0, sequence)
    journal.write()


def test_a_revoked_token_administrates_nothing(deployment: Deployment) -> None:
    text = deployment.witnd("tokens", "create", "ops", "--scope", "admin").stdout.strip()
    assert named(report(deployment), "tokens")["state"] == "ok"
    deployment.witnd("tokens", "revoke", text)
    one = named(report(deployment), "tokens")
    assert (one["state"], "--scope admin" in one["remedy"]) == ("note", True)


def test_a_mistake_in_the_configuration_ends_with_its_code(deployment: Deployment) -> None:
    deployment.environ["WITND_REDIS__PARTITION"] = "1"
    done = deployment.witnd("doctor", "--json")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "partition" in done.stderr


def test_only_one_redis_is_asked_and_only_in_its_thread(deployment: Deployment) -> None:
    """The command leaves no task and no connection behind."""
    before = deployment.call("INFO", "clients")["connected_clients"]
    report(deployment)
    assert deployment.call("INFO", "clients")["connected_clients"] == before
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()
    assert json.loads(deployment.witnd("doctor", "--json").stdout)["exit_code"] == 0
