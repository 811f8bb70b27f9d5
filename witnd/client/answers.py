"""Responses of read requests. Unknown members of newer servers are ignored. Amounts are decimal text, never floats."""

from typing import Any

from msgspec import Struct


class Outcome(Struct, frozen=True, kw_only=True):
    """An outcome. `amount` and `currency` are those of a confirmed one; `amount` is null until the period closes if
    the price needs the whole period."""

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


class OutcomeDetail(Struct, frozen=True, kw_only=True):
    """An outcome with its explanation. `outcome` is null for a key with held events only. `on_hold` has the reason for
    an outcome on hold.

    The API reference describes the members. `story` has the events with every check of the condition after each; more
    follow if `events_next_cursor` is not null.
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
    """The fate of an event: `applied`, `duplicate`, `conflict`, `late`, `held` or `rejected`, and `waiting` until it
    is processed. `reason` is a code, `message` its text. `action`, `customer_key` and `agent_key` are those of the
    event, if readable."""

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
    """One page of outcomes. `next_cursor` is null at the end."""

    data: list[Outcome]
    next_cursor: str | None = None
