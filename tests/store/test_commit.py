"""The commit on a real server: it does what the dictionary model does, once, and only for the owner."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from tests.engine.model import KEYS, Drive
from tests.oracle.logs import cuts, logs
from tests.support.searches import examples
from witnd.endpoint import endpoint
from witnd.store.errors import Fenced, Unsafe
from witnd.store.partition import commit as commits
from witnd.store.partition.commit import Commit, finish
from witnd.store.server import wire

pytestmark = pytest.mark.anyio
FENCE = "1:nonce:here"
SECONDS = 5.0


class Server(Drive):
    """A drive whose commits go to a real server too."""

    def __init__(self, client: Redis, *args: Any) -> None:
        super().__init__(*args)
        self.client = client
        client.flushall()
        client.set(KEYS.owner, FENCE)

    def written(self, commit: Commit) -> None:
        super().written(commit)
        packed = commit.packed(FENCE)
        answer = self.client.eval(commits.SOURCE, *_tail(packed))
        assert answer[0] == b"OK"


def _tail(packed: Any) -> list[Any]:
    """The words of a packed step, read back from what goes over the wire."""
    reader = wire.hiredis.Reader()
    reader.feed(packed.with_source())
    return reader.gets()[2:]


def snapshot(client: Redis) -> dict[str, Any]:
    """Everything in the server, in the model's shapes."""
    found: dict[str, Any] = {}
    for raw in client.scan_iter(count=1000):
        name = raw.decode()
        kind = client.type(raw)
        if kind == b"string":
            found[name] = client.get(raw)
        elif kind == b"list":
            found[name] = client.lrange(raw, 0, -1)
        elif kind == b"hash":
            found[name] = dict(client.hgetall(raw))
        elif kind == b"set":
            found[name] = set(client.smembers(raw))
        elif kind == b"zset":
            found[name] = {member: int(score) for member, score in client.zrange(raw, 0, -1, withscores=True)}
        else:
            found[name] = [fields[b"data"] for _, fields in client.xrange(raw)]
    return found


def as_bytes(value: Any) -> Any:
    if isinstance(value, dict):
        return {as_bytes(key): as_bytes(one) for key, one in value.items()}
    if isinstance(value, set):
        return {as_bytes(one) for one in value}
    return value.encode() if isinstance(value, str) else value


def _word(value: Any) -> bytes:
    return str(value).encode() if isinstance(value, int) else value


@settings(
    deadline=None,
    max_examples=examples(40),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data(), log=logs())
def test_a_server_holds_what_the_dictionary_model_holds(redis_url, data, log):
    entries, changes = log
    cut = data.draw(cuts(len(entries)))

    with Redis(unix_socket_path=redis_url.removeprefix("unix://"), protocol=2) as client:
        run = Server(client, changes, 0, 1, 1000)
        run.all(entries, cut)
        found = snapshot(client)

    found.pop(KEYS.owner)
    state = found.pop(KEYS.state)
    expected = {name: as_bytes(value) for name, value in run.model.data.items() if value != {}}
    expected_state = expected.pop(KEYS.state)
    written = {name: value for name, value in state.items() if name not in (b"seq", b"digest")}
    assert {name: _word(value) for name, value in expected_state.items()} == written
    assert str(run.sequence).encode() == state[b"seq"]
    assert expected == found


@pytest.fixture
async def caller(redis_url, client):
    one = await wire.connect(endpoint(redis_url), "test")
    await client.set(KEYS.owner, FENCE)
    yield one
    one.close()


def step(expected: int, value: str = "a") -> Any:
    commit = Commit(KEYS, expected)
    commit.add("RPUSH", KEYS.history("ticket-1"), value)
    return commit.packed(FENCE)


async def send(caller: Any, packed: Any) -> bool:
    return await finish(caller, packed, await caller.send_packed(packed.by_digest(), 1), SECONDS)


async def test_a_step_is_written_once_however_often_it_is_sent(caller, client):
    first = step(0)

    assert await send(caller, first)
    assert not await send(caller, first)

    assert await client.lrange(KEYS.history("ticket-1"), 0, -1) == [b"a"]


def numbered(expected: int, *numbers: int) -> Any:
    commit = Commit(KEYS, expected)
    commit.add("RPUSH", KEYS.history("ticket-1"), "a")
    for number in numbers:
        commit.add("XADD", KEYS.lines, f"{number}-0", "data", "{}")
    return commit.packed(FENCE)


async def test_numbered_entries_follow_each_other(caller, client):
    assert await send(caller, numbered(0, 1, 2))
    assert await send(caller, numbered(1, 3))

    assert [id_ for id_, _ in await client.xrange(KEYS.lines)] == [b"1-0", b"2-0", b"3-0"]


@pytest.mark.parametrize("last", ["2-0", "2-7", "9-0", "1700000000000-3"])
async def test_a_number_that_the_stream_has_passed_refuses_the_whole_step(caller, client, last):
    await client.xadd(KEYS.lines, {"data": "other"}, id=last)
    await client.xtrim(KEYS.lines, maxlen=0)  # what is trimmed counts as well

    with pytest.raises(Unsafe, match=rf"the next entry of witn:\{{0\}}:lines is 2-0, and the stream is at {last}"):
        await send(caller, numbered(0, 2))

    assert not await client.exists(KEYS.history("ticket-1"), KEYS.state)
    assert await client.xlen(KEYS.lines) == 0


async def test_a_script_that_was_flushed_is_sent_with_its_source(caller, client):
    assert await send(caller, step(0))
    await client.script_flush()

    assert await send(caller, step(1))


async def test_another_owner_writes_nothing(caller, client):
    await client.set(KEYS.owner, "2:other:there")

    with pytest.raises(Fenced, match="2:other:there"):
        await send(caller, step(0))

    assert not await client.exists(KEYS.history("ticket-1"), KEYS.state)


async def test_an_expired_lease_writes_nothing(caller, client):
    await client.delete(KEYS.owner)

    with pytest.raises(Fenced):
        await send(caller, step(0))

    assert not await client.exists(KEYS.history("ticket-1"), KEYS.state)


@pytest.mark.parametrize("expected", [1, 7])
async def test_a_step_out_of_sequence_writes_nothing_and_says_that_data_is_missing(caller, client, expected):
    with pytest.raises(Unsafe, match=f"it is at step 0, and step {expected} was written"):
        await send(caller, step(expected))

    assert not await client.exists(KEYS.history("ticket-1"), KEYS.state)


async def test_another_step_with_the_number_of_a_written_one_is_refused(caller, client):
    await send(caller, step(0, "a"))

    with pytest.raises(Unsafe):
        await send(caller, step(0, "b"))

    assert await client.lrange(KEYS.history("ticket-1"), 0, -1) == [b"a"]
