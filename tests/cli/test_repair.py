"""`witnd repair`: entries ahead of the clock get new ids, a gap is accepted; nothing else changes."""

import asyncio
import json
from typing import Any, cast

import pytest
import redis

from tests.support.workshop import Workshop
from witnd.store.server.connection import connect
from witnd.store.server.scripts import Script

LOG = "witn:{0}:events"
HOUR = 3_600_000


def now(shop: Workshop) -> int:
    seconds, microseconds = shop.call("TIME")
    return seconds * 1000 + microseconds // 1000


def entries(shop: Workshop) -> list[tuple[str, dict[bytes, bytes]]]:
    return [(id_.decode(), fields) for id_, fields in shop.call("XRANGE", LOG, "-", "+")]


def info(shop: Workshop) -> dict[str, Any]:
    with shop.server.sync() as client:
        found = client.xinfo_stream(LOG)
    names = ("length", "entries-added", "last-generated-id", "max-deleted-entry-id")
    return {name: found[name] for name in names}


def ahead(shop: Workshop, keys: list[str]) -> list[str]:
    """The clock was an hour ahead when these were accepted."""
    at = now(shop) + HOUR
    return [shop.event(key, "replied", at=f"{at + n}-5") for n, key in enumerate(keys)]


def test_without_yes_it_is_only_shown(shop: Workshop) -> None:
    shop.apply()
    shop.event("ticket-0001", "replied")
    [first, second] = ahead(shop, ["ticket-0002", "ticket-0003"])
    before = entries(shop)
    shown = shop.witnd("repair", "ahead")
    assert shown.exit_code == 0
    assert "2 entries to move" in shown.stdout
    assert first in shown.stdout
    assert second in shown.stdout
    assert "--yes" in shown.stdout
    assert entries(shop) == before
    machine = shop.json("repair", "ahead")["partitions"]
    assert machine == [
        {"partition": 0, "needed": True, "done": False, "count": 2,
         "entries": [{"old": first, "new": None}, {"old": second, "new": None}]}
    ]  # fmt: skip


def test_entries_ahead_are_moved_in_order_and_then_applied(shop: Workshop) -> None:
    shop.apply()
    shop.event("ticket-0001", "replied")
    shop.work()
    cursor = shop.call("HGET", "witn:{0}:state", "cursor")
    old = ahead(shop, ["ticket-0002", "ticket-0003", "ticket-0002"])
    followed = shop.json("send", "ticket-0004", "replied", "--customer", "acme")["id"]
    assert followed > old[-1]
    before, added = entries(shop), info(shop)["entries-added"]
    [done] = shop.json("repair", "ahead", "--yes")["partitions"]
    assert [one["old"] for one in done["entries"]] == [*old, followed]
    after = entries(shop)
    assert [fields for _, fields in after] == [fields for _, fields in before]
    assert [id_ for id_, _ in after][-4:] == [one["new"] for one in done["entries"]]
    assert all(int(one["new"].split("-")[0]) <= now(shop) for one in done["entries"])
    assert info(shop)["entries-added"] == added == info(shop)["length"]
    assert info(shop)["max-deleted-entry-id"] <= cursor
    # New events get ids of now again, and the daemon goes on as if nothing had been.
    shop.work()
    assert shop.json("events", done["entries"][2]["new"])["fate"] == "applied"
    report = shop.json("audit")
    assert report["events"]["applied"] == 5
    assert report["partitions"][0]["log"] == "compared"
    again = shop.json("repair", "ahead", "--yes")["partitions"]
    assert again == [{"partition": 0, "needed": False, "done": False, "count": 0, "entries": []}]


def test_it_can_be_done_while_a_daemon_waits(shop: Workshop) -> None:
    shop.apply()
    with shop.working():
        ahead(shop, ["ticket-0001"])
        [done] = shop.json("repair", "ahead", "--yes")["partitions"]
        [moved] = done["entries"]
        sent = shop.json("send", "ticket-0001", "noted", "--customer", "acme", "--wait")
        assert sent["fate"]["fate"] == "applied"
        assert shop.json("events", moved["new"])["fate"] == "applied"


def test_a_log_in_which_nothing_was_read_is_repaired_too(shop: Workshop) -> None:
    """The greatest deleted id cannot be set back to nothing, and the daemon must see no loss."""
    shop.apply()
    sound = [shop.event(f"ticket-{n:04}", "replied", n) for n in range(3)]
    ahead(shop, ["ticket-0003", "ticket-0004"])
    before = entries(shop)
    assert shop.witnd("repair", "ahead", "--yes").exit_code == 0
    after = entries(shop)
    assert [id_ for id_, _ in after][:3] == sound
    assert [fields for _, fields in after] == [fields for _, fields in before]
    assert info(shop)["entries-added"] == 5
    shop.work()
    assert shop.json("audit")["events"]["applied"] == 5


