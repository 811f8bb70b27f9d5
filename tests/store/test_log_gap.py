"""Every entry that a log ever had is read, or still to be read, or was accepted as lost."""

from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import pytest
import redis
from redis.asyncio import Redis

from tests.support.processes import until
from tests.support.server import Server
from witnd.domain.catalogue.chain import EMPTY
from witnd.store.errors import Unsafe
from witnd.store.keys import Keys
from witnd.store.log.gap import repair_gap
from witnd.store.records.log_snapshot import LogSnapshot, check_snapshot, entry_id, stream_positions

KEYS = Keys("witn", 0)
LOG, STATE = KEYS.events, KEYS.state

pytestmark = pytest.mark.anyio


class Books:
    """A log beside a list of what was ever added, and a reader with a cursor."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self.count = 0
        self.cursor, self.read = "0-0", 0

    def add(self, many: int, *options: str) -> None:
        with self.client.pipeline(transaction=True) as block:
            for _ in range(many):
                self.count += 1
                block.execute_command("XADD", LOG, *options, f"{self.count}-0", "data", "x")
            block.execute()

    def take(self, most: int = 1000) -> list[tuple[int, int]]:
        """What a read brings; `advance` counts it as read."""
        found = self.client.xrange(LOG, f"({self.cursor}", "+", count=most)
        return [entry_id(one) for one, _ in found]

    def advance(self, most: int = 1000) -> None:
        if entries := self.take(most):
            self.cursor, self.read = f"{entries[-1][0]}-{entries[-1][1]}", self.read + len(entries)
            self.client.hset(STATE, mapping={"cursor": self.cursor, "read": self.read})

    def reload(self) -> None:
        cursor, read = self.client.hmget(STATE, "cursor", "read")
        self.cursor, self.read = (cursor or b"0-0").decode(), int(read or 0)

    def snapshot(self) -> LogSnapshot:
        flat = self.client.eval(
            "return redis.call('EXISTS', KEYS[1]) == 1 and redis.call('XINFO', 'STREAM', KEYS[1]) or {}", 1, LOG
        )
        return LogSnapshot(0, EMPTY, 0, *stream_positions(flat))

    def problem(self, entries: list[tuple[int, int]] | None = None) -> str | None:
        """What the daemon would stop with, after it read `entries` behind the cursor."""
        try:
            check_snapshot(self.snapshot(), entry_id(self.cursor), self.read, entries or ())
        except Unsafe as found:
            return str(found)
        return None


@pytest.fixture
def books(session_server: Server, redis_url: str) -> Iterator[Books]:
    with session_server.sync() as client:
        yield Books(client)


async def accepted(books: Books, client: Redis) -> int | None:
    """Accept the gap; how many entries it says are missing."""
    assert (await repair_gap(client, KEYS, do=False)).done is False
    gap = await repair_gap(client, KEYS, do=True)
    assert gap.done
    books.reload()
    assert books.problem() is None
    assert (await repair_gap(client, KEYS, do=True)).needed is False
    return gap.lost


async def test_entries_added_and_trimmed_in_one_transaction_are_missed(books: Books, client: Redis) -> None:
    books.add(10)
    books.advance()
    books.add(20, "MAXLEN", "5")
    assert "15 entries after 10-0 were trimmed" in str(books.problem())
    assert "15 entries" in str(books.problem(books.take()))
    assert "entries" in str(books.problem(books.take(2)))
    # Whoever took the rest for all there is sees it as well, at once and after a restart.
    rest = books.take()
    books.cursor, books.read = f"{rest[-1][0]}-0", books.read + len(rest)
    assert "15 entries" in str(books.problem())
    books.client.hset(STATE, mapping={"cursor": books.cursor, "read": books.read})
    assert await accepted(books, client) == 15
    assert books.client.hmget(STATE, "gaps", "lost") == [b"1", b"15"]


async def test_an_entry_added_and_deleted_before_a_later_one_is_missed(books: Books, client: Redis) -> None:
    books.add(3)
    books.advance()
    books.add(2)
    books.client.xdel(LOG, "4-0")
    assert "entries up to 4-0 were deleted" in str(books.problem(books.take()))
    assert await accepted(books, client) == 1


async def test_a_log_that_was_deleted_and_recreated_is_another_one(books: Books, client: Redis) -> None:
    books.add(30)
    books.advance()
    books.add(10)
    books.client.delete(LOG)
    books.add(1)
    assert "deleted and recreated" in str(books.problem())
    assert "deleted and recreated" in str(books.problem(books.take()))
    assert await accepted(books, client) is None
    books.advance()
    assert books.problem() is None


@pytest.mark.parametrize("more", [0, 1, 29, 30, 31, 100])
async def test_however_many_entries_a_new_log_has_it_is_not_the_old_one(books: Books, more: int, client: Redis) -> None:
    books.add(30)
    books.advance()
    books.client.delete(LOG)
    books.add(more)
    assert books.problem(books.take()) is not None
    assert books.problem(books.take(3)) is not None
    await accepted(books, client)


async def test_a_log_that_was_deleted_with_all_of_it_read_can_be_accepted(books: Books, client: Redis) -> None:
    books.add(3)
    books.advance()
    books.client.delete(LOG)
    assert "the log ends at 0-0" in str(books.problem())
    await accepted(books, client)
    books.add(2)
    assert len(books.take()) == 2
    assert books.problem(books.take()) is None


async def test_a_log_under_another_name_is_missed_and_another_in_its_place_too(books: Books) -> None:
    books.add(5)
    books.advance()
    books.client.rename(LOG, "elsewhere")
    assert books.problem() is not None
    for number in range(3):
        books.client.xadd("other", {"a": "1"}, id=f"{100 + number}-0")
    books.client.rename("other", LOG)
    assert books.problem(books.take()) is not None


async def test_a_number_of_entries_set_by_hand_does_not_add_up(books: Books) -> None:
    books.add(5)
    books.advance()
    books.client.execute_command("XSETID", LOG, "5-0", "ENTRIESADDED", "9")
    assert "4 entries" in str(books.problem())
    books.client.execute_command("XSETID", LOG, "5-0", "ENTRIESADDED", "5")
    assert books.problem() is None


async def test_a_last_id_set_forward_is_not_a_loss(books: Books) -> None:
    books.add(5)
    books.advance()
    books.client.execute_command("XSETID", LOG, "50-0")
    assert books.problem() is None
    books.client.xadd(LOG, {"a": "1"}, id="51-0")
    assert books.problem(books.take()) is None


@pytest.mark.parametrize(("read", "taken"), list(product((0, 1, 5, 10), (0, 1, 4, 10))))
async def test_what_was_read_may_be_trimmed_and_deleted(books: Books, read: int, taken: int) -> None:
    """No false alarm: whatever of the read entries goes, before and after the next ones are read."""
    books.add(10)
    if read:
        books.advance(read)
    for kept in range(10, 10 - read - 1, -1):
        books.client.xtrim(LOG, maxlen=kept, approximate=False)
        entries = books.take(taken) if taken else []
        assert books.problem(entries) is None
    books.add(3)
    entries = books.take(taken) if taken else []
    assert books.problem(entries) is None
    for number in range(1, read + 1):
        books.client.xdel(LOG, f"{number}-0")
        assert books.problem(entries) is None


async def test_entries_trimmed_after_they_were_read_are_not_missing(books: Books) -> None:
    books.add(10)
    books.advance(4)
    entries = books.take(3)
    for kept in (5, 4, 3, 2, 0):
        books.client.xtrim(LOG, maxlen=kept, approximate=False)
        assert (books.problem(entries) is None) == (kept >= 3), kept


async def test_the_number_of_missing_entries_is_counted_page_by_page(books: Books, client: Redis) -> None:
    books.add(400)
    books.advance(100)
    books.client.xdel(LOG, *[f"{number}-0" for number in range(150, 160)])
    assert await accepted(books, client) == 10
    books.advance(150)
    assert books.problem() is None
    books.advance()
    assert books.problem() is None
    assert books.read == 400


async def test_what_redis_says_of_a_log_outlives_copies_rewrites_and_restarts(
    server: Callable[..., Server], short_dir: Path
) -> None:
    own = server()
    with own.sync() as client:
        books = Books(client)
        books.add(20)
        books.advance()
        books.client.xtrim(LOG, maxlen=5, approximate=False)
        books.client.xdel(LOG, "18-0")
        copy = client.dump(LOG)
        assert isinstance(copy, bytes)
        client.delete(LOG)
        client.restore(LOG, 0, copy)
        assert books.problem() is None
    for preamble in ("yes", "no"):
        with own.sync() as client:
            client.config_set("aof-use-rdb-preamble", preamble)
            client.bgrewriteaof()
            until(lambda: not client.info("persistence")["aof_rewrite_in_progress"], "the rewrite")
            own.stop()
        own.start()
        with own.sync() as client:
            books.client = client
            assert books.problem() is None
            assert books.snapshot().added == 20
