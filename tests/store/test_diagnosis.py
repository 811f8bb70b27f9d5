"""What is read for `witnd doctor`: from a real server, in few calls, with nothing written."""

from collections.abc import AsyncIterator, Callable

import pytest
from redis.asyncio import Redis

from tests.billing.harness import Confirmed, line
from tests.support.server import Server as RealServer
from witnd.clock import Clock
from witnd.doctor.data_probe import Data, read_data
from witnd.doctor.probe import PINGS, commands, read_server
from witnd.endpoint import endpoint
from witnd.settings import Durability
from witnd.store.errors import StoreRefused, StoreUnavailable, Unsafe
from witnd.store.keys import BillingKeys, GlobalKeys, Keys
from witnd.store.records.json_record import encode_record
from witnd.store.server import wire

SERVER = Durability("server")
BILLING = BillingKeys("witn")


@pytest.fixture
async def connection(redis_url: str) -> AsyncIterator[wire.Wire]:
    opened = await wire.connect(endpoint(redis_url), "test")
    yield opened
    opened.close()


async def surveyed(connection: wire.Wire, partitions: int = 1, grace_ms: int | None = 0) -> Data:
    return await read_data(connection, "witn", partitions, ["rule-1"], grace_ms)


async def test_a_server_tells_its_figures_delays_clock_and_rights(redis_url: str) -> None:
    found = await read_server(endpoint(redis_url), "witn", SERVER, Clock())
    assert found.info["role"] == "master"
    assert found.open_config
    assert found.health.config["appendfsync"] == "everysec"
    assert len(found.round_trips) == PINGS
    assert 0 < found.median_ms <= max(found.round_trips)
    assert abs(found.off_ms) <= found.within_ms + 5
    assert (found.user, found.refused, found.missing) == ("default", [], [])


async def test_every_command_that_is_asked_about_is_one_that_the_server_has(redis_url: str, client: Redis) -> None:
    for durability in (SERVER, Durability("fsync"), Durability("replica", 2)):
        found = await read_server(endpoint(redis_url), "witn", durability, Clock())
        assert (found.missing, found.refused) == ([], [])
    assert await client.dbsize() == 0


async def test_what_scripts_call_is_asked_about() -> None:
    """A command in a script is held against the user's rights, too."""
    import re
    from pathlib import Path

    import witnd.store

    asked = {str(command[0]) for command in commands(Keys("witn", 0), GlobalKeys("witn"), SERVER)}
    repairs = {"repair_ahead.lua", "repair_gap.lua"}
    scripts = [one for one in Path(witnd.store.__path__[0]).glob("*.lua") if one.name not in repairs]
    called = {name for one in scripts for name in re.findall(r"redis\.p?call\(\s*'([A-Z]+)'", one.read_text())}
    assert called - asked == set()


async def test_a_clock_that_is_off_is_measured(redis_url: str) -> None:
    class Slow(Clock):
        def now_ms(self) -> int:
            return super().now_ms() - 90_000

    found = await read_server(endpoint(redis_url), "witn", SERVER, Slow())
    assert 89_000 < found.off_ms < 91_000


async def test_a_server_that_is_away_is_unavailable(server: Callable[..., RealServer]) -> None:
    own = server()
    own.stop()
    with pytest.raises(StoreUnavailable):
        await read_server(endpoint(own.url), "witn", SERVER, Clock())


async def test_who_may_not_even_ask_for_figures_is_refused(server: Callable[..., RealServer]) -> None:
    own = server()
    own.call("ACL", "SETUSER", "poor", "on", ">secret", "~witn:*", "+@all", "-info")
    with pytest.raises(StoreRefused):
        await read_server(endpoint(own.url.replace("unix://", "unix://poor:secret@")), "witn", SERVER, Clock())


async def test_an_empty_server_has_partitions_in_which_nothing_happened(connection: wire.Wire) -> None:
    found = await surveyed(connection, partitions=40)
    assert [part.number for part in found.parts] == list(range(40))
    assert {(part.owner, part.lag, part.missing, part.overdue, part.held) for part in found.parts} == {
        (None, 0, None, None, 0)
    }
    assert (found.books.owner, found.books.first_end, found.books.past_grace) == (None, None, 0)


async def test_partitions_are_told_apart(connection: wire.Wire, client: Redis) -> None:
    keys = Keys("witn", 21)
    await client.xadd(keys.events, {"data": "{"})
    await client.set(keys.owner, "3:nonce:host-1", px=9000)
    await client.zadd(keys.held, {"ticket-4711": 5})
    await client.zadd(keys.parked("rule-1"), {"a": 1, "b": 2})
    found = await surveyed(connection, partitions=40)
    part = found.parts[21]
    assert part.owner is not None
    assert (part.owner.instance, 0 < part.owner.left_ms <= 9000) == ("host-1", True)
    assert (part.lag, part.held, part.held_since, part.parked) == (1, 1, 5, {"rule-1": 2})
    assert sum(one.lag for one in found.parts) == 1


async def test_the_first_line_that_waits_is_found(connection: wire.Wire, client: Redis) -> None:
    keys = Keys("witn", 0)
    for number in (1, 2, 3):
        await client.xadd(keys.lines, {"data": encode_record(line(Confirmed(0, 100 * number, "x")))}, id=f"{number}-0")
    await client.hset(keys.state, "lines", 3)
    assert (await surveyed(connection)).books.uncollected == {0: 100}
    await client.hset(BILLING.state, "read:0", "1 ab")
    assert (await surveyed(connection)).books.uncollected == {0: 200}
    await client.hset(BILLING.state, "read:0", "3 ab")
    assert (await surveyed(connection)).books.uncollected == {}


async def test_drafts_are_past_their_review_by_the_end_of_their_period(connection: wire.Wire, client: Redis) -> None:
    now = int((await client.time())[0]) * 1000
    await client.zadd(BILLING.to_issue, {"old": now - 50_000, "new": now - 10_000})
    books = (await surveyed(connection, grace_ms=30_000)).books
    assert (books.to_issue, books.past_grace, books.first_past) == (2, 1, now - 50_000)
    assert (await surveyed(connection, grace_ms=None)).books.past_grace == 0


@pytest.mark.parametrize(
    "key", ["witn:{0}:due", "witn:{0}:events", "witn:{shared}:billing:open", "witn:{shared}:endpoints"]
)
async def test_a_key_of_another_type_is_unsafe(connection: wire.Wire, client: Redis, key: str) -> None:
    await client.set(key, "x")
    with pytest.raises(Unsafe, match="another type"):
        await surveyed(connection)


@pytest.mark.parametrize("record", ["{", '{"v":2}'])
async def test_a_token_that_cannot_be_read_is_named(connection: wire.Wire, client: Redis, record: str) -> None:
    await client.hset("witn:{shared}:tokens", "id", record)
    assert (await surveyed(connection)).unreadable_tokens == ["id"]


async def test_who_may_not_read_is_refused(server: Callable[..., RealServer]) -> None:
    own = server()
    own.call("ACL", "SETUSER", "poor", "on", ">secret", "~other:*", "+@all")
    connection = await wire.connect(endpoint(own.url.replace("unix://", "unix://poor:secret@")), "test")
    try:
        with pytest.raises(StoreRefused):
            await surveyed(connection)
    finally:
        connection.close()