def test_a_log_that_has_nothing_else_is_repaired_too(shop: Workshop) -> None:
    shop.apply()
    ahead(shop, ["ticket-0001"])
    assert shop.witnd("repair", "ahead", "--yes").exit_code == 0
    shop.work()
    assert shop.json("audit")["events"]["applied"] == 1


def test_the_field_order_and_raw_bytes_of_an_entry_stay(shop: Workshop) -> None:
    words = [b"b", b"1", b"a", b"\xff\x00", b"b", b"2"]
    shop.call("XADD", LOG, f"{now(shop) + HOUR}-0", *words)
    raw = 'return redis.call("XRANGE", KEYS[1], "-", "+")'
    [[_, before]] = shop.call("EVAL", raw, 1, LOG)
    shop.witnd("repair", "ahead", "--yes")
    [[_, after]] = shop.call("EVAL", raw, 1, LOG)
    assert before == after == words


def test_less_than_a_minute_ahead_is_left_to_wait(shop: Workshop) -> None:
    shop.event("ticket-0001", "replied", at=f"{now(shop) + 50_000}-0")
    shown = shop.witnd("repair", "ahead", "--yes")
    assert shown.exit_code == 0
    assert "no entry is more than 60 s ahead" in shown.stdout


def test_what_was_already_applied_ahead_cannot_be_moved(shop: Workshop) -> None:
    shop.apply()
    shop.event("ticket-0000", "replied")
    shop.work()
    [id_] = ahead(shop, ["ticket-0001"])
    shop.call("HSET", "witn:{0}:state", "cursor", id_)
    refused = shop.witnd("repair", "ahead", "--yes")
    assert refused.exit_code == 3
    assert f"was applied up to entry {id_}" in refused.stderr


def test_entries_ahead_that_somebody_deleted_are_left_as_a_gap(shop: Workshop) -> None:
    shop.apply()
    shop.event("ticket-0001", "replied")
    shop.work()
    shop.call("XDEL", LOG, *ahead(shop, ["ticket-0002"]))
    shown = shop.witnd("repair", "ahead", "--yes")
    assert "the last id of the log is ahead" in shown.stdout
    sent = shop.json("send", "ticket-0003", "replied", "--customer", "acme")["id"]
    assert int(sent.split("-")[0]) <= now(shop)
    [gap] = shop.json("repair", "gap")["partitions"]
    assert gap["needed"]
    assert shop.witnd("repair", "gap", "--yes").exit_code == 0
    shop.work()
    assert shop.json("events", sent)["fate"] == "applied"


def test_only_the_named_partition_is_touched(sharded: Workshop) -> None:
    at = now(sharded) + HOUR
    for number in range(3):
        sharded.call("XADD", f"witn:{{{number}}}:events", f"{at}-0", "data", "{}")
    sharded.witnd("repair", "ahead", "--partition", "1", "--yes")
    ids = [sharded.call("XRANGE", f"witn:{{{n}}}:events", "-", "+")[0][0].decode() for n in range(3)]
    assert [id_ == f"{at}-0" for id_ in ids] == [True, False, True]


def lost(shop: Workshop) -> list[str]:
    """One event read, two deleted unread, one left."""
    shop.apply()
    shop.event("ticket-0001", "replied")
    shop.work()
    ids = [shop.json("send", f"ticket-{n:04}", "replied", "--customer", "acme")["id"] for n in range(2, 5)]
    shop.call("XDEL", LOG, *ids[:2])
    return ids


def test_a_gap_stops_the_daemon_until_it_is_accepted(shop: Workshop) -> None:
    ids = lost(shop)
    with pytest.raises(BaseExceptionGroup) as stopped:
        shop.work()
    assert "witnd repair gap" in str(stopped.value.exceptions[0].exceptions)
    shown = shop.witnd("repair", "gap")
    assert shown.exit_code == 0
    assert f"up to {ids[1]} were deleted" in shown.stdout
    assert "2 entries are missing" in shown.stdout
    assert "nothing was written" in shown.stdout
    done = shop.json("repair", "gap", "--yes")["partitions"][0]
    assert (done["needed"], done["done"], done["deleted"], done["lost"]) == (True, True, ids[1], 2)
    assert not shop.json("repair", "gap", "--yes")["partitions"][0]["needed"]
    shop.work()
    assert shop.json("events", ids[2])["fate"] == "applied"
    assert shop.json("audit")["clean"]


def test_an_accepted_gap_does_not_hide_a_later_one(shop: Workshop) -> None:
    ids = lost(shop)
    shop.witnd("repair", "gap", "--yes")
    shop.call("XDEL", LOG, ids[2])
    assert shop.json("repair", "gap")["partitions"][0]["needed"]


def test_a_gap_before_anything_was_read_is_accepted(shop: Workshop) -> None:
    shop.apply()
    first = shop.event("ticket-0001", "replied")
    shop.event("ticket-0002", "replied")
    shop.call("XDEL", LOG, first)
    assert shop.witnd("repair", "gap", "--yes").exit_code == 0
    shop.work()
    assert shop.json("audit")["events"]["applied"] == 1


