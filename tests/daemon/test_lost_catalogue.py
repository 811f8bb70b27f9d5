"""A price that Redis lost is noticed before anything is billed, and written back by `witnd repair catalogue`."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.daemon import CATALOGUE, SECONDS, Daemon
from tests.support.processes import until
from tests.support.server import Server
from witnd.store.keys import BillingKeys

PRICE = 'price_per_unit = "1"'


def lose(server: Server, before: dict[Path, int]) -> None:
    """Kill the server, and lose what it wrote since."""
    server.kill()
    server.cut(before)
    server.start()


def priced(price: str) -> str:
    return CATALOGUE.replace(PRICE, f'price_per_unit = "{price}"')


def prices(server: Server) -> dict[str, str]:
    """Outcome → the price that it was billed at."""
    entries: Any = server.call("XRANGE", "witn:{0}:resolutions", "-", "+")
    found = [json.loads(fields[b"data"]) for _, fields in entries]
    return {one["outcome_key"]: one["price_per_unit"] for one in found}


def copied(daemon: Daemon, text: str) -> None:
    path = daemon.state_dir / "catalogue-witn.jsonl"
    until(lambda: path.exists() and text in path.read_text(), "the copy of the catalogue is written", seconds=SECONDS)


def begun(server: Callable[[], Server], daemon: Callable[..., Daemon]) -> tuple[Server, Daemon]:
    """A daemon that has billed at 1."""
    redis = server()
    one = daemon(redis)
    one.begins()
    one.send("ticket-0001")
    one.settles(1)
    # The invoices must be at rest, or a copy of the files made now loses one of their steps too.
    until(lambda: redis.call("ZCARD", BillingKeys("witn").open) == 1, "the line is in a draft")
    return redis, one


def test_a_price_that_redis_lost_bills_nothing_before_it_is_repaired(server, daemon) -> None:
    redis, one = begun(server, daemon)
    before = redis.file_sizes()
    one.apply(priced("5.00"))
    copied(one, '"5"')
    lose(redis, before)
    one.send("ticket-0002")

    assert one.exit_code() == 3
    assert "Redis lost data: the catalogue has 3 versions, but 4 were read from it: version 4 is missing" in one.log
    assert "witnd repair catalogue" in one.log
    following = daemon(redis)
    assert following.exit_code() == 3
    assert "version 4 is missing" in following.log
    assert prices(redis) == {"ticket-0001": "1"}

    doctor = json.loads(one.witnd("doctor", "--json").stdout)
    [check] = [check for check in doctor["checks"] if check["name"] == "versions"]
    assert (check["state"], "version 4 is missing" in check["found"]) == ("problem", True)
    assert doctor["exit_code"] == 3

    shown = json.loads(one.witnd("repair", "catalogue", "--json").stdout)
    assert (shown["needed"], shown["done"], shown["redis"], shown["catalogue"]) == (True, False, 3, 4)
    assert [(lost["number"], lost["kind"], lost["key"]) for lost in shown["lost"]] == [(4, "rate_card", "standard")]
    done = one.witnd("repair", "catalogue", "--yes")
    assert done.returncode == 0, done.stderr

    repaired = daemon(redis)
    repaired.settles(2)
    assert prices(redis) == {"ticket-0001": "1", "ticket-0002": "5"}
    assert not json.loads(one.witnd("repair", "catalogue", "--json").stdout)["needed"]


def test_a_lost_price_is_noticed_though_another_change_restores_the_number_of_versions(server, daemon) -> None:
    redis, one = begun(server, daemon)
    before = redis.file_sizes()
    one.apply(priced("5.00"))
    copied(one, '"5"')
    one.process.send_signal(signal.SIGSTOP)
    lose(redis, before)
    one.apply(priced("7.00"))
    one.send("ticket-0002")
    one.process.send_signal(signal.SIGCONT)

    assert one.exit_code() == 3
    assert "not the 4 that were read from it" in one.log
    assert prices(redis) == {"ticket-0001": "1"}
    shown = json.loads(one.witnd("repair", "catalogue", "--yes", "--json").stdout)
    assert shown["done"]
    assert [again["key"] for again in shown["again"]] == ["standard"]

    # The event was accepted while 5.00 was in force; 7.00 follows from the repair on.
    repaired = daemon(redis)
    repaired.settles(2)
    repaired.send("ticket-0003")
    repaired.settles(3)
    assert prices(redis) == {"ticket-0001": "1", "ticket-0002": "5", "ticket-0003": "7"}
    log: Any = redis.call("XRANGE", "witn:{shared}:changes", "-", "+")
    assert "catalogue.repair" in [json.loads(fields[b"data"])["what"] for _, fields in log]


def test_a_copy_that_cannot_be_written_raises_an_alarm_and_ends_nothing(server, daemon, short_dir) -> None:
    redis = server()
    (short_dir / "state" / "catalogue-witn.jsonl").mkdir(parents=True)
    one = daemon(redis)
    one.says("catalogue.copy_failed")
    one.begins()
    one.send("ticket-0001")
    one.settles(1)
    assert any("copy of the catalogue" in alarm for alarm in one.get("/readyz")[1]["alarms"])
    assert one.terminate() == 0
