"""What reading answers. Members that a newer server adds are passed over; amounts are decimal text, never floats."""

from typing import Any

from msgspec import Struct


class Outcome(Struct, frozen=True, kw_only=True):
    """One outcome. `amount` and `currency` are those of a confirmed one; `amount` is null while the price needs the
    whole period and that is not closed."""

    key: str
    partition: int
    status: str
    scheduled_resolution: str | None
    customer_key: str
    agent_key: str
    opened_at: str
    settles_at: str
    processed_at: str | None
    events_count: int
    unit: str | None
    amount: str | None
    currency: str | None


class Explained(Struct, frozen=True, kw_only=True):
    """An outcome and how it came about. For a key that has held events only, `outcome` is null; for an
    outcome on hold, `on_hold` says why.

    The parts are objects as the reference of the API has them. `story` has the events with every check of the
    condition after each; with `events_next_cursor` not null there are more of them.
    """

    key: str
    partition: int
    outcome: Outcome | None = None
    terms: dict[str, Any] | None = None
    story: dict[str, Any] | None = None
    events_next_cursor: str | None = None
    resolution: dict[str, Any] | None = None
    line: dict[str, Any] | None = None
    invoice: dict[str, Any] | None = None
    deliveries: list[dict[str, Any]] = []
    held: list[dict[str, Any]] = []
    on_hold: dict[str, Any] | None = None


class Fate(Struct, frozen=True, kw_only=True):
    """What became of an event: `applied`, `duplicate`, `conflict`, `late`, `held`, `rejected`; `waiting` until it is
    read. `reason` is a code, `message` says it in words. `action`, `customer_key` and
    `agent_key` are what the event says, where that can be read."""

    id: str
    partition: int
    accepted_at: str
    fate: str
    key: str | None = None
    reason: str | None = None
    message: str | None = None
    action: str | None = None
    customer_key: str | None = None
    agent_key: str | None = None


class Page(Struct, frozen=True, kw_only=True):
    """One page of outcomes; `next_cursor` null is the end."""

    data: list[Outcome]
    next_cursor: str | None = None
