"""`witnd repair`: entries ahead of the clock get new ids, a gap is accepted; nothing else changes."""

import asyncio
import json
from typing import Any, cast

import pytest
import redis

from tests.support.deployment import Deployment
from witnd.store.server.connection import connect
from witnd.store.server.scripts import Script

LOG = "witn:{0}:events"
HOUR = 3_600_000


def now(deployment: Deployment) -> int:
    seconds, microseconds = deployment.call("TIME")
    return seconds * 1000 + microseconds // 1000


def entries(deployment: Deployment) -> list[tuple[str, dict[bytes, bytes]]]:
    return [(id_.decode(), fields) for id_, fields in deployment.call("XRANGE", LOG, "-", "+")]


def info(deployment: Deployment) -> dict[str, Any]:
    with deployment.server.sync() as client:
        found = client.xinfo_stream(LOG)
    names = ("length", "entries-added", "last-generated-id", "max-deleted-entry-id")
    return {name: found[name] for name in names}


def ahead(deployment: Deployment, keys: list[str]) -> list[str]:
    """The clock was an hour ahead when these were accepted."""
    at = now(deployment) + HOUR
    return [deployment.event(key, "replied", at=f"{at + n}-5") for n, key in enumerate(keys)]


def test_without_yes_it_is_only_shown(deployment: Deployment) -> None:
    deployment.apply()
    deployment.event("ticket-0001", "replied")
    [first, second] = ahead(deployment, ["ticket-0002", "ticket-0003"])
    before = entries(deployment)
    shown = deployment.witnd("repair", "ahead")
    assert shown.exit_code == 0
    assert "2 entries to move" in shown.stdout
    assert first in shown.stdout
    assert second in shown.stdout
    assert "--yes" in shown.stdout
    assert entries(deployment) == before
    machine = deployment.json("repair", "ahead")["partitions"]
    assert machine == [
        {"partition": 0, "needed": True, "done": False, "count": 2,
         "entries": [{"old": first, "new": None}, {"old": second, "new": None}]}
    ]  # fmt: skip


def test_entries_ahead_are_moved_in_order_and_then_applied(deployment: Deployment) -> None:
    deployment.apply()
    deployment.event("ticket-0001", "replied")
    deployment.work()
    cursor = deployment.call("HGET", "witn:{0}:state", "cursor")
    old = ahead(deployment, ["ticket-0002", "ticket-0003", "ticket-0002"])
    followed = deployment.json("send", "ticket-0004", "replied", "--customer", "acme")["id"]
    assert followed > old[-1]
    before, added = entries(deployment), info(deployment)["entries-added"]
    [done] = deployment.json("repair", "ahead", "--yes")["partitions"]
    assert [one["old"] for one in done["entries"]] == [*old, followed]
    after = entries(deployment)
    assert [fields for _, fields in after] == [fields for _, fields in before]
    assert [id_ for id_, _ in after][-4:] == [one["new"] for one in done["entries"]]
    assert all(int(one["new"].split("-")[0]) <= now(deployment) for one in done["entries"])
    assert info(deployment)["entries-added"] == added == info(deployment)["length"]
    assert info(deployment)["max-deleted-entry-id"] <= cursor
    # New events get ids of now again, and the daemon goes on as if nothing had been.
    deployment.work()
    assert deployment.json("events", done["entries"][2]["new"])["fate"] == "applied"
    report = deployment.json("audit")
    assert report["events"]["applied"] == 5
    assert report["partitions"][0]["log"] == "compared"
    again = deployment.json("repair", "ahead", "--yes")["partitions"]
    assert again == [{"partition": 0, "needed": False, "done": False, "count": 0, "entries": []}]


def test_it_can_be_done_while_a_daemon_waits(deployment: Deployment) -> None:
    deployment.apply()
    with deployment.working():
        ahead(deployment, ["ticket-0001"])
        [done] = deployment.json("repair", "ahead", "--yes")["partitions"]
        [moved] = done["entries"]
        sent = deployment.json("send", "ticket-0001", "noted", "--customer", "acme", "--wait")
        assert sent["fate"]["fate"] == "applied"
        assert deployment.json("events", moved["new"])["fate"] == "applied"


def test_a_log_in_which_nothing_was_read_is_repaired_too(deployment: Deployment) -> None:
    """The greatest deleted id cannot be set back to nothing, and the daemon must see no loss."""
    deployment.apply()
    sound = [deployment.event(f"ticket-{n:04}", "replied", n) for n in range(3)]
    ahead(deployment, ["ticket-0003", "ticket-0004"])
    before = entries(deployment)
    assert deployment.witnd("repair", "ahead", "--yes").exit_code == 0
    after = entries(deployment)
    assert [id_ for id_, _ in after][:3] == sound
    assert [fields for _, fields in after] == [fields for _, fields in before]
    assert info(deployment)["entries-added"] == 5
    deployment.work()
    assert deployment.json("audit")["events"]["applied"] == 5


