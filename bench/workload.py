"""The events and the catalogue that every measurement uses: about 200 bytes of JSON, outcomes drawn uniformly.

Uniform draws are the worst case for a fold that coalesces what one batch does to one outcome.
"""

import random
from collections.abc import Iterable, Iterator

import msgspec
import redis

from witnd.store.server.wire import pack

ACTIONS = (
    "ticket_created", "agent_reply", "customer_reply", "resolved",
    "reopened", "refund_issued", "escalated", "csat",
)  # fmt: skip
AGENTS = 20
CUSTOMERS = 1000
# Resolved, and not reopened or at least well rated: three leaves, two of them counted and one by value.
CONDITION = """[
  { fact = "resolved", operator = "seen" },
  { op = "OR", conditions = [
    { fact = "reopened", operator = "not seen" },
    { fact = "csat", operator = "gte", value = 50 },
  ] },
]"""
PER_WRITE = 2000

_json = msgspec.json.Encoder().encode


def event(number: int, outcome: int, action: str, value: float, attribution: object, **more: str) -> bytes:
    """One event. An outcome always has the same customer and agent, as in life. `more` are further properties."""
    return _json(
        {
            "key": f"outcome-{outcome:08d}",
            "action": action,
            "customer_key": f"cust-{outcome % CUSTOMERS:08d}",
            "agent_key": f"agent-{outcome % AGENTS:03d}",
            "idempotency_key": f"evt-{number:012d}",
            "properties": {"value": value, "attribution": attribution, **more},
        }
    )


def drawn(events: int, outcomes: int, *, numeric: bool = False, first: int = 0, seed: int = 1) -> Iterator[bytes]:
    """Events over uniformly drawn outcomes, numbered from `first`. Text as an attribution is kept and not billed."""
    draw = random.Random(seed)
    for number in range(first, first + events):
        yield event(
            number,
            draw.randrange(outcomes),
            ACTIONS[draw.randrange(len(ACTIONS))],
            round(draw.random() * 100, 2),
            round(draw.random() * 4, 3) if numeric else "assist",
        )


def rounds(outcomes: int, each: int, window: int, *, seed: int = 1) -> Iterator[bytes]:
    """Exactly `each` events for every outcome: `window` outcomes at a time get theirs, in rounds over all of them."""
    draw = random.Random(seed)
    number = 0
    for start in range(0, outcomes, window):
        group = range(start, min(start + window, outcomes))
        for _ in range(each):
            for outcome in group:
                action = ACTIONS[draw.randrange(len(ACTIONS))]
                value, attribution = round(draw.random() * 100, 2), round(draw.random() * 4, 3)
                yield event(number, outcome, action, value, attribution)
                number += 1


def catalogue(*, settlement_seconds: int = 259_200, hook: str | None = None) -> str:
    """The catalogue file, with one notification rule where there is a `hook` to tell."""
    parts = [f'[[customers]]\nkey = "cust-{n:08d}"\nrate_card = "bench"' for n in range(CUSTOMERS)]
    parts += [
        f'[[agents]]\nkey = "agent-{n:03d}"\nsettlement_period = {settlement_seconds}\n'
        f'attribution_method = "sum"\ncondition = {" ".join(CONDITION.split())}'
        for n in range(AGENTS)
    ]
    prices = ", ".join(f'{{ agent = "agent-{n:03d}", price_per_unit = "0.99" }}' for n in range(AGENTS))
    parts.append(f'[[rate_cards]]\nkey = "bench"\ncurrency = "EUR"\nentries = [{prices}]')
    if hook is not None:
        parts.append(f'[[notification_rules]]\nname = "bench"\nsource = "both"\nurl = "{hook}"')
    return "\n\n".join(parts) + "\n"


def load(client: redis.Redis, stream: str, events: Iterable[bytes]) -> bytes:
    """Append events as fast as they can be packed; answers the id of the last."""
    connection = client.connection_pool.get_connection()
    last = b""

    def send(commands: list[bytes]) -> bytes:
        connection.send_packed_command(commands)  # type: ignore[no-untyped-call]
        replies: list[bytes] = [connection.read_response() for _ in commands]
        return replies[-1]

    try:
        pending: list[bytes] = []
        for one in events:
            pending.append(pack(("XADD", stream, "*", "data", one)))
            if len(pending) == PER_WRITE:
                last, pending = send(pending), []
        if pending:
            last = send(pending)
    finally:
        client.connection_pool.release(connection)
    return last
