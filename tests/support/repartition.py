"""Data of every kind for a repartition, what can be compared afterwards, and runs of the command that end anywhere."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tests.support.deployment import CATALOGUE, Deployment
from witnd.app import repartition as use_case
from witnd.clock import Clock
from witnd.domain.values import instant
from witnd.endpoint import endpoint
from witnd.settings import Durability
from witnd.store.access.change_log import Author
from witnd.store.keys import BillingKeys, Keys
from witnd.store.repartition.slot import Slot
from witnd.store.server.connection import connect

TICKETS, PATIENTS = 18, 12
PAST = instant.render(1_000_000_000_000)
# Fields that count steps, and keys of leases: they depend on how often the command ran.
STEPS = {b"seq", b"digest", b"epoch"}


def before(deployment: Deployment, *, is_billed: bool = True) -> None:
    """Outcomes in every state, deliveries that cannot be sent, open drafts and issued invoices."""
    deployment.apply()
    for number in range(TICKETS):
        deployment.event(f"ticket-{number:04}", "replied", number, idempotency_key=f"first-{number}")
    if deployment.partitions == 1:
        deployment.event("ticket-0000", "replied", 50, idempotency_key="first-0")  # a duplicate
    for number in range(TICKETS):
        if number % 3 == 0:
            deployment.event(f"ticket-{number:04}", "reopened", 100 + number)
    deployment.work()
    for number in range(PATIENTS):
        key, rating = f"patient-{number:04}", 5 if number % 2 else 1
        deployment.event(key, "rated", at="*", agent_key="patient", properties={"value": rating})
    for number in range(12):  # more than a record carries
        deployment.event("patient-long", "rated", at="*", agent_key="patient", idempotency_key=f"long-{number}")
    for number in range(6):
        pinned = {"value": 5, "settles_at": PAST}
        deployment.event(f"recent-{number:04}", "rated", at="*", agent_key="patient", properties=pinned)
        deployment.event(f"waiting-{number:03}", "replied", at="*", customer_key="newcomer")
        deployment.event(f"ticket-{number:04}", "replied", at="*")  # late
    deployment.work(billed(deployment) if is_billed else None)


def after(deployment: Deployment) -> None:
    """Events for outcomes from before, and for new ones. A new customer places the held events."""
    for number in range(PATIENTS):
        pinned = {"value": 4, "settles_at": PAST}
        deployment.event(f"patient-{number:04}", "rated", at="*", agent_key="patient", properties=pinned)
        deployment.event(f"ticket-{number:04}", "reopened", at="*")  # late
        deployment.event(f"ticket-{number:04}", "replied", at="*", idempotency_key=f"first-{number}")  # a duplicate
        deployment.event(f"newer-{number:05}", "rated", at="*", agent_key="patient", properties=pinned)
    deployment.event("patient-long", "rated", at="*", agent_key="patient", idempotency_key="long-3")  # a duplicate
    deployment.event("waiting-000", "replied", at="*", customer_key="newcomer")


def with_newcomer(deployment: Deployment) -> None:
    deployment.apply(CATALOGUE + '[[customers]]\nkey = "newcomer"\nrate_card = "standard"\n')


def facts(deployment: Deployment) -> dict[str, Any]:
    """What must not depend on the number of partitions."""
    listed = deployment.json("outcomes", "--limit", "1000")["data"]
    members = ("status", "customer_key", "agent_key", "events_count", "unit", "amount")
    invoices = deployment.json("invoices", "--limit", "1000")["data"]
    deliveries = deployment.json("deliveries", "--limit", "1000")["data"]
    return {
        "outcomes": {one["key"]: {name: one[name] for name in members} for one in listed},
        "invoices": sorted(
            (one["customer_key"], one["currency"], one["period_start"], one["status"], one["lines"], one["subtotal"])
            for one in invoices
        ),
        "deliveries": sorted((one["id"], one["rule"]) for one in deliveries),
        "events": deployment.json("audit")["events"],
    }


def multiply(deployment: Deployment, partitions: int) -> None:
    """Run the command, and use the new number from then on."""
    done = deployment.witnd("repartition", str(partitions))
    assert done.exit_code == 0, done.output
    use(deployment, partitions)


def use(deployment: Deployment, partitions: int) -> None:
    deployment.partitions = partitions
    deployment.environ["WITND_REDIS__PARTITIONS"] = str(partitions)


def forwarded(deployment: Deployment) -> Callable[[Any], bool]:
    """Whether all logs are read and no event waits to be forwarded."""

    def holds(client: Any) -> bool:
        waiting = [Keys("witn", number).forwards for number in range(deployment.partitions)]
        return deployment.settled(client) and not client.exists(*waiting) and deployment.settled(client)

    return holds


def billed(deployment: Deployment) -> Callable[[Any], bool]:
    """Whether everything is settled, on an invoice, and issued if its period has ended."""
    keys = BillingKeys("witn")

    def holds(client: Any) -> bool:
        if not forwarded(deployment)(client):
            return False
        for number in range(deployment.partitions):
            lines, position = client.xlen(Keys("witn", number).lines), client.hget(keys.state, f"read:{number}")
            if lines and (position is None or int(position.split()[0]) != lines):
                return False
        seconds, _ = client.time()
        return not client.exists(keys.to_issue) and not client.zcount(keys.open, "-inf", seconds * 1000)

    return holds


# -- the whole of the data ---------------------------------------------------------------------------------------------


def dump(deployment: Deployment) -> dict[bytes, bytes]:
    names = deployment.call("KEYS", "*")
    return {name: deployment.call("DUMP", name) for name in names if not name.endswith(b":owner")}


def restore(deployment: Deployment, data: dict[bytes, bytes]) -> None:
    deployment.call("FLUSHALL")
    for name, value in data.items():
        deployment.call("RESTORE", name, 0, value)


def content(deployment: Deployment) -> dict[bytes, Any]:
    """All keys of the partitions with their values, without what depends on the number of steps."""
    found: dict[bytes, Any] = {}
    for name in deployment.call("KEYS", "witn:{*"):
        if re.match(rb"witn:\{\d+\}:", name) and not name.endswith(b":owner"):
            found[name] = _value(deployment, name)
    return found


def _value(deployment: Deployment, name: bytes) -> Any:
    kind = deployment.call("TYPE", name)
    if kind == b"string":
        return deployment.call("GET", name)
    if kind == b"list":
        return deployment.call("LRANGE", name, 0, -1)
    if kind == b"zset":
        return deployment.call("ZRANGE", name, 0, -1, "WITHSCORES")
    if kind == b"set":
        return sorted(deployment.call("SMEMBERS", name))
    if kind == b"hash":
        flat = deployment.call("HGETALL", name)
        pairs = flat if isinstance(flat, dict) else dict(zip(flat[::2], flat[1::2], strict=True))
        return {field: value for field, value in pairs.items() if not name.endswith(b":state") or field not in STEPS}
    assert kind == b"stream", (name, kind)
    return deployment.call("XRANGE", name, "-", "+")


# -- runs that end anywhere --------------------------------------------------------------------------------------------


class Killed(BaseException):
    """The command ends here, as by `kill -9`: nothing is released or cleaned up that matters."""


def run_killed(deployment: Deployment, partitions: int, after_writes: int, *, is_written: bool) -> bool:
    """Run the command until its step number `after_writes`, which is still written or not. Return whether it ended by
    itself."""
    write, count = Slot.write, 0

    async def counted(self: Slot, *commands: Any) -> None:
        nonlocal count
        count += 1
        if count < after_writes or is_written:
            await write(self, *commands)
        if count >= after_writes:
            raise Killed

    Slot.write = counted  # type: ignore[method-assign]
    try:
        with suppress(Killed):
            asyncio.run(run_in_process(deployment, partitions))
            return True
        return False
    finally:
        Slot.write = write  # type: ignore[method-assign]


async def run_in_process(deployment: Deployment, partitions: int) -> use_case.Repartitioned:
    async with connect(deployment.server.url) as client:
        where = use_case.Deployment(
            client=client,
            server=endpoint(deployment.server.url),
            prefix="witn",
            durability=Durability("server"),
            lease_ms=5000,
            now_ms=Clock().now_ms,
        )
        author = Author(who=f"test {os.getpid()}", source="cli")
        return await use_case.repartition(where, author, partitions, lambda _: None)
