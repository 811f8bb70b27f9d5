"""Shares the partitions with the other daemons: each records a heartbeat, and all follow the same plan."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import structlog

from witnd.clock import Clock
from witnd.daemon.sharing.liveness import Liveness
from witnd.daemon.sharing.plan import plan
from witnd.store.daemons.registry import Daemon, Registry
from witnd.store.errors import Displaced, StoreRefused, StoreUnavailable, Unsafe
from witnd.store.server.lease import is_dead_process

# A partition of a daemon that stops is taken within two of these.
HEARTBEAT_SECONDS: Final = 0.25
UNREADABLE_SECONDS: Final = 10.0
# Heartbeats of an ended process may still be on their way to Redis: its last one, and those of lost connections.
# One that runs has sent more than these within two seconds.
LATE_HEARTBEATS_MAX: Final = 3

log = structlog.get_logger()


class Shared(Protocol):
    """A partition that is shared: `assign` names the instance that should have it."""

    number: int

    @property
    def epoch(self) -> int | None:
        """The number of the lease that this daemon has, or None."""

    def assign(self, instance: str) -> None: ...


class Sharing:
    """Follows the plan: `run()` until cancelled, then `leave()`.

    Raises `Displaced` if another daemon runs under the same instance name. Until the first plan, this daemon takes no
    partition.
    """

    def __init__(self, registry: Registry, partitions: Sequence[Shared], clock: Clock, lease_seconds: float) -> None:
        self._registry = registry
        self._partitions = partitions
        self._clock = clock
        self._lease_seconds = lease_seconds
        self._liveness = Liveness(lease_seconds)
        self._others: tuple[str, ...] = ()
        self._ended: list[str] = []
        self._leaving = False
        self.trouble: str | None = None  # why the partitions are not shared, for health
        self._woken = asyncio.Event()

    @property
    def has_others(self) -> bool:
        """Return whether other daemons run, which take the partitions that this one gives up."""
        return bool(self._others)

    async def _join(self) -> None:
        """Record this daemon, and plan for the first time. Wait while a daemon of the same name may have ended."""
        other: Daemon | None = None
        since = self._clock.monotonic()  # the last heartbeat of the other daemon
        late = 0
        replace = ""
        while (found := await self._heartbeat(replace)) is not None:
            if other is not None and found != other:
                late += 1
                since = self._clock.monotonic()
                if late > LATE_HEARTBEATS_MAX:
                    raise self._name_in_use()
            other = found
            is_silent = self._clock.monotonic() - since > self._lease_seconds
            replace = found.nonce if is_silent or is_dead_process(found.nonce) else ""
            if not replace:
                await self._clock.sleep(HEARTBEAT_SECONDS)

    async def run(self) -> None:
        has_joined = False
        while True:
            try:
                if not has_joined:
                    await self._join()
                    has_joined = True
                elif await self._heartbeat() is not None:
                    raise self._name_in_use()
                self.trouble = None
            except (StoreUnavailable, StoreRefused) as trouble:
                # Keep the plan. The callers that need Redis log this.
                self.trouble = f"the partitions are not shared: {trouble}"
            except Unsafe as unreadable:
                self.trouble = f"the partitions are not shared: {unreadable}"
                log.error("daemons.unreadable", reason=unreadable.reason, remedy=unreadable.remedy)
                await self._clock.sleep(UNREADABLE_SECONDS)
            try:
                async with asyncio.timeout(HEARTBEAT_SECONDS):
                    await self._woken.wait()
            except TimeoutError:
                continue
            self._woken.clear()

    def stop(self) -> None:
        """Announce to the other daemons that this one gives up its partitions."""
        self._leaving = True
        self._woken.set()

    async def leave(self) -> None:
        """Remove this daemon from the registry."""
        await self._registry.leave()

    async def _heartbeat(self, replace: str = "") -> Daemon | None:
        """Record a heartbeat and follow the plan. Return the daemon that has the same name, if there is one."""
        owned = {one.number: epoch for one in self._partitions if (epoch := one.epoch) is not None}
        found = await self._registry.heartbeat(owned, leaving=self._leaving, replace=replace, ended=self._ended)
        if isinstance(found, Daemon):
            return found
        self._liveness.observe(
            {name: (daemon.nonce, daemon.beat) for name, daemon in found.items()}, self._clock.monotonic()
        )
        running = {name for name in self._liveness.running() if not is_dead_process(found[name].nonce)}
        self._ended = [name for name in found if name not in running]
        self._report({name: found[name] for name in sorted(running)})
        self._follow(
            {name: daemon.partitions for name, daemon in found.items() if name in running and not daemon.leaving}
        )
        return None

    def _report(self, running: Mapping[str, Daemon]) -> None:
        others = tuple(name for name in running if name != self._registry.instance)
        if others != self._others:
            self._others = others
            log.info("daemons.changed", others=list(others))

    def _follow(self, owned: Mapping[str, Mapping[int, int]]) -> None:
        assigned = {number: name for name, some in plan(len(self._partitions), owned).items() for number in some}
        for one in self._partitions:
            one.assign(assigned.get(one.number, ""))

    def _name_in_use(self) -> Displaced:
        return Displaced(
            f"another daemon runs with the instance name {self._registry.instance!r}; "
            "give each daemon its own daemon.instance"
        )
