"""A client of redis-py that routes each command to the primary of its key, for Sentinels and clusters.

It has the interface of the client for one server, as far as the store uses it.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, cast

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline, PubSub
from redis.asyncio.connection import AbstractConnection, ConnectionPool

from witnd.endpoint import Endpoint
from witnd.store.server import connection as direct
from witnd.store.server.routing.slots import phases, slot_of, slots_of
from witnd.store.server.routing.topology import Topology, is_replica, replica_refusal, topology_of

__all__ = ["connect", "is_cluster"]

# Errors after which the primary is looked up again.
_LOST: Final = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.ReadOnlyError,
    exceptions.AskError,  # and MovedError
    exceptions.TryAgainError,
    exceptions.ClusterDownError,  # and MasterDownError
)


def connect(server: Endpoint, *, connections: int = direct.CONNECTIONS, work: str = "this command") -> Redis:
    """Return a client for calls that do not block. `connections` and `work`: as for one server, for each primary."""
    if server.mode == "single":
        return direct.connect(server, connections=connections, work=work)
    return Router(server, connections, work)


def is_cluster(client: Redis) -> bool:
    """Return whether the keys of a client are on several primaries."""
    return isinstance(client, Router) and client.server.mode == "cluster"


class Router(Redis):
    """Routes commands. It has a client for each primary, and connects at the first call."""

    def __init__(self, server: Endpoint, connections: int, work: str) -> None:
        super().__init__(connection_pool=ConnectionPool(max_connections=1))  # never used
        self.server = server
        self._connections = connections
        self._work = work
        self._clients: dict[Endpoint, Redis] = {}

    async def aclose(self, close_connection_pool: bool | None = None) -> None:  # noqa: FBT001 - as in redis-py
        for client in self._clients.values():
            await client.aclose(close_connection_pool)

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        async with self.primary(slots_of([args])[0]) as client:
            return await client.execute_command(*args, **options)  # type: ignore[no-untyped-call]

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:  # noqa: ARG002, FBT001, FBT002 - as in redis-py
        return RoutedPipeline(self, is_transaction=transaction)

    def pubsub(self, **options: Any) -> PubSub:
        return cast(PubSub, _Subscription(self, options))

    @asynccontextmanager
    async def primary(self, slot: int) -> AsyncIterator[Redis]:
        """Open the client of the primary of a slot. After an error inside, the primary is looked up again."""
        topology = topology_of(self.server)
        server = await topology.primary(slot)
        client = self._clients.get(server)
        if client is None:
            check = partial(_check_role, topology, server)
            client = self._clients[server] = direct.connect(
                server, connections=self._connections, work=self._work, on_connect=check
            )
        try:
            yield client
        except _LOST:
            topology.forget(server)
            # The other idle connections are probably lost too. Each would have to time out.
            await client.connection_pool.disconnect(inuse_connections=False)
            raise


class RoutedPipeline(Pipeline):
    """A pipeline that runs as one pipeline in each slot. A transaction must be in one slot."""

    def __init__(self, router: Router, *, is_transaction: bool) -> None:
        super().__init__(router.connection_pool, router.response_callbacks, is_transaction, None)
        self._router = router

    async def execute(self, raise_on_error: bool = True) -> list[Any]:  # noqa: FBT001, FBT002 - as in redis-py
        stack = list(self.command_stack)
        await self.reset()  # type: ignore[no-untyped-call]
        slots = slots_of([args for args, _ in stack])
        if self.is_transaction and len(set(slots)) > 1:
            raise RuntimeError(f"a transaction must use keys of one slot, got {[args[:2] for args, _ in stack]}")
        found: list[Any] = [None] * len(stack)
        for phase in phases(slots):
            await self._run_phase(phase, stack, found)
        if raise_on_error:
            self.raise_first_error(stack, found)
        return found

    async def _run_phase(self, phase: Mapping[int, list[int]], stack: Sequence[Any], found: list[Any]) -> None:
        calls = [self._run(slot, [stack[place] for place in places]) for slot, places in phase.items()]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        for places, replies in zip(phase.values(), answers, strict=True):
            if isinstance(replies, BaseException):
                raise replies
            for place, reply in zip(places, replies, strict=True):
                found[place] = reply

    async def _run(self, slot: int, stack: list[Any]) -> list[Any]:
        replies: list[Any] = []
        try:
            async with self._router.primary(slot) as client:
                pipeline = client.pipeline(transaction=self.is_transaction)
                pipeline.command_stack = stack
                replies = await pipeline.execute(raise_on_error=False)
                if (lost := next((one for one in replies if isinstance(one, _LOST)), None)) is not None:
                    raise lost
        except exceptions.ResponseError:
            if not replies:
                raise
        return replies


class _Subscription:
    """The part of a PubSub that the store uses. It connects to the primary of the first channel."""

    def __init__(self, router: Router, options: Mapping[str, Any]) -> None:
        self._router = router
        self._options = options
        self._inner: PubSub | None = None

    async def subscribe(self, channel: str) -> None:
        async with self._router.primary(slot_of(channel)) as client:
            self._inner = client.pubsub(**self._options)
            await self._inner.subscribe(channel)

    async def get_message(self, timeout: float) -> Any:  # noqa: ASYNC109 - as in redis-py
        assert self._inner is not None, "subscribe first"
        return await self._inner.get_message(timeout=timeout)

    async def ping(self) -> None:
        assert self._inner is not None, "subscribe first"
        await self._inner.ping()

    async def aclose(self) -> None:
        if self._inner is not None:
            await self._inner.aclose()  # type: ignore[no-untyped-call]


async def _check_role(topology: Topology, server: Endpoint, connection: AbstractConnection) -> None:
    """Log in, and check that the server is a primary."""
    await connection.on_connect()
    await connection.send_command("ROLE")
    try:
        role = await connection.read_response()
    except exceptions.NoPermissionError:
        return
    if is_replica(role):
        topology.forget(server)
        await connection.disconnect()
        raise replica_refusal(server)
