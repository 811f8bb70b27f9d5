"""Keep a lease: wait until it is this daemon's turn and the lease is free, renew it, and release it."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import structlog

from witnd.clock import Clock
from witnd.store.errors import Fenced, LostData, StoreRefused, StoreUnavailable
from witnd.store.server.lease import Holder, Lease
from witnd.store.server.retry import Retry
from witnd.store.server.safety import Problem

# A live owner renews three times per lease length. After this many lengths without a renewal it counts as dead.
DEAD_AFTER = 3
# How often the daemon that should have a partition tries to take its lease: an owner that gives it up releases it soon.
HANDOVER_SECONDS = 0.25

log = structlog.get_logger()


class LeaseKeeper:
    """Waits for a lease and renews it. `what` names the owned thing. `standby` is called with the owner when another
    daemon has it, or should have it. `look` reads the server's clock for the guard, before any decision depends on it.

    `assigned`: the daemon that should have the lease; this one if None.
    """

    def __init__(
        self,
        what: str,
        lease: Lease,
        retry: Retry,
        clock: Clock,
        *,
        seconds: float,
        standby: Callable[[str], None],
        look: Callable[[], Awaitable[None]],
        assigned: str | None = None,
    ) -> None:
        self.is_held = False
        self.waiting_for: str | None = None  # why it does not try to take the lease
        self._what = what
        self._lease = lease
        self._retry = retry
        self._clock = clock
        self._pause = seconds / 3
        self._standby = standby
        self._look = look
        # The daemon that should have the lease; "" while that is not known.
        self._assigned = lease.instance if assigned is None else assigned
        self._stopping = False
        self._woken = asyncio.Event()

    @property
    def fence(self) -> str:
        """The fencing token of commits."""
        return self._lease.value

    @property
    def epoch(self) -> int | None:
        """The number of the lease, or None if this daemon does not have it."""
        return int(self.fence.partition(":")[0]) if self.is_held and self.fence else None

    @property
    def is_wanted(self) -> bool:
        """Return whether this daemon should have the lease."""
        return self._assigned == self._lease.instance and not self._stopping

    def stop(self) -> None:
        """Stop waiting for the lease."""
        self._stopping = True
        self._woken.set()

    def assign(self, instance: str) -> None:
        """Set which daemon should have the lease. Another one waits."""
        if instance != self._assigned:
            self._assigned = instance
            self._woken.set()

    async def take(self) -> bool:
        """Wait for the lease. False if stopped meanwhile."""
        self.is_held = False
        watched = _ForeignLease(self._lease, self._clock)
        owner: str | None = None
        while not self._stopping:
            await self._retry.call("reading the server's clock", self._look)
            wait = self._pause
            other = None if self.is_wanted else self._assigned or None
            if self.is_wanted:
                replace = watched.dead_value()
                found = await self._retry.call(
                    "taking the lease",
                    lambda: self._lease.take(replace=replace),  # noqa: B023
                )
                self._report_refusal(found if isinstance(found, Problem) else None)
                if found is None:
                    self.is_held = True
                    return True
                if isinstance(found, Holder):
                    watched.look(found)
                    other = found.instance
                    wait = min(HANDOVER_SECONDS, wait, max(found.left_ms, 10) / 1000)
            if other is not None and owner != other:
                owner = other
                self._standby(owner)
            await self._wait(wait)
        return False

    async def hold(self) -> None:
        """Keep the lease until stopped, or lost, without doing its work. Without the lease, only wait."""
        while not self._stopping:
            if self.fence:
                with contextlib.suppress(StoreUnavailable, StoreRefused):
                    self.is_held = await self._lease.renew() is None
            await self._wait(self._pause)

    async def _wait(self, seconds: float) -> None:
        """Wait until stopped or assigned, at most so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        self._woken.clear()

    def _report_refusal(self, problem: Problem | None) -> None:
        if problem is not None and self.waiting_for is None:
            log.error("lease.refused", of=self._what, reason=problem.reason, remedy=problem.remedy)
        self.waiting_for = None if problem is None else problem.reason

    async def renew(self) -> None:
        """Renew the lease until cancelled. Raises `Fenced` if it is lost."""
        while True:
            await self._clock.sleep(self._pause)
            try:
                holder = await self._lease.renew()
            except (StoreUnavailable, StoreRefused) as trouble:
                log.debug("lease.waiting", reason=str(trouble))
                continue
            if holder is not None:
                self.is_held = False  # not claimed any more, whatever still runs
                raise Fenced(holder.instance)

    async def handle_loss(self, failed: BaseExceptionGroup[BaseException]) -> None:
        """Handle the errors that ended the work. Return after a lost lease, so that the caller waits again, and
        raise all others.

        Lost data found together with the lost lease is no error here: after a failover both go. The data are compared
        again before the next work with the lease.
        """
        self.is_held = False
        fenced, other = failed.split(Fenced)
        if fenced is None:
            raise failed
        if other is not None and other.split(LostData)[1] is not None:
            raise other  # without `Fenced`, which would end the daemon
        holder = await self._retry.call("looking at the lease", self._lease.renew)
        if holder is not None and holder.value:
            log.warning("lease.lost", of=self._what, owner=holder.instance, action="waiting on standby")
        else:
            log.warning("lease.expired", of=self._what, action="taking it again and reloading")

    async def release(self) -> None:
        self.is_held = False
        with contextlib.suppress(StoreUnavailable, StoreRefused):
            await self._lease.release()


class _ForeignLease:
    """The lease of another daemon that this one waits for.

    Setting the server's clock back prolongs every lease by as much. A live owner soon renews its lease to the right
    length; the lease of a dead one would last for hours.
    """

    def __init__(self, lease: Lease, clock: Clock) -> None:
        self._lease = lease
        self._clock = clock
        self._holder: Holder | None = None
        self._renewed = 0.0  # when the owner last renewed
        self._is_warned = False

    def look(self, holder: Holder) -> None:
        before, self._holder = self._holder, holder
        is_same = before is not None and before.value == holder.value
        if is_same and before is not None and holder.left_ms < before.left_ms:
            return
        self._renewed = self._clock.monotonic()
        if is_same and holder.instance == self._lease.instance and not self._is_warned:
            self._is_warned = True
            log.warning(
                "lease.same_instance",
                instance=holder.instance,
                remedy="give each daemon its own daemon.instance: logs and commands distinguish daemons by it",
            )

    def dead_value(self) -> str:
        """The value of the lease if its owner is dead and it would last beyond its length, else ''."""
        holder, length = self._holder, self._lease.length_ms
        if holder is None or holder.left_ms <= length:
            return ""
        silent = self._clock.monotonic() - self._renewed
        return holder.value if silent > DEAD_AFTER * length / 1000 else ""
