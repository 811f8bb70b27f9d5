"""A load generator over prebuilt requests: one loop over ready sockets, which sends bytes and looks for the end of the
answer. It costs some microseconds a request, so that it is not what is measured."""

import re
import select
import socket
import time
from collections.abc import Sequence
from typing import NamedTuple

RECEIVE = 1 << 18
SILENT_SECONDS = 10.0
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class Shots(NamedTuple):
    """`waited`: milliseconds from each request to the last byte of its answer."""

    requests: int
    seconds: float
    waited: list[float]


class _Line:
    """One connection, with one request under way."""

    __slots__ = ("at", "need", "socket", "taken")

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.at = 0.0
        self.need = 0  # bytes of a long answer that are still to come
        self.taken = b""

    def answered(self) -> bool:
        """Read what is there; whether the answer is whole."""
        data = self.socket.recv(RECEIVE)
        if not data:
            raise ConnectionError("the server closed a connection")
        if self.need:
            self.need -= len(data)
            return self.need <= 0
        if self.taken:
            data = self.taken + data
        head = data.find(b"\r\n\r\n")
        if head < 0:
            self.taken = data
            return False
        if not data.startswith(b"HTTP/1.1 202"):
            raise ConnectionError(f"not a 202: {data[:500]!r}")
        self.taken = b""
        length = _LENGTH.search(data, 0, head)
        self.need = head + 4 + (int(length[1]) if length else 0) - len(data)
        return self.need <= 0


def volley(port: int, requests: Sequence[bytes], *, connections: int, seconds: float, warm: float = 0.5) -> Shots:
    """Keep every connection busy with the next request of the list, beginning anew at its end. What comes in the
    first `warm` seconds is not counted."""
    lines = {line.socket.fileno(): line for line in (_Line(port) for _ in range(connections))}
    ready = select.epoll()
    waited: list[float] = []
    clock = time.perf_counter
    number = 0
    try:
        for handle, line in lines.items():
            ready.register(handle, select.EPOLLIN)
            line.at = clock()
            line.socket.sendall(requests[number % len(requests)])
            number += 1
        began = clock() + warm
        limit = began + seconds
        now = clock()
        while now < limit:
            found = ready.poll(SILENT_SECONDS)
            if not found:
                raise TimeoutError(f"no answer for {SILENT_SECONDS:g} s")
            for handle, _ in found:
                line = lines[handle]
                if not line.answered():
                    continue
                now = clock()
                if now >= began:
                    waited.append((now - line.at) * 1000)
                line.at = now
                line.socket.sendall(requests[number % len(requests)])
                number += 1
        return Shots(len(waited), now - began, waited)
    finally:
        ready.close()
        for line in lines.values():
            line.socket.close()
