"""Appends entries of many callers in batches over one connection.

While one batch is being written, the next one collects, so more callers share a round trip. Each caller gets a result
for each of its entries; after a lost reply the result is unknown.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, NamedTuple, TypeAlias

import structlog

from witnd.settings import Durability
from witnd.store.errors import StoreRefused, StoreUnavailable, Unsafe
from witnd.store.log.append import AppendResult, append
from witnd.store.server import wire
from witnd.store.server.connection import Endpoint
from witnd.store.server.durability import Promise, promise

# Entries of one write: a few ms of the server's time.
MOST: Final = 1000
# The limit on waiting events while Redis does not answer: five writes, and less memory than the outcomes take. More
# events are refused at once.
WAITING_MOST: Final = 5000
WAITING_BYTES: Final = 64 * 1024 * 1024

log = structlog.get_logger()

Entry: TypeAlias = tuple[str, Sequence[str | bytes]]


class _Waiting(NamedTuple):
    """Entries of one caller, and the future for their results."""

    entries: Sequence[Entry]
    answer: asyncio.Future[list[AppendResult | None]]


class Appender:
    """Appends entries while `run()` runs. A result None means unknown whether the entry is in the log; `doubt` is why.

    `answers` counts the results. Every caller gets results, also when Redis fails or `run()` ends. `connect` opens the
    connection, by default to the endpoint.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        durability: Durability,
        name: str,
        connect: Callable[[], Awaitable[wire.Wire]] | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._durability = durability
        self._name = name
        self._open = connect or partial(wire.connect, endpoint, name)
        self._waiting: deque[_Waiting] = deque()
        self._entries = 0
        self._bytes = 0
        self._has_entries = asyncio.Event()
        self._wire: wire.Wire | None = None
        self._promise: Promise | None = None  # None: check before the next write
        self._is_paused = False
        self.doubt = ""
        self.answers = {"taken": 0, "rejected": 0, "unconfirmed": 0}

    async def append(self, entries: Sequence[Entry]) -> list[AppendResult | None]:
        """Append (stream, fields) of checked events, at most some hundreds. Raises StoreRefused if too many wait."""
        size = sum(len(part) for _, fields in entries for part in fields)
        if self._entries and (self._entries + len(entries) > WAITING_MOST or self._bytes + size > WAITING_BYTES):
            self.answers["rejected"] += len(entries)
            raise StoreRefused(f"{self._entries} events already wait for Redis", "retry later")
        future: asyncio.Future[list[AppendResult | None]] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(entries, future))
        self._entries += len(entries)
        self._bytes += size
        self._has_entries.set()
        try:
            return await future
        finally:
            self._entries -= len(entries)
            self._bytes -= size

    async def run(self) -> None:
        try:
            while True:
                await self._has_entries.wait()
                await self._write()
                if not self._waiting:
                    self._has_entries.clear()
        finally:
            if self._wire is not None:
                self._wire.close()
            self._refuse_all(StoreRefused("witnd is stopping", "retry in a moment"))

    async def _write(self) -> None:
        """Write up to `MOST` waiting entries, and give each caller its results."""
        try:
            connection, kept = await self._connect()
        except StoreUnavailable as error:
            self._pause(str(error))
            self._refuse_all(StoreRefused(str(error), "wait until Redis answers again"))
            return
        except (StoreRefused, Unsafe) as refused:
            self._pause(str(refused))
            self._refuse_all(StoreRefused(refused.reason, refused.remedy))
            return
        batch = self._take(MOST)
        if not batch:
            return
        entries = [entry for waiting in batch for entry in waiting.entries]
        answers: list[AppendResult | None] = [None] * len(entries)
        try:
            answers = list(await append(connection, entries, kept))
        except StoreUnavailable as error:
            self.doubt = str(error)
            self._pause(self.doubt)
        except (StoreRefused, Unsafe) as refused:
            answers = [AppendResult(None, StoreRefused(refused.reason, refused.remedy))] * len(entries)
            self._pause(str(refused))
        else:
            self._resume()
        finally:
            self._answer(batch, answers)

    async def _connect(self) -> tuple[wire.Wire, Promise]:
        """Return a connection to a server that provides the configured durability now."""
        if self._wire is None or not self._wire.open:
            self._promise = None
            self._wire = await self._open()
        if self._promise is None:
            self._promise = await promise(self._wire, self._durability)
        kept = self._promise
        if not kept.lasts:
            self._promise = None
        return self._wire, kept

    def _refuse_all(self, refused: StoreRefused) -> None:
        """Refuse all waiting entries. None was sent, so none is in the log."""
        batch = self._take(len(self._waiting) * MOST)
        self._answer(batch, [AppendResult(None, refused)] * sum(len(waiting.entries) for waiting in batch))

    def _take(self, most: int) -> list[_Waiting]:
        """Take about `most` entries, oldest first. Skip entries of callers that no longer wait."""
        batch: list[_Waiting] = []
        count = 0
        while self._waiting and count < most:
            waiting = self._waiting.popleft()
            if not waiting.answer.done():
                batch.append(waiting)
                count += len(waiting.entries)
        return batch

    def _answer(self, batch: Sequence[_Waiting], answers: Sequence[AppendResult | None]) -> None:
        for answer in answers:
            kind = "unconfirmed" if answer is None else "rejected" if answer.id is None else "taken"
            self.answers[kind] += 1
        start = 0
        for waiting in batch:
            with contextlib.suppress(asyncio.InvalidStateError):  # the caller no longer waits
                waiting.answer.set_result(list(answers[start : start + len(waiting.entries)]))
            start += len(waiting.entries)

    def _pause(self, reason: str) -> None:
        self._promise = None
        if not self._is_paused:
            self._is_paused = True
            log.error("ingest.paused", reason=reason)

    def _resume(self) -> None:
        if self._is_paused:
            self._is_paused = False
            log.info("ingest.resumed")
