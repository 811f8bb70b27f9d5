"""A reference loop with nothing in it but the work: what this machine could do if billing were ten lines long.

Read a batch, count each event on its outcome, move its deadline, and write the changed outcomes, the deadlines and the
position as one MULTI; the next batch is read meanwhile. It checks nothing, knows one hard-coded condition, keeps no
history and no idempotency, and cannot be configured. The daemon is compared with it because absolute figures of
different machines, or of one noisy machine at different times, mean nothing.

Empties the Redis that it is pointed at. One JSON line at the end.
"""

import argparse
import asyncio
import time
from typing import Any

import msgspec

from bench import figures, workload
from witnd.endpoint import endpoint
from witnd.store.server import wire

BATCH = 1000
SETTLEMENT = 3600.0

_encode = msgspec.msgpack.Encoder().encode


class Properties(msgspec.Struct, gc=False):
    value: float = 0.0


class Event(msgspec.Struct, gc=False):
    key: str
    action: str
    properties: Properties


_decode = msgspec.json.Decoder(Event).decode


class Counted:
    """One outcome: how often each action came, the last value of each, whether its condition holds, when it is due."""

    __slots__ = ("changed", "counts", "due", "holds", "key", "last")

    def __init__(self, key: str) -> None:
        self.key = key
        self.counts: dict[str, int] = {}
        self.last: dict[str, float] = {}
        self.holds = self.changed = False
        self.due = 0.0

    def take(self, event: Event, now: float) -> None:
        counts, action = self.counts, event.action
        counts[action] = counts.get(action, 0) + 1
        self.last[action] = event.properties.value
        reopened = counts.get("reopened", 0)
        self.holds = "resolved" in counts and (not reopened or self.last.get("csat", 0) >= 50)
        self.due = now + SETTLEMENT


class Loop:
    def __init__(self, line: wire.Wire) -> None:
        self._line = line
        self._known: dict[str, Counted] = {}

    async def run(self, events: int) -> float:
        """Take the whole stream once; answers events a second."""
        done, last, writing = 0, b"0-0", None
        reading = self._read(last)
        began = time.perf_counter()
        while done < events:
            rows = (await reading)[0][0][1]
            last, done = rows[-1][0], done + len(rows)
            if done < events:
                reading = self._read(last)
            commands = self._apply(rows, last)
            if writing is not None:
                wire.check_replies(await writing)
            writing = self._line.send(commands)
        if writing is not None:
            wire.check_replies(await writing)
        return events / (time.perf_counter() - began)

    def _read(self, after: bytes) -> asyncio.Future[list[Any]]:
        return self._line.send([("XREAD", "COUNT", BATCH, "STREAMS", "events", after)])

    def _apply(self, rows: list[Any], last: bytes) -> list[list[Any]]:
        now, known = time.time(), self._known
        changed: list[Counted] = []
        for _, fields in rows:
            event = _decode(fields[1])
            one = known.get(event.key)
            if one is None:
                one = known[event.key] = Counted(event.key)
            one.take(event, now)
            if not one.changed:
                one.changed = True
                changed.append(one)
        records: list[Any] = ["MSET"]
        deadlines: list[Any] = ["ZADD", "due"]
        for one in changed:
            one.changed = False
            records += ("outcome:" + one.key, _encode((one.holds, one.due, one.counts, one.last)))
            deadlines += (f"{one.due:.3f}", one.key)
        return [["MULTI"], records, deadlines, ["SET", "position", last], ["EXEC"]]


async def measure(options: argparse.Namespace) -> list[float]:
    line = await wire.connect(endpoint(f"redis://127.0.0.1:{options.port}/0"), "ceiling")
    await line.ask(["FLUSHALL"], seconds=60)
    packed: list[bytes] = []
    for one in workload.drawn(options.events, options.outcomes):
        packed.append(wire.pack(("XADD", "events", "*", "data", one)))
        if len(packed) == workload.PER_WRITE:
            await line.send_packed(b"".join(packed), len(packed))
            packed.clear()
    if packed:
        await line.send_packed(b"".join(packed), len(packed))
    loop = Loop(line)
    await loop.run(options.events)  # afterwards every outcome is in memory
    rates = [await loop.run(options.events) for _ in range(options.reps)]
    line.close()
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--outcomes", type=int, default=100_000)
    parser.add_argument("--reps", type=int, default=3)
    # The loop of ../shared has these for a phase of its own that nothing here looks at.
    parser.add_argument("--timers", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--settle", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    rates = asyncio.run(measure(options))
    figures.report("ceiling", events_per_s=round(figures.median(rates)), lo=round(min(rates)), hi=round(max(rates)))


if __name__ == "__main__":
    main()
