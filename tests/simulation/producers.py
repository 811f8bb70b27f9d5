"""What applications and operators do: append events to the logs, and change the catalogue.

Events come near deadlines on purpose: a reversal one millisecond before its deadline must still count.
"""

import asyncio
from random import Random
from typing import Any

import msgspec

from tests.oracle.oracle import Change
from tests.simulation.server import Server
from witnd.domain.catalogue.catalogue import CatalogueEntry
from witnd.domain.catalogue.chain import Head, head_after
from witnd.domain.catalogue.contract import read_agent
from witnd.domain.catalogue.customer import read_customer
from witnd.domain.outcomes.partitioning import partition_of
from witnd.domain.pricing.ratecard import read_rate_card
from witnd.domain.values.instant import render
from witnd.store.keys import GlobalKeys, Keys

READERS: dict[str, Any] = {"agent": read_agent, "customer": read_customer, "rate_card": read_rate_card}
SHARED = GlobalKeys("witn")
PERIODS = {"support": 1, "sales": 2}  # settlement period in seconds
REVERSAL_WINDOW = 1  # in seconds; "reopened" counts before the deadline, and reverses after it
# Distance of a late event from a deadline, in ms.
NEAR = (-40, -12, -3, -2, -1, -1, 0, 1, 2, 15, 40)
# A server clock that is further ahead than this gets no entries: they would wait until true time is there.
AHEAD_MAX_MS = 30_000


def agent(key: str, period: int) -> dict[str, Any]:
    conditions = {
        "support": [
            {"fact": "solved", "operator": "seen"},
            {"fact": "reopened", "operator": "not seen"},
        ],
        "sales": [{"fact": "rated", "operator": "gte", "value": 3}],
    }
    return {
        "name": key.title(),
        "settlement_period": period,
        "attribution_method": "sum" if key == "sales" else "last",
        "condition": conditions[key],
        "reversal": {"window": REVERSAL_WINDOW, "on": ["refunded", "reopened"]},
    }


CUSTOMER = {"name": "Acme", "email": None, "rate_card": "standard"}
CARD = {
    "currency": "EUR",
    "entries": [{"agent": "support", "price_per_unit": "0.99"}, {"agent": "sales", "price_per_unit": "12.5"}],
}
RULE = {
    "source": "both",
    "agent": None,
    "url": "https://example.com/hook",
    "secret": "whsec_" + "A" * 32,
    "enabled": True,
}
CORRECTIONS = {**RULE, "source": "outcome_reversed"}


class Producers:
    """Everything that writes from outside. `changes` is the catalogue for the oracle."""

    def __init__(self, server: Server, random: Random, partitions: int) -> None:
        self.changes: list[Change] = []
        self.sent = 0
        self._server = server
        self._random = random
        self._logs = [Keys("witn", number).events for number in range(partitions)]
        self._head = Head(0, "0" * 40)
        for kind, key, content in (
            ("agent", "support", agent("support", PERIODS["support"])),
            ("agent", "sales", agent("sales", PERIODS["sales"])),
            ("rate_card", "standard", CARD),
            ("customer", "acme", CUSTOMER),
            ("notification_rule", "crm", RULE),
            ("notification_rule", "corrections", CORRECTIONS),
        ):
            self._apply(Change(kind, key, 0, False, content))

    # -- the catalogue -----------------------------------------------------------------------------------------------

    async def change_catalogue(self, at: float, kind: str, key: str, content: dict[str, Any]) -> None:
        """Apply a version at a moment, as `catalogue/apply.lua` dates it."""
        await asyncio.sleep(at)
        await self._wait_for_clock(5_000)
        logs = [self._server.db.data.get(name) for name in self._logs]
        latest = max([self._server.now_ms(), *(log.last[0] for log in logs if log is not None)])
        self._apply(Change(kind, key, latest + 1, False, content))

    def _apply(self, change: Change) -> None:
        content = change.content
        if change.kind in READERS:
            content, mistakes = READERS[change.kind](change.key, content, "")
            assert not mistakes, mistakes
        entry = msgspec.json.encode(
            CatalogueEntry(
                kind=change.kind,
                key=change.key,
                effective_from=change.effective_from,
                archived=change.archived,
                content=content,
            )
        )
        self.changes.append(change)
        self._head = head_after(self._head, [entry])
        self._server.run([b"RPUSH", SHARED.catalogue.encode(), entry])
        self._server.run([b"SET", SHARED.catalogue_head.encode(), str(self._head).encode()])

    # -- events ------------------------------------------------------------------------------------------------------

    async def outcome(self, key: str, begins: float) -> None:
        """Append the events of one outcome."""
        random = self._random
        name = random.choice(("support", "support", "sales"))
        who = random.choice(("acme", "acme", "acme", "acme", "globex"))
        await asyncio.sleep(begins)
        at = await self._event(key, "opened", who, name)
        for _ in range(random.choice((1, 1, 2))):
            await asyncio.sleep(random.uniform(0, PERIODS[name] * 0.7))
            pin = at + random.randint(200, 2500) if random.random() < 0.3 else None
            action = "solved" if name == "support" else "rated"
            at = await self._event(key, action, who, name, value=random.choice((1, 3, 5)), pin=pin)
            deadline = at + PERIODS[name] * 1000 if pin is None else max(pin, at)
        if random.random() < 0.7:
            target = deadline + random.choice(NEAR)
            await asyncio.sleep(max(0, target - self._server.now_ms()) / 1000)
            action = "reopened" if name == "support" else "rated"
            at = await self._event(key, action, who, name, value=1)
        while random.random() < 0.4:
            # After settlement: near the end of the window in which it reverses a confirmed outcome, or inside it.
            target = deadline + random.choice((REVERSAL_WINDOW * 1000 + random.choice(NEAR), 300, 700))
            await asyncio.sleep(max(0, target - self._server.now_ms()) / 1000)
            await self._event(key, "refunded", who, name)

    async def _event(
        self, key: str, action: str, customer: str, agent_key: str, *, value: int = 1, pin: int | None = None
    ) -> int:
        """Append an event, sometimes twice. Return its ms."""
        self.sent += 1
        properties: dict[str, Any] = {"value": value, "attribution": value}
        if pin is not None:
            properties["settles_at"] = render(pin)
        event = {
            "key": key,
            "action": action,
            "customer_key": customer,
            "agent_key": agent_key,
            "idempotency_key": f"event-{self.sent}",
            "properties": properties,
        }
        id_ = await self._append(key, {b"data": msgspec.json.encode(event)})
        if self._random.random() < 0.15:
            # Its sender got no reply and repeats it.
            await asyncio.sleep(self._random.uniform(0, 0.5))
            await self._append(key, {b"data": msgspec.json.encode(event)})
        return int(id_.partition(b"-")[0])

    async def refused_entry(self, at: float) -> None:
        """Append an entry that is no event."""
        await asyncio.sleep(at)
        await self._append(f"no-event-{at}", {b"hello": b"world"})

    async def _append(self, key: str, fields: dict[bytes, bytes]) -> bytes:
        await self._wait_for_clock(AHEAD_MAX_MS)
        log = self._logs[partition_of(key, len(self._logs)) if len(self._logs) > 1 else 0]
        return self._server.append(log, fields)

    async def _wait_for_clock(self, ahead_max_ms: int) -> None:
        while self._server.offset_ms > ahead_max_ms:
            await asyncio.sleep(0.1)
