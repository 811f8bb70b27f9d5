"""Keep the journal on disk: soon after every step, and before the step's webhooks are sent.

One write and sync covers all steps since the last one. A separate thread does it, so a slow disk delays only webhooks.
If the disk cannot be written, an alarm is raised and nothing waits.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Final

import structlog
from redis.asyncio import Redis

from witnd.store.errors import LostData, StoreRefused, StoreUnavailable
from witnd.store.journal.journal import Journal
from witnd.store.journal.marks import Marks, read_marks
from witnd.store.keys import BillingKeys, GlobalKeys
from witnd.store.server.durability import Confirmations

# Longest delay of a write while no webhook waits for it.
WRITE_SECONDS: Final = 0.5
# A write that takes longer raises the alarm.
SLOW_SECONDS: Final = 5.0
CLOSE_SECONDS: Final = 2.0
# Together with a write, this puts numbers into the journal within a second.
MARKS_SECONDS: Final = 0.5

log = structlog.get_logger()


class JournalKeeper:
    """Writes the journal: `run()` until cancelled. `is_kept`: whether the state directory survives a restart."""

    def __init__(self, journal: Journal, *, is_kept: bool) -> None:
        self.is_kept = is_kept
        self.alarm: str | None = None  # why the journal is not on disk, for health
        self._journal = journal
        self._reason: str | None = None
        self._wanted = asyncio.Event()
        self._turn = asyncio.Event()  # set after each write
        self._writing: asyncio.Future[None] | None = None

    async def run(self) -> None:
        if not self.is_kept:
            return
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WRITE_SECONDS):
                    await self._wanted.wait()
            self._wanted.clear()
            await self._write(SLOW_SECONDS)

    async def on_disk(self, partition: int, sequence: int) -> None:
        """Wait until the journal has this step on disk. Return at once if no journal is kept."""
        if not self.is_kept:
            return
        self._journal.note(partition, sequence)
        while self.alarm is None and self._journal.stored_step(partition) < sequence:
            self._wanted.set()
            await self._turn.wait()

    async def marks_on_disk(self, marks: Marks) -> None:
        """Wait until the journal has these numbers on disk. Return at once if no journal is kept."""
        if not self.is_kept:
            return
        self._journal.note_marks(marks)
        while self.alarm is None and not self._journal.has_stored(marks):
            self._wanted.set()
            await self._turn.wait()

    async def close(self) -> None:
        """Write once more."""
        if self.is_kept:
            await self._write(CLOSE_SECONDS)

    async def _write(self, seconds: float) -> None:
        turn = self._turn
        if self._writing is None:
            self._writing = in_thread(self._journal.write)
        await asyncio.wait([self._writing], timeout=seconds)
        if self._writing.done():
            failed, self._writing = self._writing.exception(), None
            reason = None if failed is None else getattr(failed, "strerror", None) or repr(failed)
        else:
            reason = f"the disk has not answered for {seconds:g} s"
        self._report(reason)
        self._turn = asyncio.Event()
        turn.set()

    def _report(self, reason: str | None) -> None:
        """Raise or clear the alarm; log each change of the reason once."""
        if reason == self._reason:
            return
        self._reason = reason
        path = str(self._journal.path)
        if reason is None:
            self.alarm = None
            log.info("journal.recovered", path=path)
        else:
            self.alarm = (
                f"the journal {path} cannot be written ({reason}): after a restart, lost data may go undetected"
            )
            remedy = "free space, or make the state directory writable; settlement continues meanwhile"
            log.error("journal.failed", path=path, reason=reason, remedy=remedy)


class MarksWatch:
    """Records the last numbers and the biller's steps once they are confirmed: `run()` until cancelled."""

    def __init__(
        self,
        client: Redis,
        keys: GlobalKeys,
        journal: Journal,
        keeper: JournalKeeper,
        confirmations: Confirmations,
    ) -> None:
        self.lost: LostData | None = None  # the marks that Redis has lost
        self._client = client
        self._keys = keys
        self._journal = journal
        self._keeper = keeper
        self._confirmations = confirmations

    @property
    def is_needed(self) -> bool:
        """Return whether numbers may still be undone, or are in a journal."""
        return self._confirmations.is_needed or self._keeper.is_kept

    async def run(self) -> None:
        while True:
            with contextlib.suppress(StoreUnavailable, StoreRefused):  # the caller that needs Redis logs it
                await self._look()
            await asyncio.sleep(MARKS_SECONDS)

    async def recorded(self) -> None:
        """Wait until what Redis has now is confirmed, and its numbers are in the journal on disk. After a loss, nothing
        waits: what is left is still there."""
        while True:
            try:
                marks = await self._look()
            except (StoreUnavailable, StoreRefused):
                await asyncio.sleep(MARKS_SECONDS)
                continue
            if marks is not None:
                await self._keeper.marks_on_disk(marks)
            return

    async def _look(self) -> Marks | None:
        """Confirm and record the current marks, and return them; None if they are lost."""
        marks = await read_marks(self._client, self._keys)
        try:
            self._journal.check_marks(marks)
        except LostData as lost:
            self.lost = lost
            return None
        self.lost = None
        billing = BillingKeys(self._keys.prefix)
        numbers = {(billing.series, name): number for name, number in marks.series.items()}
        await self._confirmations.confirm(least={(billing.state, "seq"): marks.billing, **numbers})
        self._journal.note_marks(marks)
        return marks


def in_thread(call: Callable[[], None]) -> asyncio.Future[None]:
    """Run `call` in a thread that does not keep the process alive if a disk never answers."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def finish(error: Exception | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def run() -> None:
        error: Exception | None = None
        try:
            call()
        except Exception as failed:  # noqa: BLE001 - the caller gets it
            error = failed
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(finish, error)

    threading.Thread(target=run, name="journal", daemon=True).start()
    return done
