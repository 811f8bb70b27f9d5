"""The leases of all partitions and of the invoices, which keep daemons away during a repartition."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

from redis.asyncio import Redis

from witnd.store.errors import Fenced, StoreRefused, StoreUnavailable, Unsafe
from witnd.store.keys import BillingKeys, Keys, OwnedKeys
from witnd.store.server.lease import Holder, Lease
from witnd.store.server.safety import Problem

# The owner in the leases. Logs and errors of daemons show it.
INSTANCE: Final = "witnd-repartition"


class Leases:
    """The leases. `of(number)` is that of a partition."""

    def __init__(self, client: Redis, prefix: str, partitions: int, length_ms: int, now_ms: Callable[[], int]) -> None:
        owned: list[OwnedKeys] = [*(Keys(prefix, number) for number in range(partitions)), BillingKeys(prefix)]
        self._leases = [Lease(client, keys, INSTANCE, length_ms, now_ms) for keys in owned]
        self._pause = length_ms / 3000

    def of(self, number: int) -> Lease:
        return self._leases[number]

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Hold all leases inside the block. Raises `Unsafe` if a daemon has one of them. If one is lost, the block is
        cancelled and `Fenced` is raised."""
        try:
            for number, lease in enumerate(self._leases):
                found = await lease.take()
                if found is not None:
                    raise self._refusal(number, found)
            async with asyncio.TaskGroup() as group:
                renewing = group.create_task(self._renew())
                yield
                renewing.cancel()
        except BaseExceptionGroup as failed:
            raise _first(failed) from None
        finally:
            with suppress(StoreUnavailable, StoreRefused):
                for lease in self._leases:
                    await lease.release()

    def _refusal(self, number: int, found: Holder | Problem) -> Unsafe:
        if isinstance(found, Problem):
            return Unsafe(found.reason, found.remedy)
        what = "makes the invoices" if number == len(self._leases) - 1 else f"works on partition {number}"
        return Unsafe(
            f"a daemon {what} ({found.instance})",
            "stop all daemons first; if one has crashed, its lease expires within seconds",
        )

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._pause)
            for lease in self._leases:
                holder = await lease.renew()
                if holder is not None:
                    raise Fenced(holder.instance)


def _first(failed: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first error of a group: it caused the others."""
    error: BaseException = failed
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
