"""The design that comes to mind first, to compare with: several consumers of a group, and for every event a read,
a change and a conditional write of its outcome, with the deadline beside it and the event acknowledged.

Correct about lost updates (WATCH), and slow for the reason that the daemon is not built like this: several round
trips for every event. Empties the Redis that it is pointed at. One JSON line at the end.
"""

import argparse
import asyncio
import json
import time
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import WatchError

from bench import figures, workload

SETTLEMENT = 3600.0
READ = 100


async def handle(client: Redis, entry: bytes, event: dict[str, Any]) -> None:
    name = "outcome:" + event["key"]
    async with client.pipeline(transaction=True) as pipe:
        while True:
            await pipe.watch(name)
            stored = await pipe.get(name)
            state = json.loads(stored) if stored else {"counts": {}, "last": {}}
            counts, action = state["counts"], event["action"]
            counts[action] = counts.get(action, 0) + 1
            state["last"][action] = event["properties"]["value"]
            state["due"] = time.time() + SETTLEMENT
            state["holds"] = "resolved" in counts and ("reopened" not in counts or state["last"].get("csat", 0) >= 50)
            pipe.multi()  # type: ignore[no-untyped-call]
            pipe.set(name, json.dumps(state))
            pipe.zadd("due", {event["key"]: state["due"]})
            pipe.xack("events", "group", entry)
            try:
                await pipe.execute()
            except WatchError:
                continue
            return


async def consume(client: Redis, name: str, events: int, done: list[int]) -> None:
    while done[0] < events:
        found: Any = await client.xreadgroup("group", name, {"events": ">"}, count=READ, block=100)
        for _, rows in found or ():
            for entry, fields in rows:
                await handle(client, entry, json.loads(fields[b"data"]))
                done[0] += 1


async def measure(options: argparse.Namespace) -> float:
    client = Redis(port=options.port, protocol=2, max_connections=2 * options.workers + 8)
    await client.flushall()
    await client.xgroup_create("events", "group", "0", mkstream=True)
    async with client.pipeline(transaction=False) as pipe:
        for one in workload.drawn(options.events, options.outcomes):
            pipe.xadd("events", {"data": one})
        await pipe.execute()
    done = [0]
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(options.workers):
            group.create_task(consume(client, f"consumer-{number}", options.events, done))
    rate = float(options.events / (time.perf_counter() - began))
    await client.aclose()
    return rate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--outcomes", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=32)
    # The script of ../shared has these for a phase of its own that nothing here looks at.
    parser.add_argument("--timers", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--settle", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    rate = asyncio.run(measure(options))
    figures.report("naive", events_per_s=round(rate), workers=options.workers)


if __name__ == "__main__":
    main()
