"""Causes the faults of a plan, and ends all of them."""

import asyncio
from collections.abc import Callable, Sequence

from tests.simulation.daemon import Host
from tests.simulation.network import Faults, Network
from tests.simulation.plan import Deed
from tests.simulation.server import Server

HOST_DEEDS = ("pause", "cut off", "crash", "stop")


class FaultInjector:
    """Does deeds to hosts, server and network. `start` starts the daemon of a host."""

    def __init__(self, server: Server, network: Network, hosts: Sequence[Host], start: Callable[[Host], None]) -> None:
        self._server = server
        self._network = network
        self._hosts = hosts
        self._start = start
        self._trace = network.trace
        self._begun: set[Deed] = set()

    async def do_all(self, deeds: Sequence[Deed], ends: float) -> None:
        """Do deeds, of which none begins after `ends`, and wait until all that have begun are over."""
        tasks = {deed: asyncio.ensure_future(self._do(deed)) for deed in deeds}
        await asyncio.sleep(ends)
        for deed, task in tasks.items():
            if deed not in self._begun:
                task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        await self._heal()

    async def _do(self, deed: Deed) -> None:
        """Cause a fault and end it."""
        await asyncio.sleep(deed.at)
        host, network = self._hosts[deed.host], self._network
        if deed.at_step and deed.kind in HOST_DEEDS:
            await self._wait_for_step(deed, host)
        self._begun.add(deed)
        match deed.kind:
            case "clock":
                self._step_clock(deed.ms)
                await asyncio.sleep(deed.seconds)
                self._step_clock(0)
            case "wall clock":
                self._trace(f"the wall clock of {host.name} is {deed.ms} ms off for {deed.seconds:.3f} s")
                host.clock.wall_offset_ms = deed.ms
                await asyncio.sleep(deed.seconds)
                host.clock.wall_offset_ms = 0
            case "flush scripts":
                self._server.scripts.flush()
            case "busy server":
                self._trace(f"the server is busy for {deed.seconds:.3f} s")
                network.busy_until = max(network.busy_until, network.loop.time() + deed.seconds)
            case "server restart":
                await self._restart_server(deed.seconds)
            case _:
                await self._do_to_host(deed, host)

    async def _do_to_host(self, deed: Deed, host: Host) -> None:
        process = host.process
        assert process is not None
        if not host.is_up or (process.is_paused and not deed.at_step):
            return
        self._trace(f"{host.name}: {deed.kind} for {deed.seconds:.3f} s")
        match deed.kind:
            case "pause":
                process.is_paused = True
                await asyncio.sleep(deed.seconds)
                process.is_paused = False
            case "cut off":
                self._network.cut_off.add(host.name)
                self._network.cut(process)
                process.is_paused = False
                await asyncio.sleep(deed.seconds)
                self._network.cut_off.discard(host.name)
            case "crash":
                host.crash()
                await asyncio.sleep(deed.seconds)
                await self._restart(host)
            case "stop":
                process.is_paused = False
                host.stop()
                await asyncio.sleep(deed.seconds)
                await self._restart(host)

    async def _wait_for_step(self, deed: Deed, host: Host) -> None:
        """Wait until the host sends a step. A step that is held waits in the paused process."""
        reached = asyncio.Event()

        def on_step() -> bool:
            reached.set()
            if deed.holds_step and host.process is not None:
                host.process.is_paused = True
            return deed.holds_step

        self._network.on_step[host.name] = on_step
        await reached.wait()

    async def _heal(self) -> None:
        """End all faults, and start what does not run."""
        network = self._network
        self._trace("all faults end")
        network.faults = Faults()
        network.cut_off.clear()
        network.on_step.clear()
        self._step_clock(0)
        for host in self._hosts:
            host.clock.wall_offset_ms = 0
            if host.process is not None:
                host.process.is_paused = False
        # Messages that wait for the server keep their order.
        await asyncio.sleep(max(0.0, network.busy_until - network.loop.time()))
        for host in self._hosts:
            await self._restart(host)

    async def _restart_server(self, seconds: float) -> None:
        """End the server, which keeps its data, and start it again."""
        self._trace(f"the server restarts within {seconds:.3f} s")
        names = {host.name for host in self._hosts}
        self._network.cut_off |= names
        for host in self._hosts:
            if host.process is not None:
                self._network.cut(host.process)
        self._server.scripts.flush()
        await asyncio.sleep(seconds)
        self._network.cut_off -= names

    async def _restart(self, host: Host) -> None:
        """Start the daemon of a host again once it has ended, unless another deed does."""
        while host.is_up and host.daemon is not None and host.daemon.is_stopping:
            await asyncio.sleep(0.05)
        if not host.is_up:
            self._start(host)

    def _step_clock(self, offset_ms: int) -> None:
        self._trace(f"the server's clock is {offset_ms} ms off")
        self._server.step_clock(offset_ms)
