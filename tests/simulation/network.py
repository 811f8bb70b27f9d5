"""Virtual connections between processes and the server, with faults drawn from the seed.

Each message has a delay, and the order within a connection is kept. A fault cuts the connection before or after the
server runs the message. A late message is run after its sender has already seen the connection end.
"""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

from msgspec import Struct

from tests.simulation.loop import Process, VirtualLoop
from tests.simulation.server import Server, Session
from witnd.store.partition.commit import SHA


class Faults(Struct, kw_only=True):
    """How often each fault happens to a message; 0 for never."""

    lost_before: float = 0.0  # the connection ends, and the server never runs the message
    lost_after: float = 0.0  # the server runs it, and the reply is lost
    late: float = 0.0  # the connection ends, and the server runs the message later
    silent: float = 0.0  # the server runs it, and no reply ever comes
    slow: float = 0.0  # the message takes long
    split: float = 0.0  # other clients' commands run between those of the message
    commit_factor: float = 1.0  # how much more often faults happen to steps and leases


FASTEST, FAST = 0.0002, 0.002  # seconds of a message in one direction
SLOW_MAX = 1.5
LATE_MAX = 4.0
STEP = SHA.encode()


class Network:
    """Opens connections. `faults` may change at any time; processes in `cut_off` cannot connect."""

    def __init__(self, loop: VirtualLoop, server: Server, random: Random, trace: Callable[[str], None]) -> None:
        self.loop = loop
        self.server = server
        self.random = random
        self.trace = trace
        self.faults = Faults()
        self.cut_off: set[str] = set()
        self.busy_until = 0.0  # the server runs nothing before
        # By name of a process, what to do when it sends its next step. Returns whether the message is not sent yet.
        self.on_step: dict[str, Callable[[], bool]] = {}
        self.links: dict[Link, None] = {}
        loop.connect = self.connect

    async def connect(self, process: Process, factory: Callable[[], asyncio.BaseProtocol]) -> Any:
        await asyncio.sleep(self.delay())
        if process.name in self.cut_off:
            raise ConnectionRefusedError("no route to the server")
        protocol = factory()
        link = Link(self, process, protocol)
        self.links[link] = None
        protocol.connection_made(link)
        return link, protocol

    def cut(self, process: Process) -> None:
        """End all connections of a process."""
        for link in [one for one in self.links if one.process is process]:
            link.lose("cut")

    def delay(self) -> float:
        if self.random.random() < self.faults.slow:
            return self.random.uniform(FAST, SLOW_MAX)
        return self.random.uniform(FASTEST, FAST)

    def fault(self, data: bytes) -> str | None:
        """Return the fault of a message, or None."""
        faults = self.faults
        draw = self.random.random() / (faults.commit_factor if b":owner" in data[:200] else 1.0)
        for name in ("lost_before", "lost_after", "late", "silent"):
            chance = getattr(faults, name)
            if draw < chance:
                return name
            draw -= chance
        return None


class Link(asyncio.Transport):
    """The transport of one connection."""

    def __init__(self, network: Network, process: Process, protocol: Any) -> None:
        super().__init__()
        self.process = process
        self._network = network
        self._protocol = protocol
        self._session = Session(network.server, self._answer)
        self._is_open = True  # at the client
        self._is_silent = False
        self._held: list[bytes] = []  # messages that are sent once the process continues
        self._arrival = self._delivery = 0.0  # of the last message in each direction

    # -- the client's side -------------------------------------------------------------------------------------------

    def write(self, data: Any) -> None:
        if not self._is_open:
            return
        network, data = self._network, bytes(data)
        if self._held:
            self._held.append(data)
            return
        if self.process.name in network.on_step and STEP in data[:80] and network.on_step.pop(self.process.name)():
            self._held.append(data)
            network.loop.call_soon(self._release, context=self.process.context)
            return
        fault = network.fault(data)
        if fault is not None:
            network.trace(f"{self.process.name} message {fault}: {describe(data)}")
        if fault == "lost_before":
            self._later(network.delay(), self.lose, "lost before")
            self._is_silent = True
            return
        delay = network.delay()
        if fault == "late":
            self._later(network.delay(), self.lose, "late")
            delay += network.random.uniform(0, LATE_MAX)
        self._arrival = max(self._arrival, network.loop.time() + delay)
        self._at(self._arrival, self._arrive, data, fault, context=network.loop.world.context)

    def _release(self) -> None:
        held, self._held = self._held, []
        for data in held:
            self.write(data)

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def is_closing(self) -> bool:
        return not self._is_open

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing is buffered."""

    def pause_reading(self) -> None:
        """Replies are small."""

    def resume_reading(self) -> None:
        """Replies are small."""

    def close(self) -> None:
        self.abort()

    def abort(self) -> None:
        """Close it at the client. What was written before still arrives."""
        if self._is_open:
            self._is_open = False
            self._network.loop.call_soon(self._protocol.connection_lost, None, context=self.process.context)
            self._at(max(self._arrival, self._network.loop.time()), self._close_session)

    def lose(self, why: str) -> None:
        """End it from outside: the client sees an error."""
        if self._is_open:
            self._is_open = False
            error = ConnectionResetError(f"connection reset ({why})")
            self._network.loop.call_soon(self._protocol.connection_lost, error, context=self.process.context)
            self._at(max(self._arrival, self._network.loop.time()), self._close_session)

    # -- the server's side -------------------------------------------------------------------------------------------

    def _arrive(self, data: bytes, fault: str | None) -> None:
        network = self._network
        if self._session.is_closed:
            return
        if network.loop.time() < network.busy_until:
            self._at(network.busy_until, self._arrive, data, fault)
            return
        if fault in ("lost_after", "silent", "late"):
            self._is_silent = True
        self._session.receive(data, is_split=network.random.random() < network.faults.split)
        if fault == "lost_after":
            self._later(network.delay(), self.lose, "lost after")

    def _answer(self, reply: bytes) -> None:
        if self._is_silent or not self._is_open:
            return
        loop = self._network.loop
        self._delivery = max(self._delivery, loop.time() + self._network.delay())
        self._at(self._delivery, self._deliver, reply, context=self.process.context)

    def _deliver(self, reply: bytes) -> None:
        if self._is_open:
            self._protocol.data_received(reply)

    def _close_session(self) -> None:
        if self._network.loop.time() < self._network.busy_until:
            self._at(self._network.busy_until, self._close_session)
            return
        self._session.close()
        self._network.links.pop(self, None)

    def _later(self, delay: float, call: Any, *args: Any) -> None:
        self._at(self._network.loop.time() + delay, call, *args)

    def _at(self, when: float, call: Any, *args: Any, context: Any = None) -> None:
        loop = self._network.loop
        loop.call_at(when, call, *args, context=context or loop.world.context)


def describe(data: bytes) -> str:
    """Return the first words of a message."""
    words = [word for word in data[:400].split(b"\r\n")[2::2] if word]
    return b" ".join(word[:40] for word in words[:5]).decode(errors="replace")