def test_a_gap_is_not_accepted_while_a_daemon_works(shop: Workshop) -> None:
    lost(shop)
    shop.call("SET", "witn:{0}:owner", "7:nonce:billing-1")
    refused = shop.witnd("repair", "gap", "--yes")
    assert refused.exit_code == 3
    assert "a daemon works on partition 0 (billing-1)" in refused.stderr
    assert shop.json("repair", "gap")["partitions"][0]["needed"]


def test_a_log_that_lost_what_was_read_is_no_gap(shop: Workshop) -> None:
    shop.apply()
    shop.event("ticket-0001", "replied")
    shop.work()
    shop.call("HSET", "witn:{0}:state", "cursor", f"{now(shop) + HOUR}-0")
    refused = shop.witnd("repair", "gap", "--yes")
    assert refused.exit_code == 3
    assert "lost data, not a gap" in refused.stderr


def test_without_a_gap_there_is_nothing_to_accept(shop: Workshop) -> None:
    assert "no entry is missing" in shop.witnd("repair", "gap", "--yes").stdout
    shop.apply()
    shop.event("ticket-0001", "replied")
    shop.work()
    assert "no entry is missing" in shop.witnd("repair", "gap", "--yes").stdout
    assert json.loads(shop.witnd("repair", "gap", "--json").stdout)["partitions"][0]["needed"] is False


def test_very_many_entries_are_moved_in_calls_of_a_bounded_size(shop: Workshop) -> None:
    shop.apply()
    shop.event("ticket-0001", "replied")
    shop.work()
    at = now(shop) + HOUR
    with shop.server.sync() as client, client.pipeline(transaction=False) as block:
        for number in range(2500):
            body = {"key": f"ticket-{number:04}", "action": "replied", "customer_key": "acme", "agent_key": "support"}
            block.execute_command("XADD", LOG, f"{at + number}-0", "data", json.dumps(body))
        block.execute()
    before = entries(shop)
    [planned] = shop.json("repair", "ahead")["partitions"]
    assert (planned["count"], planned["done"]) == (2500, False)
    assert "and 2300 more" in shop.witnd("repair", "ahead").stdout
    [done] = shop.json("repair", "ahead", "--yes")["partitions"]
    assert (done["count"], done["done"], len(done["entries"])) == (2500, True, 1000)
    assert [fields for _, fields in entries(shop)] == [fields for _, fields in before]
    assert info(shop)["entries-added"] == len(before)
    assert shop.call("EXISTS", "witn:{0}:events:moving") == 0
    shop.work()
    report = shop.json("audit")
    assert report["events"]["applied"] + report["events"]["late"] == 2501
    assert report["partitions"][0]["log"] == "compared"


def looks(client: redis.Redis) -> int:
    """How often somebody read from a log."""
    found: int = client.info("commandstats").get("cmdstat_xread", {}).get("calls", 0)
    return found


@pytest.mark.parametrize("calls", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("read", [True, False])
def test_a_repair_that_was_interrupted_stops_the_daemon_and_goes_on(shop: Workshop, calls: int, read: bool) -> None:
    """After each of its calls: nothing is lost, nothing is applied out of order, and no gap is seen."""
    shop.apply()
    if read:
        shop.event("ticket-0001", "replied")
        shop.work()
    at = now(shop) + HOUR
    for number in range(7):
        shop.event(f"ticket-{number:04}", "replied", at=f"{at + number}-0")
    total = len(entries(shop))
    script = Script("log/repair_ahead")

    async def interrupted() -> list[bytes]:
        async with connect(shop.server.url) as client:
            for _ in range(calls):
                keys = ["witn:{0}:events", "witn:{0}:state", "witn:{0}:events:moving"]
                answer = await script.run(client, keys, [60_000, "1", 3])
        return cast("list[bytes]", answer)

    # Seven entries, three a call: three calls take them out, and the third one and two more bring them back.
    assert (asyncio.run(interrupted())[0] == b"DONE") == (calls == 5)
    shop.json("send", "ticket-0099", "replied", "--customer", "acme")
    with shop.server.sync() as client:
        assert client.xlen("witn:{0}:events") + client.xlen("witn:{0}:events:moving") == total + 1
        cursor, before = client.hget("witn:{0}:state", "cursor"), looks(client)
        if calls < 5:
            shop.work(lambda client: looks(client) >= before + 4)
            assert client.hget("witn:{0}:state", "cursor") == cursor
            [done] = shop.json("repair", "ahead", "--yes")["partitions"]
            assert done["done"]
    shop.work()
    report = shop.json("audit")
    assert report["events"]["applied"] + report["events"]["late"] == 8 + read
    assert shop.json("repair", "gap")["partitions"][0]["needed"] is False
