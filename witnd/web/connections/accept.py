"""Accepts connections up to the limit, and slows down if the system has no resources for more.

asyncio's own server accepts without a bound, and reports each failure to accept by itself.
"""

import asyncio
import errno
import socket
from collections.abc import Sequence
from typing import Final

import structlog

from witnd.web.connections.limit import first_to_close
from witnd.web.connections.protocol import Listener, Protocol

BACKLOG: Final = 128
# The system says that it has no file or memory for another connection.
_EXHAUSTED: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
_PAUSE_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 0.1
# However long it lasts, one line in so many seconds.
_REPORT_SECONDS: Final = 60.0

log = structlog.get_logger()


class Acceptor:
    """`run()` until cancelled. `most`: how many connections the listener may have."""

    def __init__(self, listener: Listener, most: int) -> None:
        self.most = most
        self.closed = 0  # to make room
        self._listener = listener
        self._reported: dict[str, float] = {}

    async def run(self, sockets: Sequence[socket.socket]) -> None:
        async with asyncio.TaskGroup() as group:
            for one in sockets:
                group.create_task(self._accept(one))

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listening)
            except OSError as wrong:
                if wrong.errno in _EXHAUSTED:
                    if self._should_report("accept_failed"):
                        log.warning("http.accept_failed", reason=str(wrong), remedy="raise the limit of open files")
                    self._close_one()
                    await asyncio.sleep(_PAUSE_SECONDS)
                else:
                    await asyncio.sleep(0)  # the client has gone already
                continue
            try:
                await self._room()
                await loop.connect_accepted_socket(self._listener, connection)
            except OSError:
                connection.close()
            except BaseException:
                connection.close()
                raise

    async def _room(self) -> None:
        while len(self._listener.connections) >= self.most:
            if self._should_report("full"):
                log.warning("http.connections_full", connections=self.most, remedy="raise http.connections_max")
            if self._close_one():
                await asyncio.sleep(0)  # it is forgotten in the meantime
            else:
                await asyncio.sleep(_LOOK_SECONDS)

    def _close_one(self) -> bool:
        now = asyncio.get_running_loop().time()
        open_ones = [one for one in self._listener.connections if isinstance(one, Protocol)]
        place = first_to_close(one.state(now) for one in open_ones)
        if place is None:
            return False
        open_ones[place].abort()
        self.closed += 1
        return True

    def _should_report(self, what: str) -> bool:
        now = asyncio.get_running_loop().time()
        if now - self._reported.get(what, float("-inf")) < _REPORT_SECONDS:
            return False
        self._reported[what] = now
        return True


async def listening_sockets(host: str, port: int) -> list[socket.socket]:
    """Return a socket for each address of the host. Raise OSError if an address is in use."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            one = socket.socket(family, kind, protocol)
            sockets.append(one)
            one.settimeout(0)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.bind(address)
            one.listen(BACKLOG)
    except OSError:
        for one in sockets:
            one.close()
        raise
    return sockets