def test_a_log_that_has_nothing_else_is_repaired_too(deployment: Deployment) -> None:
    deployment.apply()
    ahead(deployment, ["ticket-0001"])
    assert deployment.witnd("repair", "ahead", "--yes").exit_code == 0
    deployment.work()
    assert deployment.json("audit")["events"]["applied"] == 1


def test_the_field_order_and_raw_bytes_of_an_entry_stay(deployment: Deployment) -> None:
    words = [b"b", b"1", b"a", b"\xff\x00", b"b", b"2"]
    deployment.call("XADD", LOG, f"{now(deployment) + HOUR}-0", *words)
    raw = 'return redis.call("XRANGE", KEYS[1], "-", "+")'
    [[_, before]] = deployment.call("EVAL", raw, 1, LOG)
    deployment.witnd("repair", "ahead", "--yes")
    [[_, after]] = deployment.call("EVAL", raw, 1, LOG)
    assert before == after == words


def test_less_than_a_minute_ahead_is_left_to_wait(deployment: Deployment) -> None:
    deployment.event("ticket-0001", "replied", at=f"{now(deployment) + 50_000}-0")
    shown = deployment.witnd("repair", "ahead", "--yes")
    assert shown.exit_code == 0
    assert "no entry is more than 60 s ahead" in shown.stdout


def test_what_was_already_applied_ahead_cannot_be_moved(deployment: Deployment) -> None:
    deployment.apply()
    deployment.event("ticket-0000", "replied")
    deployment.work()
    [id_] = ahead(deployment, ["ticket-0001"])
    deployment.call("HSET", "witn:{0}:state", "cursor", id_)
    refused = deployment.witnd("repair", "ahead", "--yes")
    assert refused.exit_code == 3
    assert f"was applied up to entry {id_}" in refused.stderr


def test_entries_ahead_that_somebody_deleted_are_left_as_a_gap(deployment: Deployment) -> None:
    deployment.apply()
    deployment.event("ticket-0001", "replied")
    deployment.work()
    deployment.call("XDEL", LOG, *ahead(deployment, ["ticket-0002"]))
    shown = deployment.witnd("repair", "ahead", "--yes")
    assert "the last id of the log is ahead" in shown.stdout
    sent = deployment.json("send", "ticket-0003", "replied", "--customer", "acme")["id"]
    assert int(sent.split("-")[0]) <= now(deployment)
    [gap] = deployment.json("repair", "gap")["partitions"]
    assert gap["needed"]
    assert deployment.witnd("repair", "gap", "--yes").exit_code == 0
    deployment.work()
    assert deployment.json("events", sent)["fate"] == "applied"


def test_only_the_named_partition_is_touched(sharded: Deployment) -> None:
    at = now(sharded) + HOUR
    for number in range(3):
        sharded.call("XADD", f"witn:{{{number}}}:events", f"{at}-0", "data", "{}")
    sharded.witnd("repair", "ahead", "--partition", "1", "--yes")
    ids = [sharded.call("XRANGE", f"witn:{{{n}}}:events", "-", "+")[0][0].decode() for n in range(3)]
    assert [id_ == f"{at}-0" for id_ in ids] == [True, False, True]


def lost(deployment: Deployment) -> list[str]:
    """One event read, two deleted unread, one left."""
    deployment.apply()
    deployment.event("ticket-0001", "replied")
    deployment.work()
    ids = [deployment.json("send", f"ticket-{n:04}", "replied", "--customer", "acme")["id"] for n in range(2, 5)]
    deployment.call("XDEL", LOG, *ids[:2])
    return ids


def test_a_gap_stops_the_daemon_until_it_is_accepted(deployment: Deployment) -> None:
    ids = lost(deployment)
    with pytest.raises(BaseExceptionGroup) as stopped:
        deployment.work()
    assert "witnd repair gap" in str(stopped.value.exceptions[0].exceptions)
    shown = deployment.witnd("repair", "gap")
    assert shown.exit_code == 0
    assert f"up to {ids[1]} were deleted" in shown.stdout
    assert "2 entries are missing" in shown.stdout
    assert "nothing was written" in shown.stdout
    done = deployment.json("repair", "gap", "--yes")["partitions"][0]
    assert (done["needed"], done["done"], done["deleted"], done["lost"]) == (True, True, ids[1], 2)
    assert not deployment.json("repair", "gap", "--yes")["partitions"][0]["needed"]
    deployment.work()
    assert deployment.json("events", ids[2])["fate"] == "applied"
    assert deployment.json("audit")["clean"]


def test_an_accepted_gap_does_not_hide_a_later_one(deployment: Deployment) -> None:
    ids = lost(deployment)
    deployment.witnd("repair", "gap", "--yes")
    deployment.call("XDEL", LOG, ids[2])
    assert deployment.json("repair", "gap")["partitions"][0]["needed"]


def test_a_gap_before_anything_was_read_is_accepted(deployment: Deployment) -> None:
    deployment.apply()
    first = deployment.event("ticket-0001", "replied")
    deployment.event("ticket-0002", "replied")
    deployment.call("XDEL", LOG, first)
    assert deployment.witnd("repair", "gap", "--yes").exit_code == 0
    deployment.work()
    assert deployment.json("audit")["events"]["applied"] == 1


