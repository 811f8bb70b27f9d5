"""What was notified and then lost by Redis is noticed by the next start."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import CATALOGUE, SECONDS, Daemon, event, rule
from tests.support.processes import until
from tests.support.receiver import receiver
from tests.support.server import Server
from witnd.store.keys import BillingKeys, GlobalKeys


def test_a_step_that_was_notified_and_lost_with_the_daemon_is_noticed_at_the_next_start(server, daemon) -> None:
    redis = server()
    one = daemon(redis, webhooks__allow_networks="127.0.0.0/8")
    failed = threading.Event()

    def power_fails() -> None:
        one.process.kill()
        redis.kill()
        failed.set()

    with receiver(power_fails) as (url, _):
        one.begins(CATALOGUE + rule(url))
        before = redis.file_sizes()
        one.send("ticket-0001")
        assert failed.wait(SECONDS)
    redis.cut(before)
    redis.start()

    refused = daemon(redis)
    assert refused.exit_code() == 3
    assert "Redis lost data" in refused.log


DAY = {"billing__period": "day", "billing__grace": "0"}
BILLING = BillingKeys("witn")


def send_long_ago(server: Server) -> None:
    server.call("XADD", "witn:{0}:events", "1000000000000-0", "data", json.dumps(event("ticket-0001")))


def issue_first_invoice(one: Daemon) -> None:
    """An outcome of long ago: its period is over, and its invoice is issued at once."""
    send_long_ago(one.server)
    until(lambda: numbers(one.server) == ["INV-000001"], "the first invoice is issued", seconds=SECONDS)


def numbers(server: Server) -> list[str]:
    found: Any = server.call("HKEYS", BILLING.numbers)
    return sorted(name.decode() for name in found)


def remembered(one: Daemon) -> dict[str, Any]:
    try:
        return json.loads((one.state_dir / "journal-witn.json").read_text())
    except FileNotFoundError:
        return {}


def restore(server: Server, before: dict[Path, int]) -> None:
    server.stop()
    server.cut(before)
    server.start()


def test_numbers_that_redis_lost_are_refused_and_never_given_again_after_the_loss_is_accepted(server, daemon) -> None:
    redis = server()
    one = daemon(redis, **DAY)
    one.begins()
    before = redis.file_sizes()
    issue_first_invoice(one)
    until(lambda: remembered(one)["series"] == {"INV": 1}, "the journal has the number", seconds=SECONDS)
    assert one.terminate() == 0
    restore(redis, before)

    refused = daemon(redis, **DAY)
    assert refused.exit_code() == 3
    assert "the last number of series INV is 0, but 1 was already issued" in refused.log
    assert "witnd repair journal" in refused.log
    assert "INV continues after 1" in refused.witnd("repair", "journal").stdout
    doctor = refused.witnd("doctor", "--json")
    assert doctor.returncode == 3
    assert "series INV" in doctor.stdout
    audit = refused.witnd("audit", "--json")
    assert audit.returncode == 5
    assert "series INV" in audit.stdout
    assert daemon(redis, **DAY).exit_code() == 3  # showing it has accepted nothing
    accepted = refused.witnd("repair", "journal", "--yes")
    assert accepted.returncode == 0, accepted.stderr
    assert b"journal.accept" in redis.call("XREVRANGE", GlobalKeys("witn").changes, "+", "-")[0][1][b"data"]

    two = daemon(redis, **DAY)
    two.says("daemon.ready")
    send_long_ago(redis)
    until(lambda: numbers(redis) == ["INV-000002"], "the next number", seconds=SECONDS)
    assert two.terminate() == 0
    clean = two.witnd("audit")
    assert clean.returncode == 0, clean.stdout + clean.stderr


def test_a_series_that_goes_back_under_a_running_daemon_stops_its_invoices_alone(server, daemon) -> None:
    redis = server()
    one = daemon(redis, **DAY)
    one.begins()
    issue_first_invoice(one)
    until(lambda: remembered(one)["series"] == {"INV": 1}, "the journal has the number", seconds=SECONDS)
    redis.call("HDEL", BILLING.series, "INV")

    blocked = one.says("billing.blocked")
    assert "series INV is 0" in blocked["reason"]
    assert any("no invoices are made" in alarm for alarm in one.get("/readyz")[1]["alarms"])
    one.send("ticket-0002")
    until(lambda: redis.call("HGET", "witn:{0}:state", "applied") == b"2", "events are applied", seconds=SECONDS)
    assert numbers(redis) == ["INV-000001"]
    assert one.terminate() == 0
    assert daemon(redis, **DAY).exit_code() == 3


def test_a_command_does_not_give_a_number_that_this_host_remembers(server, daemon) -> None:
    redis = server()
    manual = {"billing__period": "day", "billing__issue": "manual"}
    one = daemon(redis, **manual)
    one.begins()
    send_long_ago(redis)
    until(lambda: redis.call("ZCARD", BILLING.invoices) == 1 and not redis.call("EXISTS", BILLING.open), "a draft")
    assert one.terminate() == 0
    journal = remembered(one)
    (one.state_dir / "journal-witn.json").write_text(json.dumps(journal | {"series": {"INV": 7}}))
    [invoice] = redis.call("ZRANGE", BILLING.invoices, 0, -1)

    issued = one.witnd("invoices", "issue", invoice.decode())
    assert issued.returncode == 3, issued.stdout
    assert "7 was already issued" in issued.stderr
    assert numbers(redis) == []


@pytest.mark.parametrize("again", [False, True])
def test_a_catalogue_that_redis_lost_is_noticed_also_when_another_version_took_its_place(server, daemon, again) -> None:
    redis = server()
    one = daemon(redis)
    one.begins()
    assert one.terminate() == 0
    before = redis.file_sizes()
    other = daemon(redis)
    other.begins(CATALOGUE.replace('price_per_unit = "1"', 'price_per_unit = "5"'))
    other.send("ticket-0001")
    other.settles(1)
    assert other.terminate() == 0
    restore(redis, before)
    if again:
        other.apply(CATALOGUE.replace('price_per_unit = "1"', 'price_per_unit = "2"'))

    refused = daemon(redis)
    assert refused.exit_code() == 3
    assert "catalogue" in refused.log
