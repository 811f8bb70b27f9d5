"""Resolve host names in separate threads.

A lookup by the C library can take half a minute and cannot be interrupted. Here a slow one delays neither other users
of the loop's thread pool nor the end of the process, and the number of lookups is limited.
"""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import Any, Final

from aiohttp.abc import AbstractResolver, ResolveResult

# One thread per name, as the connector merges lookups of the same name. So only this many dead name servers delay
# others.
LOOKUPS_MAX: Final = 32

Lookup = Callable[..., list[tuple[Any, ...]]]


class Resolver(AbstractResolver):
    def __init__(self, lookup: Lookup = socket.getaddrinfo) -> None:
        self._lookup = lookup
        self._free = asyncio.Semaphore(LOOKUPS_MAX)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        found: asyncio.Future[list[tuple[Any, ...]]] = loop.create_future()
        await self._free.acquire()

        def set_result(result: list[tuple[Any, ...]] | None, error: Exception | None) -> None:
            self._free.release()
            if found.done():
                return
            if error is not None:
                found.set_exception(error)
            else:
                found.set_result(result or [])

        def look_up() -> None:
            result, failure = None, None
            try:
                result = self._lookup(host, port, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG)
            except OSError as error:
                failure = error
            except Exception as error:  # noqa: BLE001 - the waiting task needs a result
                failure = OSError(None, f"not a valid host name: {error}")
            with suppress(RuntimeError):  # the loop and the waiting task have ended
                loop.call_soon_threadsafe(set_result, result, failure)

        try:
            Thread(target=look_up, name=f"lookup {host}", daemon=True).start()
        except RuntimeError as error:
            self._free.release()
            raise OSError(None, f"no thread to look up the host name: {error}") from error
        return [
            ResolveResult(
                hostname=host,
                host=address[0],
                port=address[1],
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, protocol, _, address in await found
        ]

    async def close(self) -> None:
        """Do nothing: running lookups end without help."""
