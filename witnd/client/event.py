"""Events and their JSON. The server validates them."""

import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

from msgspec import Struct, field


def fresh_key() -> str:
    return str(uuid4())


class Event(Struct, frozen=True, kw_only=True):
    """An event of an outcome.

    Without an idempotency key it gets a random one, so that the same object counts once even if it is sent again.
    Instants are a `datetime` with a zone, or text such as `2026-01-31T09:30:00Z`. `properties` are stored unchanged;
    `value`, `attribution` and `settles_at` are the reserved ones.
    """

    key: str
    action: str
    customer_key: str
    agent_key: str | None = None
    idempotency_key: str = field(default_factory=fresh_key)
    timestamp: datetime | str | None = None
    value: str | float | bool | Decimal | None = None
    attribution: float | Decimal | None = None
    settles_at: datetime | str | None = None
    properties: Mapping[str, Any] | None = None

    def body(self) -> bytes:
        """Return the event as strict JSON. Raises ValueError for NaN, unpaired surrogates and naive times."""
        reserved = {
            "value": self.value,
            "attribution": self.attribution,
            "settles_at": _instant("settles_at", self.settles_at),
        }
        properties = dict(self.properties or {}) | _with_properties(reserved)
        document = {
            "key": self.key,
            "action": self.action,
            "customer_key": self.customer_key,
            "agent_key": self.agent_key,
            "idempotency_key": self.idempotency_key,
            "timestamp": _instant("timestamp", self.timestamp),
            "properties": properties or None,
        }
        text = json.dumps(
            _with_properties(document), ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_to_double
        )  # fmt: skip
        return text.encode()


class EventReceipt(Struct, frozen=True, kw_only=True):
    """An event in the log. `id` is its entry id; `partition` is None for events of a batch."""

    id: str
    partition: int | None
    key: str
    idempotency_key: str


def event(given: "Event | Mapping[str, Any]") -> Event:
    """Return an Event from an Event or its fields by name, where properties may include the reserved ones."""
    return given if isinstance(given, Event) else Event(**given)


def _with_properties(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _instant(name: str, given: datetime | str | None) -> str | None:
    if not isinstance(given, datetime):
        return given
    if given.utcoffset() is None:
        raise ValueError(f"{name}: must be a datetime with a zone, such as datetime.now(UTC)")
    return given.isoformat(timespec="milliseconds")


def _to_double(value: object) -> object:
    """Convert decimals to the nearest double, as the server does."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime):
        return _instant("properties", value)
    raise TypeError(
        f"properties: cannot contain {type(value).__name__}; use text, numbers, true, false, lists, objects"
    )
