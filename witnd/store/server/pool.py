"""A bounded pool of connections whose callers wait for a free one."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from redis import exceptions
from redis.asyncio.connection import AbstractConnection, ConnectionPool

from witnd.store.errors import StoreRefused

# As long as one answer may take. After that, an error is more useful than a longer wait.
WAIT_SECONDS: Final = 5.0


class WaitingPool(ConnectionPool):
    """A pool whose callers wait up to `WAIT_SECONDS` for a free connection, in order of arrival.

    The pools of redis-py fail at once when all connections are in use, or report a timeout as a lost connection. Here
    nothing was sent, so the caller gets a refusal and may retry. `work` names the pool in that message. `explain`
    returns the refusal for a failed login, or None for other errors.
    """

    def __init__(
        self,
        *,
        work: str,
        explain: Callable[[exceptions.RedisError], StoreRefused | None],
        max_connections: int,
        **options: Any,
    ) -> None:
        super().__init__(max_connections=max_connections, **options)
        self._explain = explain
        self._work = work
        self._free = asyncio.Semaphore(max_connections)

    async def get_connection(self, *_: Any, **__: Any) -> AbstractConnection:
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._free.acquire()
        except TimeoutError:
            raise StoreRefused(
                f"all {self.max_connections} connections to Redis for {self._work} were in use for {WAIT_SECONDS:g} s",
                "try again; if it persists, look for slow commands on the server (SLOWLOG GET)",
            ) from None
        try:
            connection: AbstractConnection = self.get_available_connection()  # type: ignore[no-untyped-call]
        except BaseException:
            self._free.release()
            raise
        try:
            await self.ensure_connection(connection)
        except BaseException as error:
            await self.release(connection)
            if isinstance(error, exceptions.RedisError) and (refused := self._explain(error)) is not None:
                raise refused from error
            raise
        return connection

    async def release(self, connection: AbstractConnection) -> None:
        try:
            await super().release(connection)
        finally:
            self._free.release()
