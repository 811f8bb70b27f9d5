"""Appends entries to the logs of several primaries: each primary has its own queue and connection.

So a primary that does not answer delays only the entries of its own partitions.
"""

import asyncio
from collections.abc import Sequence
from functools import partial

from witnd.endpoint import Endpoint
from witnd.settings import Durability
from witnd.store.errors import StoreRefused, StoreUnavailable
from witnd.store.log.append import AppendResult, append
from witnd.store.log.appender import Appender, Entry
from witnd.store.server.durability import promise
from witnd.store.server.routing.slots import slot_of
from witnd.store.server.routing.topology import topology_of
from witnd.store.server.routing.wires import Wires, open_primary


class RoutedAppender(Appender):
    """An appender behind Sentinels or for a cluster."""

    def __init__(self, endpoint: Endpoint, durability: Durability, name: str) -> None:
        super().__init__(endpoint, durability, name)
        self._lanes: dict[Endpoint, Appender] = {}  # at most one for each server that was ever a primary
        self._new_lanes: asyncio.Queue[Appender] = asyncio.Queue()

    async def append(self, entries: Sequence[Entry]) -> list[AppendResult | None]:
        by_lane: dict[Appender, list[int]] = {}
        found: list[AppendResult | None] = [None] * len(entries)
        for place, (stream, _) in enumerate(entries):
            try:
                by_lane.setdefault(await self._lane(stream), []).append(place)
            except StoreUnavailable as unknown:  # the primary; nothing was sent
                found[place] = AppendResult(None, StoreRefused(str(unknown), "wait until Redis answers again"))
            except StoreRefused as refused:
                found[place] = AppendResult(None, refused)
        calls = [self._append(lane, [entries[place] for place in places]) for lane, places in by_lane.items()]
        for places, results in zip(by_lane.values(), await asyncio.gather(*calls), strict=True):
            for place, result in zip(places, results, strict=True):
                found[place] = result
        for result in found:
            kind = "unconfirmed" if result is None else "rejected" if result.id is None else "taken"
            self.answers[kind] += 1
        return found

    async def _append(self, lane: Appender, entries: Sequence[Entry]) -> Sequence[AppendResult | None]:
        try:
            return await lane.append(entries)
        except StoreRefused as refused:
            return [AppendResult(None, refused)] * len(entries)
        finally:
            self.doubt = lane.doubt or self.doubt

    async def _lane(self, stream: str) -> Appender:
        """Return the appender of the primary that has a log."""
        topology = topology_of(self._endpoint)
        server = await topology.primary(slot_of(stream))
        lane = self._lanes.get(server)
        if lane is None:
            connect = partial(open_primary, topology, server, self._name)
            lane = self._lanes[server] = Appender(server, self._durability, self._name, connect)
            self._new_lanes.put_nowait(lane)
        return lane

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for lane in self._lanes.values():
                group.create_task(lane.run())
            self._new_lanes = asyncio.Queue()
            while True:
                group.create_task((await self._new_lanes.get()).run())


def open_appender(endpoint: Endpoint, durability: Durability, name: str) -> Appender:
    """Return the appender for an address."""
    kind = Appender if endpoint.mode == "single" else RoutedAppender
    return kind(endpoint, durability, name)


async def append_once(wires: Wires, entries: Sequence[Entry], durability: Durability) -> list[AppendResult]:
    """Append entries without an appender. Raises as `append` and `promise`."""
    found: list[AppendResult | None] = [None] * len(entries)
    for connection, places in (await wires.by_primary([stream for stream, _ in entries])).items():
        kept = await promise(connection, durability)
        results = await append(connection, [entries[place] for place in places], kept)
        for place, result in zip(places, results, strict=True):
            found[place] = result
    return [result for result in found if result is not None]
