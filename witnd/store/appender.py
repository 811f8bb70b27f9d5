"""Appending for many callers at once: what waits together is written together, over one connection.

While one write is on its way the next one collects, so the more callers there are the more share a round trip. Whether
an entry is in the log is answered for each; after a lost reply that is unknown.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from typing import Final, TypeAlias

import structlog

from witnd.settings import Durability
from witnd.store import wire
from witnd.store.append import Appended, Promise, append, promise
from witnd.store.connection import Endpoint
from witnd.store.errors import StoreRefused, StoreUnavailable, Unsafe

# Entries of one write: a few ms of the server's time.
MOST: Final = 1000

log = structlog.get_logger()

Entry: TypeAlias = tuple[str, Sequence[str | bytes]]


class Appender:
    """`run()` until cancelled. An answer None: it is unknown whether the entry is in the log, `doubt` says why.

    `answers` counts them. Whoever waits gets an answer, whatever happens to Redis or to this.
    """

    def __init__(self, endpoint: Endpoint, durability: Durability, name: str) -> None:
        self._endpoint = endpoint
        self._durability = durability
        self._name = name
        self._waiting: deque[tuple[Sequence[Entry], asyncio.Future[list[Appended | None]]]] = deque()
        self._some = asyncio.Event()
        self._wire: wire.Wire | None = None
        self._promise: Promise | None = None  # None: to be checked before the next write
        self._is_paused = False
        self.doubt = ""
        self.answers = {"taken": 0, "rejected": 0, "unconfirmed": 0}

    async def append(self, entries: Sequence[Entry]) -> list[Appended | None]:
        """Append (stream, fields) of checked events, at most some hundreds."""
        future: asyncio.Future[list[Appended | None]] = asyncio.get_running_loop().create_future()
        self._waiting.append((entries, future))
        self._some.set()
        return await future

    async def run(self) -> None:
        try:
            while True:
                await self._some.wait()
                await self._write()
                if not self._waiting:
                    self._some.clear()
        finally:
            if self._wire is not None:
                self._wire.close()
            stopping = StoreRefused("witnd is stopping", "send the event again in a moment")
            while self._waiting:
                asked, future = self._waiting.popleft()
                _answer(future, [Appended(None, stopping)] * len(asked))

    async def _write(self) -> None:
        """Write what waits, up to `MOST` entries, and tell everybody."""
        taken: list[tuple[Sequence[Entry], asyncio.Future[list[Appended | None]]]] = []
        entries: list[Entry] = []
        while self._waiting and len(entries) < MOST:
            one = self._waiting.popleft()
            if not one[1].done():
                taken.append(one)
                entries += one[0]
        if not taken:
            return
        answers: list[Appended | None] = [None] * len(entries)
        try:
            answers = list(await self._append(entries))
        except StoreUnavailable as silent:
            self.doubt = str(silent)
            self._stop(self.doubt)
        except (StoreRefused, Unsafe) as refused:
            answers = [Appended(None, StoreRefused(refused.reason, refused.remedy))] * len(entries)
            self._stop(str(refused))
        else:
            self._go_on()
        finally:
            for answer in answers:
                kind = "unconfirmed" if answer is None else "rejected" if answer.id is None else "taken"
                self.answers[kind] += 1
            at = 0
            for asked, future in taken:
                _answer(future, answers[at : at + len(asked)])
                at += len(asked)

    def _stop(self, reason: str) -> None:
        self._promise = None
        if not self._is_paused:
            self._is_paused = True
            log.error("ingest.paused", reason=reason)

    def _go_on(self) -> None:
        if self._is_paused:
            self._is_paused = False
            log.info("ingest.resumed")

    async def _append(self, entries: Sequence[Entry]) -> list[Appended]:
        """Nothing is written unless the server keeps the promised durability at the moment."""
        if self._wire is None or not self._wire.open:
            self._promise = None
        try:
            if self._wire is None or not self._wire.open:
                self._wire = await wire.connect(self._endpoint, self._name)
            if self._promise is None:
                self._promise = await promise(self._wire, self._durability)
        except StoreUnavailable as silent:
            # Nothing was sent, so nothing is in the log.
            raise StoreRefused(str(silent), "wait until Redis answers again") from silent
        kept = self._promise
        if not kept.lasts:
            self._promise = None
        return await append(self._wire, entries, kept)


def _answer(future: "asyncio.Future[list[Appended | None]]", answers: list[Appended | None]) -> None:
    with contextlib.suppress(asyncio.InvalidStateError):  # whoever asked has gone away
        future.set_result(answers)
