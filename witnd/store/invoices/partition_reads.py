"""What the biller reads from the partitions: new lines, and whether a failover can still undo what was read."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from witnd.settings import Durability
from witnd.store.keys import Keys
from witnd.store.server.connection import Endpoint
from witnd.store.server.durability import Confirmations
from witnd.store.server.routing.wires import Connection, Wires

ANSWER_SECONDS = 5.0
# How often the lines of a cluster are read: one blocking read would need a connection for each partition.
POLL_SECONDS: Final = 0.2


class PartitionReads:
    """Reads of all partitions. In a cluster, they are on several primaries; else one connection waits for all."""

    def __init__(self, endpoint: Endpoint, partitions: Sequence[Keys], durability: Durability, name: str) -> None:
        self.is_cluster = endpoint.mode == "cluster"
        self._partitions = partitions
        self._waiter = Connection(endpoint, f"{name}-lines", partitions[0].lines)
        self._wires = Wires(endpoint, f"{name}-partitions")
        # One mark covers all writes of its server.
        marked = partitions if self.is_cluster else partitions[:1]
        self._confirmations = [Confirmations(endpoint, keys.lines_confirmed, durability, name) for keys in marked]

    def close(self) -> None:
        self._waiter.close()
        self._wires.close()
        for one in self._confirmations:
            one.close()

    async def ask(self, *commands: Sequence[str | bytes | int]) -> list[Any]:
        """Run commands on keys of any slots."""
        return await self._wires.ask(*commands, seconds=ANSWER_SECONDS)

    async def new_entries(self, streams: Mapping[str, str], most: int, block_ms: int) -> list[Any]:
        """Return up to `most` entries of each stream after an id. If there are none, wait for one up to `block_ms`."""
        if self.is_cluster:
            return await self._poll(streams, most, block_ms)
        waiter = await self._waiter.wire()
        block = ("BLOCK", block_ms) if block_ms > 0 else ()
        command = ("XREAD", "COUNT", most, *block, "STREAMS", *streams, *streams.values())
        [answer] = await waiter.ask(command, seconds=ANSWER_SECONDS + block_ms / 1000)
        return answer or []

    async def _poll(self, streams: Mapping[str, str], most: int, block_ms: int) -> list[Any]:
        """Read each stream from its own slot, again and again until there is an entry."""
        loop = asyncio.get_running_loop()
        end = loop.time() + block_ms / 1000
        commands = [("XREAD", "COUNT", most, "STREAMS", stream, after) for stream, after in streams.items()]
        while True:
            answers = await self.ask(*commands)
            found = [entry for answer in answers if answer is not None for entry in answer]
            if found or loop.time() >= end:
                return found
            await asyncio.sleep(min(POLL_SECONDS, end - loop.time()))

    async def confirm(self, field: str, numbers: Mapping[int, int]) -> None:
        """Wait until no failover can undo what was read: a field of the state of each partition in `numbers` is at
        least that number there."""
        places = {number: (self._partitions[number].state, field) for number in numbers}
        if self.is_cluster:
            calls = [self._confirmations[n].confirm(least={place: numbers[n]}) for n, place in places.items()]
            await asyncio.gather(*calls)
        else:
            await self._confirmations[0].confirm(least={place: numbers[n] for n, place in places.items()})
