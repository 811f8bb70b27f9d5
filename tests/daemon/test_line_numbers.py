"""The real daemon stops its invoices, and only them, where the lines are not those that it has billed."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.daemon import SECONDS, Daemon
from tests.support.processes import until
from tests.support.server import Server
from witnd.store.keys import BillingKeys, Keys

BILLING = BillingKeys("witn")
KEYS = Keys("witn", 0)


def settle(one: Daemon, count: int) -> None:
    done = one.resolved()
    for number in range(done, done + count):
        one.send(f"ticket-{number}")
    one.settles(done + count)
    assert one.process.poll() is None


def read(redis: Server) -> bytes:
    found: Any = redis.call("HGET", BILLING.state, "read:0")
    return bytes(found or b"")


def collects(redis: Server, number: int) -> None:
    until(lambda: read(redis).startswith(b"%d " % number), f"line {number} is in a draft", seconds=SECONDS)


def stored(redis: Server) -> list[tuple[bytes, bytes]]:
    entries: Any = redis.call("XRANGE", KEYS.lines, "-", "+")
    return [(id_, fields[b"data"]) for id_, fields in entries]


def rewrite(redis: Server, entries: list[tuple[bytes, bytes]]) -> None:
    redis.call("DEL", KEYS.lines)
    for id_, data in entries:
        redis.call("XADD", KEYS.lines, id_, "data", data)


def billed(redis: Server) -> int:
    """Lines of all drafts together."""
    ids: Any = redis.call("ZRANGE", BILLING.invoices, 0, -1)
    counts: list[Any] = [redis.call("HGET", BILLING.invoice(id_.decode()), "lines") for id_ in ids]
    return sum(map(int, counts))


def started(redis: Server, daemon: Callable[..., Daemon]) -> Daemon:
    one = daemon(redis)
    one.begins()
    settle(one, 3)
    collects(redis, 3)
    assert [id_ for id_, _ in stored(redis)] == [b"1-0", b"2-0", b"3-0"]
    return one


def test_lines_that_are_trimmed_block_the_invoices_and_partitions_go_on(server, daemon) -> None:
    redis = server()
    one = started(redis, daemon)
    assert one.terminate() == 0
    redis.call("XTRIM", KEYS.lines, "MAXLEN", "0")

    again = daemon(redis)
    blocked = again.says("billing.blocked")
    assert blocked["reason"] == "line 3 is missing from witn:{0}:lines"
    assert "backup" in blocked["remedy"]
    settle(again, 2)
    assert read(redis).startswith(b"3 ")
    assert billed(redis) == 3
    assert again.terminate() == 0


def test_lines_that_are_deleted_unread_block_the_invoices_and_partitions_go_on(server, daemon) -> None:
    redis = server()
    one = started(redis, daemon)
    assert one.terminate() == 0
    position = read(redis)
    redis.call("HSET", KEYS.state, "lines", "5")  # as if two more had been written, and then deleted

    again = daemon(redis)
    assert again.says("billing.blocked")["reason"] == "lines 4 to 5 are missing from witn:{0}:lines"
    settle(again, 1)
    assert [id_ for id_, _ in stored(redis)][-1] == b"6-0"
    assert read(redis) == position
    assert again.terminate() == 0


def test_another_line_under_the_same_number_blocks_the_invoices(server, daemon) -> None:
    redis = server()
    one = started(redis, daemon)
    one.kill()
    entries = stored(redis)
    rewrite(redis, [*entries[:2], (entries[2][0], entries[2][1].replace(b'"unit":"1"', b'"unit":"2"'))])

    again = daemon(redis)
    assert "line 3 of witn:{0}:lines was changed" in again.says("billing.blocked")["reason"]
    settle(again, 1)
    assert billed(redis) == 3
    rewrite(redis, [*entries, *stored(redis)[3:]])
    collects(redis, 4)
    assert again.terminate() == 0


def test_equal_lines_under_the_same_numbers_are_skipped(server, daemon) -> None:
    redis = server()
    one = started(redis, daemon)
    one.kill()
    rewrite(redis, stored(redis))

    again = daemon(redis)
    again.says("daemon.ready")
    settle(again, 2)
    collects(redis, 5)
    assert billed(redis) == 5
    assert not again.lines("billing.blocked")
    assert again.terminate() == 0


def test_a_stream_of_lines_that_others_wrote_to_stops_the_daemon_before_a_line_is_lost(server, daemon) -> None:
    redis = server()
    one = started(redis, daemon)
    redis.call("XADD", KEYS.lines, "*", "data", "{}")
    one.send("ticket-late")
    assert one.exit_code() == 3
    assert "the next entry of witn:{0}:lines is 4-0" in one.log
    assert one.resolved() == 3


@pytest.mark.parametrize("id_", ["*", "4-0"])
def test_the_remedy_for_entries_that_others_wrote_among_the_lines_works(server, daemon, id_) -> None:
    redis = server()
    one = started(redis, daemon)
    junk = redis.call("XADD", KEYS.lines, id_, "data", "{}").decode()
    blocked = one.says("billing.blocked")
    assert f"`XDEL {KEYS.lines} ID`" in blocked["remedy"]
    assert f"`XSETID {KEYS.lines} N-0`" in blocked["remedy"]
    one.send("ticket-late")
    assert one.exit_code() == 3
    assert f"`XSETID {KEYS.lines} N-0`" in one.log.splitlines()[-1]

    redis.call("XDEL", KEYS.lines, junk)
    redis.call("XSETID", KEYS.lines, junk, "MAXDELETEDID", "0-1")
    redis.call("XSETID", KEYS.lines, "3-0")
    one = daemon(redis)
    one.settles(4)
    collects(redis, 4)
    assert billed(redis) == 4
