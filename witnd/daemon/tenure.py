"""Holding a lease: wait for it, keep it, judge how it was lost, give it back."""

import asyncio
import contextlib
from collections.abc import Callable

import structlog

from witnd.clock import Clock
from witnd.store.errors import Fenced, StoreRefused, StoreUnavailable
from witnd.store.lease import Lease
from witnd.store.patience import Patience

log = structlog.get_logger()


class Tenure:
    """`what` is the thing owned, in words. `standby` is told of the owner when somebody else turns out to have it."""

    def __init__(
        self,
        what: str,
        lease: Lease,
        patience: Patience,
        clock: Clock,
        *,
        seconds: float,
        standby: Callable[[str], None],
    ) -> None:
        self._what = what
        self._lease = lease
        self._patience = patience
        self._clock = clock
        self._pause = seconds / 3
        self._standby = standby
        self._stopping = asyncio.Event()

    @property
    def fence(self) -> str:
        """What commits compare."""
        return self._lease.value

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    def stop(self) -> None:
        """Wait for the lease no longer."""
        self._stopping.set()

    async def take(self) -> bool:
        """Wait for the lease. False if stopped meanwhile."""
        told = False
        while not self._stopping.is_set():
            holder = await self._patience.insist("taking the lease", self._lease.take)
            if holder is None:
                return True
            if not told:
                self._standby(holder.instance)
                told = True
            wait = min(self._pause, max(holder.left_ms, 10) / 1000)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._stopping.wait()
        return False

    async def renew(self) -> None:
        """Keep the lease until cancelled. Raises `Fenced` when it is somebody else's, or nobody's."""
        while True:
            await self._clock.sleep(self._pause)
            try:
                holder = await self._lease.renew()
            except (StoreUnavailable, StoreRefused) as trouble:
                log.debug("lease.waiting", reason=str(trouble))
                continue
            if holder is not None:
                raise Fenced(holder.instance)

    async def judge(self, failed: BaseExceptionGroup[BaseException]) -> None:
        """After work ended with errors: a lease that is gone and free may be taken again, all else is raised."""
        fenced, other = failed.split(Fenced)
        if fenced is None or other is not None:
            raise failed
        holder = await self._patience.insist("looking at the lease", self._lease.renew)
        if holder is not None and holder.value:
            raise Fenced(f"{self._what} belongs to {holder.instance} now; nothing more was written") from failed
        log.warning("lease.expired", of=self._what, action="taking it again and reading anew")

    async def release(self) -> None:
        with contextlib.suppress(StoreUnavailable, StoreRefused):
            await self._lease.release()
