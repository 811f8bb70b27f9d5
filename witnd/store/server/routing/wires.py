"""Connections that are routed to the primary of the keys they use.

After an error that means another server is the primary now, a connection is closed once its replies are read, and the
primary is looked up again for the next one.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import hiredis

from witnd.endpoint import Endpoint
from witnd.store.errors import StoreUnavailable
from witnd.store.server import wire
from witnd.store.server.connection import REROUTES
from witnd.store.server.routing.slots import SHARED_SLOT, Command, phases, slot_of, slots_of
from witnd.store.server.routing.topology import Topology, is_replica, replica_refusal, topology_of
from witnd.store.server.wire import CANCELLED, CLOSED, Wire, check_replies

__all__ = ["Connection", "Wires", "connect", "open_primary"]

_SILENT: Final = (CLOSED, CANCELLED)


class RoutedWire(Wire):
    """A connection to a primary. `lost` is called when the primary must be looked up again."""

    def __init__(self, name: str, lost: Callable[[], None]) -> None:
        super().__init__(name)
        self._report = lost
        self._is_stale = False

    @property
    def open(self) -> bool:
        return super().open and not self._is_stale

    def _take(self, reply: Any) -> None:
        super()._take(reply)
        if isinstance(reply, hiredis.ReplyError) and str(reply).partition(" ")[0] in REROUTES:
            self.expire()
        elif self._is_stale and not self._waiting:
            self.close()

    def expire(self) -> None:
        """Close the connection after its pending replies. The next one is opened to the new primary."""
        self._is_stale = True
        self._report()
        if not self._waiting:
            self.close()

    def close(self, reason: str = CLOSED) -> None:
        if self._lost is None and reason not in _SILENT:
            self._report()
        super().close(reason)


class Connection(wire.Connection):
    """A connection to the primary of a key, opened at its first use and again after it was lost."""

    def __init__(self, endpoint: Endpoint, name: str, key: str) -> None:
        super().__init__(endpoint, name)
        self._key = key

    async def _open(self) -> Wire:
        return await connect(self.endpoint, self._name, self._key)

    def expire(self) -> None:
        """Look up the primary again for the next use."""
        if isinstance(self._wire, RoutedWire):
            self._wire.expire()


class Wires:
    """Runs commands on keys of any slots, over one connection to each primary. On a single server it is one connection.

    Commands on several slots are not one atomic read: each slot is read on its own, the shared slot last.
    """

    def __init__(self, endpoint: Endpoint, name: str) -> None:
        self._endpoint = endpoint
        self._name = name
        self._is_single = endpoint.mode == "single"
        self._wires: dict[Endpoint, Wire] = {}
        self._connecting = asyncio.Lock()

    def close(self) -> None:
        for connection in self._wires.values():
            connection.close()

    async def wire(self, key: str | None = None) -> Wire:
        """Return the connection to the primary of a key, by default of the shared keys."""
        return await self._wire(SHARED_SLOT if key is None else slot_of(key))

    async def primary(self, key: str) -> Endpoint:
        """Return the endpoint of the primary of a key."""
        return await topology_of(self._endpoint).primary(slot_of(key))

    async def by_primary(self, keys: Sequence[str]) -> dict[Wire, list[int]]:
        """Return the connection for each key, with the places of its keys."""
        found: dict[Wire, list[int]] = {}
        for place, key in enumerate(keys):
            found.setdefault(await self.wire(key), []).append(place)
        return found

    async def ask(self, *commands: Command, seconds: float) -> list[Any]:
        """Run commands and return their replies. Raises `StoreRefused` if any command is refused."""
        return check_replies(await self.run(commands, seconds), commands)

    async def run(self, commands: Sequence[Command], seconds: float) -> list[Any]:
        """Run commands and return their replies in order, with errors in place."""
        if self._is_single:
            return await (await self._wire(0)).run(commands, seconds)
        found: list[Any] = [None] * len(commands)
        for phase in phases(slots_of(commands)):
            by_wire: dict[Wire, list[int]] = {}
            for slot, places in phase.items():
                by_wire.setdefault(await self._wire(slot), []).extend(places)
            await _run_all(by_wire, lambda one, some: one.run(some, seconds), commands, found)
        return found

    async def transaction(self, commands: Sequence[Command], seconds: float) -> list[Any]:
        """Run one transaction in each slot, and return the replies in order, with errors in place."""
        if self._is_single:
            return await (await self._wire(0)).transaction(commands, seconds)
        found: list[Any] = [None] * len(commands)
        for phase in phases(slots_of(commands)):
            for slot, places in phase.items():
                one = {await self._wire(slot): places}
                await _run_all(one, lambda one, some: one.transaction(some, seconds), commands, found)
        return found

    async def _wire(self, slot: int) -> Wire:
        server = self._endpoint if self._is_single else await topology_of(self._endpoint).primary(slot)
        known = self._wires.get(server)
        if known is not None and known.open:
            return known
        async with self._connecting:
            known = self._wires.get(server)
            if known is None or not known.open:
                if self._is_single:
                    known = await wire.connect(server, self._name)
                else:
                    known = await open_primary(topology_of(self._endpoint), server, self._name)
                self._wires[server] = known
            return known


async def _run_all(
    by_wire: Mapping[Wire, list[int]],
    run: Callable[[Wire, Sequence[Command]], Any],
    commands: Sequence[Command],
    found: list[Any],
) -> None:
    """Run commands over several connections at the same time, and put each reply into its place."""
    calls = [run(one, [commands[place] for place in places]) for one, places in by_wire.items()]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    for places, replies in zip(by_wire.values(), answers, strict=True):
        if isinstance(replies, BaseException):
            raise replies
        for place, reply in zip(places, replies, strict=True):
            found[place] = reply


async def connect(endpoint: Endpoint, name: str, key: str) -> Wire:
    """Connect to the primary of a key. Raises `StoreUnavailable` or `StoreRefused`."""
    if endpoint.mode == "single":
        return await wire.connect(endpoint, name)
    topology = topology_of(endpoint)
    return await open_primary(topology, await topology.primary(slot_of(key)), name)


async def open_primary(topology: Topology, server: Endpoint, name: str) -> Wire:
    """Connect to a server, and check that it is a primary."""
    lost = partial(topology.forget, server)
    try:
        found = await wire.connect(server, name, lambda name: RoutedWire(name, lost))
    except StoreUnavailable:
        lost()
        raise
    try:
        [role] = await found.run([("ROLE",)], wire.CONNECT_SECONDS)
        if is_replica(role):
            raise replica_refusal(server)
    except BaseException:
        lost()
        found.close()
        raise
    return found
