"""Which nodes and Sentinels are asked for the primary, in which order, and how often."""

import asyncio
from collections.abc import Sequence
from typing import Any

import hiredis
import pytest

from witnd.endpoint import Endpoint, endpoint
from witnd.store.errors import Moving, StoreRefused, StoreUnavailable, Unsafe
from witnd.store.server.routing import topology
from witnd.store.server.routing.topology import Topology

SENTINEL = endpoint("redis+sentinel://s1:1,s2:2/main/3")
CLUSTER = endpoint("redis+cluster://n1:1,n2:2")
OK, FAIL = b"cluster_state:ok\r\n", b"cluster_state:fail\r\n"


class Network:
    """Answers by address; what is missing does not answer."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Any]] = {}
        self.asked: list[str] = []

    async def ask(self, server: Endpoint, *_: Sequence[str]) -> list[Any]:
        name = f"{server.host}:{server.port}"
        self.asked.append(name)
        if name not in self.answers:
            raise StoreUnavailable(f"{name}: refused")
        return self.answers[name]


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    made = Network()
    monkeypatch.setattr(topology, "_ask", made.ask)
    monkeypatch.setattr(topology, "PAUSE_SECONDS", 0.0)
    return made


def named(host: str, port: int) -> list[Any]:
    return [[host.encode(), str(port).encode()]]


def covers(*ranges: tuple[int, int, str, int], state: bytes = OK) -> list[Any]:
    return [[[start, end, [host.encode(), port, b"id", []]] for start, end, host, port in ranges], state]


ROLE: list[Any] = [[b"master", 0, []]]
REPLICA: list[Any] = [[b"slave", b"p", 1, b"connected", 0]]


async def test_the_first_sentinel_that_names_a_primary_decides_and_is_asked_first_the_next_time(
    network: Network,
) -> None:
    found = Topology(SENTINEL)
    network.answers = {"s2:2": named("p", 9), "p:9": ROLE}
    assert str(await found.primary(7)) == "redis://p:9/3"
    assert network.asked == ["s1:1", "s2:2", "p:9"]
    await found.primary(8)
    assert len(network.asked) == 3  # from the cache
    found.forget()
    await found.primary(7)
    assert network.asked[3:] == ["s2:2", "p:9"]


async def test_a_primary_that_is_a_replica_is_not_used(network: Network) -> None:
    found = Topology(SENTINEL)
    network.answers = {"s1:1": named("old", 9), "s2:2": named("new", 9), "old:9": REPLICA, "new:9": ROLE}
    assert (await found.primary(0)).host == "new"
    network.answers["new:9"] = REPLICA
    found.forget()
    with pytest.raises(Moving, match="is a replica"):
        await found.primary(0)


async def test_an_unknown_name_is_a_mistake_at_the_start_and_refused_later(network: Network) -> None:
    found = Topology(SENTINEL)
    network.answers = {"s1:1": [None], "s2:2": [None]}
    with pytest.raises(Unsafe, match="watches no primary called 'main'"):
        await found.check([0])
    with pytest.raises(StoreRefused, match="watches no primary"):
        await found.primary(0)


async def test_nobody_answers(network: Network) -> None:
    for server in (SENTINEL, CLUSTER):
        with pytest.raises(StoreUnavailable, match="none of the addresses"):
            await Topology(server).check([0])


async def test_a_server_of_another_kind_is_named(network: Network) -> None:
    network.answers = {"s1:1": [hiredis.ReplyError("ERR unknown command 'SENTINEL', with args")]}
    with pytest.raises(Unsafe, match="s1:1 is not a Redis Sentinel"):
        await Topology(SENTINEL).check([0])
    network.answers = {"n1:1": [hiredis.ReplyError("ERR This instance has cluster support disabled"), b""]}
    with pytest.raises(Unsafe, match="n1:1 is not a node of a cluster"):
        await Topology(CLUSTER).check([0])


async def test_a_node_that_sees_the_cluster_down_is_believed_only_if_all_do(network: Network) -> None:
    found = Topology(CLUSTER)
    network.answers = {
        "n1:1": covers((0, 16383, "old", 1), state=FAIL),
        "n2:2": covers((0, 8191, "a", 1), (8192, 16383, "b", 2)),
    }
    assert [one.host for one in await found.check([0, 8191, 8192])] == ["a", "b"]
    network.answers.pop("n2:2")
    found.forget()
    assert (await found.primary(0)).host == "old"


async def test_nodes_that_are_found_are_asked_too(network: Network) -> None:
    found = Topology(CLUSTER)
    network.answers = {"n1:1": covers((0, 16383, "a", 1))}
    await found.primary(0)
    network.answers = {"a:1": covers((0, 16383, "b", 1))}
    found.forget()
    assert (await found.primary(0)).host == "b"


async def test_a_node_without_an_address_is_the_one_that_was_asked(network: Network) -> None:
    network.answers = {"n1:1": [[[0, 16383, [None, 7, b"id", []]]], OK]}
    assert str(await Topology(CLUSTER).primary(0)) == "redis://n1:7/0"


async def test_uncovered_slots(network: Network) -> None:
    found = Topology(CLUSTER)
    network.answers = {"n1:1": covers((0, 99, "a", 1))}
    assert (await found.primary(99)).host == "a"
    with pytest.raises(Unsafe, match="uncovered slots: 16284 of 16384"):
        await found.check([100])


async def test_many_failures_share_a_lookup(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topology, "PAUSE_SECONDS", 0.05)
    found = Topology(CLUSTER)
    network.answers = {"n1:1": covers((0, 16383, "n1", 1))}
    await found.primary(0)
    began = asyncio.get_running_loop().time()
    for _ in range(10):
        found.forget()
    await asyncio.gather(*[found.primary(0) for _ in range(10)])
    assert network.asked == ["n1:1", "n1:1"]
    # It waits for those that come soon after.
    assert asyncio.get_running_loop().time() - began >= 0.04


async def test_a_call_during_a_lookup_waits_for_it(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Topology(CLUSTER)
    answers = asyncio.Event()

    async def ask(server: Endpoint, *commands: Sequence[str]) -> list[Any]:
        await answers.wait()
        return await network.ask(server, *commands)

    monkeypatch.setattr(topology, "_ask", ask)
    for host, port in (("n1", 1), ("n2", 2)):
        network.answers = {"n1:1": covers((0, 16383, host, port))}
        answers.clear()
        calls = [asyncio.create_task(found.primary(0)) for _ in range(3)]
        await asyncio.sleep(0)
        calls.append(asyncio.create_task(found.primary(0)))
        await asyncio.sleep(0)
        answers.set()
        assert [one.host for one in await asyncio.gather(*calls)] == [host] * 4, "not what was known before"
        found.forget()
    assert network.asked == ["n1:1", "n1:1"]


async def test_calls_that_wait_for_a_lookup_share_its_failure(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ask(server: Endpoint, *commands: Sequence[str]) -> list[Any]:
        await asyncio.sleep(0)
        return await network.ask(server, *commands)

    monkeypatch.setattr(topology, "_ask", ask)
    found = Topology(CLUSTER)
    failed = await asyncio.gather(*[found.primary(0) for _ in range(5)], return_exceptions=True)
    assert all(isinstance(one, StoreUnavailable) for one in failed), failed
    assert network.asked == ["n1:1", "n2:2"]
    network.answers = {"n1:1": covers((0, 16383, "a", 1))}
    assert (await found.primary(0)).host == "a"
