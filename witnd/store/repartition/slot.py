"""Reads and writes of one partition during a repartition.

Each write is a step like those of the daemon: fenced by the lease, numbered, and written completely or not at all. A
step has commands for one partition only.
"""

from collections.abc import Sequence
from typing import Any, Final

from witnd.domain.outcomes.event import EntryId
from witnd.settings import Durability
from witnd.store.keys import Keys
from witnd.store.partition.commit import Commit, Word, finish
from witnd.store.records.lineage import Border, Lineage, encode_borders
from witnd.store.records.log_snapshot import text_of
from witnd.store.records.state_fields import StateFields
from witnd.store.server.connection import Endpoint
from witnd.store.server.durability import Promise, check_confirmation, promise
from witnd.store.server.lease import Lease
from witnd.store.server.routing.wires import Wires as RoutedWires
from witnd.store.server.wire import Wire

ANSWER_SECONDS: Final = 30.0
NAME: Final = "witnd-repartition"


class Wires:
    """A connection to each primary, and the durability that it must provide."""

    def __init__(self, endpoint: Endpoint, durability: Durability) -> None:
        self.is_cluster = endpoint.mode == "cluster"
        self._routed = RoutedWires(endpoint, NAME)
        self._durability = durability
        self._promises: dict[Wire, Promise] = {}

    def close(self) -> None:
        self._routed.close()

    async def ask(self, *commands: Sequence[Word]) -> list[Any]:
        return await self._routed.ask(*commands, seconds=ANSWER_SECONDS)

    async def caller(self, key: str) -> Wire:
        return await self._routed.wire(key)

    async def confirm(self, keys: Sequence[str]) -> None:
        """Wait until all writes so far to the primaries of these keys are as durable as `redis.durability` demands."""
        for caller in await self._routed.by_primary(keys):
            kept = self._promises.get(caller)
            if kept is None or not kept.lasts:
                kept = self._promises[caller] = await promise(caller, self._durability)
            if kept.confirm is not None:
                [reply] = await caller.wait(caller.send([kept.confirm]), ANSWER_SECONDS)
                check_confirmation(reply, kept.durability)


class Slot:
    """One partition, owned by this command. Call `open` before anything else."""

    def __init__(self, wires: Wires, keys: Keys, lease: Lease) -> None:
        self.keys = keys
        self.ask = wires.ask
        self._wires = wires
        self._lease = lease
        self._sequence = 0
        self.cursor: EntryId = (0, 0)
        self._read = self._lines = 0
        self.lineage = Lineage()
        self.counters: dict[str, int] = {}
        self.catalogue = ""

    @property
    def number(self) -> int:
        return self.keys.partition

    async def open(self) -> None:
        """Read the state."""
        [flat] = await self.ask(("HGETALL", self.keys.state))
        fields = StateFields.of_partition(self.keys.state, flat)
        self._sequence, self._read, self._lines = (fields.number(name) for name in ("seq", "read", "lines"))
        self.cursor, self.lineage, self.counters = fields.entry("cursor"), fields.lineage(), fields.counters()
        self.catalogue = fields.text("catalogue") or ""

    async def write(self, *commands: Sequence[Word]) -> None:
        """Write a step. Long commands must be split before. Raises `Fenced` if the lease was lost."""
        step = Commit(self.keys, self._sequence)
        for command in commands:
            step.add(*command)
        packed = step.packed(self._lease.value)
        caller = await self._wires.caller(self.keys.state)
        replies = await caller.wait(caller.send_packed(packed.by_digest(), 1), ANSWER_SECONDS)
        await finish(caller, packed, replies, ANSWER_SECONDS)
        self._sequence = step.sequence

    async def begin_old(self) -> None:
        """Write the position if no step was ever written: a step must be beside the position that it belongs to."""
        if self._sequence == 0:
            position = ("cursor", text_of(self.cursor), "read", self._read, "lines", self._lines)
            await self.write(("HSET", self.keys.state, *position))

    async def begin_new(self, parent: "Slot") -> None:
        """Write the state of a new partition. Its cursor is that of the partition whose outcomes it gets, so nothing
        is settled twice or left out, and the entries of its log follow all that its outcomes have."""
        origins = (*parent.lineage.origins, Border(parent.number, parent.cursor))
        cursor = ("cursor", text_of(parent.cursor), "read", 0, "lines", 0, "settling", "")
        catalogue = ("catalogue", parent.catalogue) if parent.catalogue else ()
        await self.write(("HSET", self.keys.state, *cursor, *catalogue, "origins", encode_borders(origins)))
        self.cursor, self.lineage = parent.cursor, Lineage(origins)
