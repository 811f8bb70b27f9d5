"""Appending for many callers at once: what waits together is written together, over one connection.

While one write is on its way the next one collects, so the more callers there are the more share a round trip. Whether
an entry is in the log is answered for each; after a lost reply that is unknown.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

import structlog

from witnd.settings import Durability
from witnd.store.errors import StoreRefused, StoreUnavailable, Unsafe
from witnd.store.log.append import AppendResult, Promise, append, promise
from witnd.store.server import wire
from witnd.store.server.connection import Endpoint

# Entries of one write: a few ms of the server's time.
MOST: Final = 1000
# The limit on waiting events while Redis does not answer: five writes, and less memory than the outcomes take. Events
# beyond that are refused at once.
WAITING_MOST: Final = 5000
WAITING_BYTES: Final = 64 * 1024 * 1024

log = structlog.get_logger()

Entry: TypeAlias = tuple[str, Sequence[str | bytes]]


class _Waiting(NamedTuple):
    """Entries of one caller, and where it waits for their answers."""

    entries: Sequence[Entry]
    answer: asyncio.Future[list[AppendResult | None]]


class Appender:
    """`run()` until cancelled. An answer None: it is unknown whether the entry is in the log, `doubt` says why.

    `answers` counts them. Whoever waits gets an answer, whatever happens to Redis or to this.
    """

    def __init__(self, endpoint: Endpoint, durability: Durability, name: str) -> None:
        self._endpoint = endpoint
        self._durability = durability
        self._name = name
        self._waiting: deque[_Waiting] = deque()
        self._entries = 0
        self._bytes = 0
        self._has_entries = asyncio.Event()
        self._wire: wire.Wire | None = None
        self._promise: Promise | None = None  # None: to be checked before the next write
        self._is_paused = False
        self.doubt = ""
        self.answers = {"taken": 0, "rejected": 0, "unconfirmed": 0}

    async def append(self, entries: Sequence[Entry]) -> list[AppendResult | None]:
        """Append (stream, fields) of checked events, at most some hundreds. Raises StoreRefused if too much waits."""
        size = sum(len(part) for _, fields in entries for part in fields)
        if self._entries and (self._entries + len(entries) > WAITING_MOST or self._bytes + size > WAITING_BYTES):
            self.answers["rejected"] += len(entries)
            raise StoreRefused(f"{self._entries} events wait for Redis, which is too slow", "send it again later")
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
            self._refuse_all(StoreRefused("witnd is stopping", "send the event again in a moment"))

    async def _write(self) -> None:
        """Write what waits, up to `MOST` entries, and answer everybody."""
        try:
            connection, kept = await self._connect()
        except StoreUnavailable as silent:
            self._pause(str(silent))
            self._refuse_all(StoreRefused(str(silent), "wait until Redis answers again"))
            return
        except (StoreRefused, Unsafe) as refused:
            self._pause(str(refused))
            self._refuse_all(StoreRefused(refused.reason, refused.remedy))
            return
        taken = self._take(MOST)
        if not taken:
            return
        entries = [entry for one in taken for entry in one.entries]
        answers: list[AppendResult | None] = [None] * len(entries)
        try:
            answers = list(await append(connection, entries, kept))
        except StoreUnavailable as silent:
            self.doubt = str(silent)
            self._pause(self.doubt)
        except (StoreRefused, Unsafe) as refused:
            answers = [AppendResult(None, StoreRefused(refused.reason, refused.remedy))] * len(entries)
            self._pause(str(refused))
        else:
            self._resume()
        finally:
            self._answer(taken, answers)

    async def _connect(self) -> tuple[wire.Wire, Promise]:
        """A connection to a server that keeps the promised durability at the moment. Nothing is written without it."""
        if self._wire is None or not self._wire.open:
            self._promise = None
            self._wire = await wire.connect(self._endpoint, self._name)
        if self._promise is None:
            self._promise = await promise(self._wire, self._durability)
        kept = self._promise
        if not kept.lasts:
            self._promise = None
        return self._wire, kept

    def _refuse_all(self, refused: StoreRefused) -> None:
        """Refuse all waiting entries. None of them was sent, so none is in the log."""
        taken = self._take(len(self._waiting) * MOST)
        self._answer(taken, [AppendResult(None, refused)] * sum(len(one.entries) for one in taken))

    def _take(self, most: int) -> list[_Waiting]:
        """Take the entries that waited longest, about `most`, and skip those whose caller has gone."""
        taken: list[_Waiting] = []
        count = 0
        while self._waiting and count < most:
            one = self._waiting.popleft()
            if not one.answer.done():
                taken.append(one)
                count += len(one.entries)
        return taken

    def _answer(self, taken: Sequence[_Waiting], answers: Sequence[AppendResult | None]) -> None:
        for answer in answers:
            kind = "unconfirmed" if answer is None else "rejected" if answer.id is None else "taken"
            self.answers[kind] += 1
        at = 0
        for one in taken:
            with contextlib.suppress(asyncio.InvalidStateError):  # the caller has gone away
                one.answer.set_result(list(answers[at : at + len(one.entries)]))
            at += len(one.entries)

    def _pause(self, reason: str) -> None:
        self._promise = None
        if not self._is_paused:
            self._is_paused = True
            log.error("ingest.paused", reason=reason)

    def _resume(self) -> None:
        if self._is_paused:
            self._is_paused = False
            log.info("ingest.resumed")
