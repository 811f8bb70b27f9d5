"""Reads the head and the entries of the catalogue for a partition."""

from typing import Any, Final

from witnd.domain.catalogue.chain import Head
from witnd.store.catalogue.loader import decode_head
from witnd.store.errors import StoreUnavailable
from witnd.store.keys import GlobalKeys
from witnd.store.server.portion import Portion
from witnd.store.server.routing.slots import Command
from witnd.store.server.routing.wires import Connection

ANSWER_SECONDS: Final = 5.0


class CatalogueReader:
    """Reads over a connection to the primary of the catalogue. `portion`: how many entries to request in one answer."""

    def __init__(self, connection: Connection, shared: GlobalKeys, portion: Portion) -> None:
        self._connection = connection
        self._shared = shared
        self._portion = portion
        self.head_commands: list[Command] = [("LLEN", shared.catalogue), ("GET", shared.catalogue_head)]

    async def ask(self, *commands: Command) -> list[Any]:
        return await (await self._connection.wire()).ask(*commands, seconds=ANSWER_SECONDS)

    async def after(self, count: int) -> tuple[Head, list[bytes]]:
        """Return the catalogue's head, and at least its entries from number `count` up to that head."""
        head = decode_head((await self.ask(("GET", self._shared.catalogue_head)))[0])
        found: list[bytes] = []
        while count + len(found) < head.count:
            start = count + len(found)
            command = ("LRANGE", self._shared.catalogue, start, start + self._portion.size - 1)
            connection = await self._connection.wire()
            before = connection.received_bytes
            try:
                [more] = await connection.ask(command, seconds=ANSWER_SECONDS)
            except StoreUnavailable as lost:
                self._portion.record_cut(str(lost))
                raise
            self._portion.record_success(len(more), connection.received_bytes - before)
            if not more:
                break  # the list is shorter than its head says: `add_stored` raises an error
            found += more
        return head, found
