"""What simulations have found, each in a small test."""

import asyncio
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest
import structlog
from redis.asyncio import Redis

from tests.simulation.daemon import VirtualClock
from tests.simulation.database import Words
from tests.simulation.loop import VirtualLoop
from tests.simulation.network import Faults
from tests.simulation.simulation import Simulation
from tests.simulation.test_handover import quiet_plan
from witnd.daemon.sharing.sharing import Sharing
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.outcomes.partitioning import partition_of
from witnd.endpoint import endpoint
from witnd.engine.pipeline import Pipeline
from witnd.fold.actor import OnHold
from witnd.fold.hold import Damage
from witnd.fold.on_hold import hold_at
from witnd.fold.partition import Partition
from witnd.fold.step import Step
from witnd.store.daemons.registry import Daemon
from witnd.store.errors import Displaced, Fenced
from witnd.store.keys import GlobalKeys, Keys
from witnd.store.log.reader import Log
from witnd.store.partition.index_rebuild import rebuild_indexes
from witnd.store.server.retry import Retry

KEYS = Keys("witn", 0)
LEASE_SECONDS = 2.0


class OtherDaemon:
    """A registry in which another process has the same name. Its heartbeats arrive at these times."""

    instance = "a"

    def __init__(self, loop: VirtualLoop, *times: float) -> None:
        self._loop = loop
        self._times = times

    async def heartbeat(self, *_: Any, replace: str = "", **__: Any) -> dict[str, Daemon] | Daemon:
        if replace:
            return {}
        beats = sum(at <= self._loop.time() for at in self._times)
        return Daemon(beat=beats, partitions=(), nonce="other.host.1")


def join(*times: float) -> float:
    """Join, and return how long it took."""
    loop = VirtualLoop(Random(0))
    sharing = Sharing(cast("Any", OtherDaemon(loop, *times)), [], VirtualClock(loop, 0.0), LEASE_SECONDS)
    try:
        loop.run_until_complete(sharing._join())
        return loop.time()
    finally:
        loop.close()


def test_a_late_heartbeat_of_an_ended_process_is_no_second_daemon() -> None:
    assert join(0.0) == pytest.approx(LEASE_SECONDS, abs=0.3)
    assert join(0.0, 1.0) == pytest.approx(1.0 + LEASE_SECONDS, abs=0.5)


def test_a_second_daemon_is_refused_within_its_first_heartbeats() -> None:
    with pytest.raises(Displaced):
        join(*[number * 0.25 for number in range(100)])


async def test_a_daemon_that_lost_its_lease_does_not_rebuild_the_indexes_of_the_new_owner(
    redis_url: str, client: Redis
) -> None:
    await client.set(KEYS.owner, "2:nonce:new-owner")
    await client.zadd(KEYS.keys, {"ticket-1": 0})
    store = Log(endpoint(redis_url), KEYS, GlobalKeys("witn"), "test")
    try:
        assert not await rebuild_indexes(store, {"OPEN": 0}, "1:nonce:old-owner")
        assert await client.zcard(KEYS.keys) == 1
        assert await rebuild_indexes(store, {"OPEN": 0}, "2:nonce:new-owner")
    finally:
        store.close()


class AnsweringServer:
    """A connection on which every step gets the same reply."""

    def __init__(self, *reply: bytes) -> None:
        self._reply = list(reply)

    def send_packed(self, packed: bytes, replies: int) -> asyncio.Future[list[Any]]:
        future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        future.set_result([self._reply])
        return future

    async def wait(self, future: asyncio.Future[list[Any]], seconds: float) -> list[Any]:
        return await future


def pipeline(server: AnsweringServer) -> Pipeline:
    async def caller() -> AnsweringServer:
        return server

    async def verify() -> None:
        """The server is the same."""

    store = SimpleNamespace(keys=KEYS, caller=caller)
    memory = SimpleNamespace(
        partition=Partition(Catalogue()), store=store, retry=Retry(verify, lambda: 0.0), loading=[]
    )
    return Pipeline(
        cast("Any", memory),
        cast("Any", SimpleNamespace(retries=None)),
        fence="1:nonce:old-owner",
        sequence=0,
        actors_max=10,
        on_commit=lambda _: None,
        on_queued=lambda _: None,
        on_unqueued=lambda _: None,
        on_forwards=lambda: None,
    )


def step_with_hold() -> Step:
    step = Step()
    step.new_holds.append(OnHold("ticket-1", hold_at((0, 0), Damage("its list of held events is missing", None, None))))
    return step


async def test_a_hold_is_logged_only_when_its_step_is_written() -> None:
    fenced = pipeline(AnsweringServer(b"FENCED", b"2:nonce:new-owner"))
    with structlog.testing.capture_logs() as logs:
        await fenced._commit(step_with_hold(), 1)
        with pytest.raises(Fenced):
            await fenced._wait_for_commit()
    assert logs == []

    written = pipeline(AnsweringServer(b"OK", b"1"))
    with structlog.testing.capture_logs() as logs:
        await written._commit(step_with_hold(), 1)
        await written._wait_for_commit()
    assert [one["event"] for one in logs] == ["outcome.on_hold"]


class OutageAfterLoss(Simulation):
    """A partition loses a step. When a commit finds that, the server cannot be reached for a while."""

    async def _run(self) -> None:
        for host in self.hosts:
            self._start(host)
        key = self.plan.outcomes[0][0]
        await self._wait_for("the partitions are shared", 2.0, self._is_balanced)
        await self.producers.outcome(key, 0.0)
        keys = Keys("witn", partition_of(key, self.plan.partitions))
        self.server.run([b"HINCRBY", keys.state.encode(), b"seq", b"-1"])
        await asyncio.sleep(5)

    def _on_script(self, name: str, words: Words, reply: Any) -> None:
        super()._on_script(name, words, reply)
        if name == "commit" and reply[0] == b"SEQUENCE":
            self.network.faults = Faults(lost_before=1.0)
            self.loop.call_later(1.0, setattr, self.network, "faults", Faults(), context=self.loop.world.context)


def test_an_outage_does_not_release_the_lease_of_a_partition_that_lost_data() -> None:
    result = OutageAfterLoss(quiet_plan(1)).run()

    assert len(result.violations) == 1
    assert "partition.stopped" in result.violations[0], result.report()