def test_a_gap_is_not_accepted_while_a_daemon_works(deployment: Deployment) -> None:
    lost(deployment)
    deployment.call("SET", "witn:{0}:owner", "7:nonce:billing-1")
    refused = deployment.witnd("repair", "gap", "--yes")
    assert refused.exit_code == 3
    assert "a daemon works on partition 0 (billing-1)" in refused.stderr
    assert deployment.json("repair", "gap")["partitions"][0]["needed"]


def test_a_log_that_lost_what_was_read_is_no_gap(deployment: Deployment) -> None:
    deployment.apply()
    deployment.event("ticket-0001", "replied")
    deployment.work()
    deployment.call("HSET", "witn:{0}:state", "cursor", f"{now(deployment) + HOUR}-0")
    refused = deployment.witnd("repair", "gap", "--yes")
    assert refused.exit_code == 3
    assert "lost data, not a gap" in refused.stderr


def test_without_a_gap_there_is_nothing_to_accept(deployment: Deployment) -> None:
    assert "no entry is missing" in deployment.witnd("repair", "gap", "--yes").stdout
    deployment.apply()
    deployment.event("ticket-0001", "replied")
    deployment.work()
    assert "no entry is missing" in deployment.witnd("repair", "gap", "--yes").stdout
    assert json.loads(deployment.witnd("repair", "gap", "--json").stdout)["partitions"][0]["needed"] is False


def test_very_many_entries_are_moved_in_calls_of_a_bounded_size(deployment: Deployment) -> None:
    deployment.apply()
    deployment.event("ticket-0001", "replied")
    deployment.work()
    at = now(deployment) + HOUR
    with deployment.server.sync() as client, client.pipeline(transaction=False) as block:
        for number in range(2500):
            body = {"key": f"ticket-{number:04}", "action": "replied", "customer_key": "acme", "agent_key": "support"}
            block.execute_command("XADD", LOG, f"{at + number}-0", "data", json.dumps(body))
        block.execute()
    before = entries(deployment)
    [planned] = deployment.json("repair", "ahead")["partitions"]
    assert (planned["count"], planned["done"]) == (2500, False)
    assert "and 2300 more" in deployment.witnd("repair", "ahead").stdout
    [done] = deployment.json("repair", "ahead", "--yes")["partitions"]
    assert (done["count"], done["done"], len(done["entries"])) == (2500, True, 1000)
    assert [fields for _, fields in entries(deployment)] == [fields for _, fields in before]
    assert info(deployment)["entries-added"] == len(before)
    assert deployment.call("EXISTS", "witn:{0}:events:moving") == 0
    deployment.work()
    report = deployment.json("audit")
    assert report["events"]["applied"] + report["events"]["late"] == 2501
    assert report["partitions"][0]["log"] == "compared"


def looks(client: redis.Redis) -> int:
    """How often somebody read from a log."""
    found: int = client.info("commandstats").get("cmdstat_xread", {}).get("calls", 0)
    return found


@pytest.mark.parametrize("calls", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("read", [True, False])
def test_a_repair_that_was_interrupted_stops_the_daemon_and_goes_on(
    deployment: Deployment, calls: int, read: bool
) -> None:
    """After each of its calls: nothing is lost, nothing is applied out of order, and no gap is seen."""
    deployment.apply()
    if read:
        deployment.event("ticket-0001", "replied")
        deployment.work()
    at = now(deployment) + HOUR
    for number in range(7):
        deployment.event(f"ticket-{number:04}", "replied", at=f"{at + number}-0")
    total = len(entries(deployment))
    script = Script("log/repair_ahead")

    async def interrupted() -> list[bytes]:
        async with connect(deployment.server.url) as client:
            for _ in range(calls):
                keys = ["witn:{0}:events", "witn:{0}:state", "witn:{0}:events:moving"]
                answer = await script.run(client, keys, [60_000, "1", 3])
        return cast("list[bytes]", answer)

    # Seven entries, three a call: three calls take them out, and the third one and two more bring them back.
    assert (asyncio.run(interrupted())[0] == b"DONE") == (calls == 5)
    deployment.json("send", "ticket-0099", "replied", "--customer", "acme")
    with deployment.server.sync() as client:
        assert client.xlen("witn:{0}:events") + client.xlen("witn:{0}:events:moving") == total + 1
        cursor, before = client.hget("witn:{0}:state", "cursor"), looks(client)
        if calls < 5:
            deployment.work(lambda client: looks(client) >= before + 4)
            assert client.hget("witn:{0}:state", "cursor") == cursor
            [done] = deployment.json("repair", "ahead", "--yes")["partitions"]
            assert done["done"]
    deployment.work()
    report = deployment.json("audit")
    assert report["events"]["applied"] + report["events"]["late"] == 8 + read
    assert deployment.json("repair", "gap")["partitions"][0]["needed"] is False
