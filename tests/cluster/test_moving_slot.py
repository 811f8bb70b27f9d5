"""A slot that is moved key by key: nothing is written in part, and no key that was moved counts as missing."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.servers import Cluster, cluster
from witnd.endpoint import endpoint
from witnd.store.errors import Moving
from witnd.store.keys import GlobalKeys, Keys
from witnd.store.log.reader import Log
from witnd.store.partition.commit import Commit, finish
from witnd.store.server.routing.client import connect
from witnd.store.server.routing.wires import Wires

pytestmark = pytest.mark.slow
KEYS = Keys("witn", 0)
FENCE = "1:nonce:test"


@pytest.fixture
def servers(short_dir: Path) -> Iterator[Cluster]:
    with cluster(short_dir, replicas=False) as found:
        yield found


@pytest.fixture
async def log(servers: Cluster) -> AsyncIterator[Log]:
    made = Log(endpoint(servers.url), KEYS, GlobalKeys("witn"), "test")
    yield made
    made.close()


@pytest.fixture
async def wires(servers: Cluster) -> AsyncIterator[Wires]:
    made = Wires(endpoint(servers.url), "test")
    yield made
    made.close()


def step(expected: int) -> Commit:
    commit = Commit(KEYS, expected)
    commit.add("HSET", KEYS.state, "cursor", f"{expected}-0")
    commit.add("SET", KEYS.outcome(f"ticket-{expected}"), "new")
    return commit


async def write(log: Log, commit: Commit) -> bool:
    packed, caller = commit.packed(FENCE), await log.caller()
    replies = await caller.wait(caller.send_packed(packed.by_digest(), 1), 5)
    return await finish(caller, packed, replies, 5)


async def test_a_step_is_written_completely_or_not_at_all_while_its_slot_moves(servers: Cluster, log: Log) -> None:
    servers.call("SET", KEYS.owner, FENCE, key=KEYS.owner)
    assert await write(log, step(0))
    source = servers.owner(KEYS.state)
    target = next(node for node in servers.primaries if node is not source)

    servers.begin_move(KEYS.state, target)
    with pytest.raises(Moving):
        await write(log, step(1))
    state: Any = source.call("HGETALL", KEYS.state)
    assert state[b"seq"] == b"1"
    assert state[b"cursor"] == b"0-0"

    servers.move_slot(KEYS.state, target)
    assert await write(log, step(1))
    assert await log.ask(("HGET", KEYS.state, "cursor")) == [b"1-0"]
    assert not await write(log, step(1))  # it is there already


async def test_a_missing_key_of_a_moving_slot_is_no_answer(servers: Cluster, wires: Wires) -> None:
    target = next(node for node in servers.primaries if node is not servers.owner(KEYS.state))
    servers.begin_move(KEYS.state, target)
    with pytest.raises(Moving):
        await wires.ask(("HGETALL", KEYS.state), seconds=5)
    with pytest.raises(Moving):
        await wires.ask(("EXISTS", KEYS.owner), seconds=5)


async def test_a_client_looks_up_the_new_primary_after_one_refusal(servers: Cluster) -> None:
    async with connect(endpoint(servers.url)) as client:
        await client.set(KEYS.owner, "1")
        target = next(node for node in servers.primaries if node is not servers.owner(KEYS.state))
        servers.move_slot(KEYS.owner, target)
        refused = None
        try:
            await client.get(KEYS.owner)
        except Exception as error:
            refused = error
        assert type(refused).__name__ == "MovedError"
        assert await client.get(KEYS.owner) == b"1"
