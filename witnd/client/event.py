"""An event as an application makes it, and its JSON. What the rules are about is checked by the receiver."""

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
    """A signal about an outcome.

    Its idempotency key is made with it where none is given, so that the same object, however often it is sent, is
    one event. Instants: a `datetime` with a zone, or text like `2026-01-31T09:30:00Z`. `properties` are kept as
    they are; `value`, `attribution` and `settles_at` are the reserved ones.
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
        """The event as strict JSON. Raises ValueError for what JSON cannot say: NaN, half surrogates, naive times."""
        reserved = {
            "value": self.value,
            "attribution": self.attribution,
            "settles_at": _instant("settles_at", self.settles_at),
        }
        properties = dict(self.properties or {}) | _given(reserved)
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
            _given(document), ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_other
        )  # fmt: skip
        return text.encode()


class Sent(Struct, frozen=True, kw_only=True):
    """An event that is in the log: `id` is its entry there. A batch does not tell the partition (None)."""

    id: str
    partition: int | None
    key: str
    idempotency_key: str


def event(given: "Event | Mapping[str, Any]") -> Event:
    """An event of one, or of its fields by name. Properties may also stand among the reserved ones."""
    return given if isinstance(given, Event) else Event(**given)


def _given(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _instant(name: str, given: datetime | str | None) -> str | None:
    if not isinstance(given, datetime):
        return given
    if given.utcoffset() is None:
        raise ValueError(f"{name}: is a datetime without a zone; say which, as in datetime.now(UTC)")
    return given.isoformat(timespec="milliseconds")


def _other(value: object) -> object:
    """Decimals become the number that the receiver would make of them anyway: the nearest double."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime):
        return _instant("properties", value)
    raise TypeError(f"properties: cannot hold {type(value).__name__}; use text, numbers, true, false, lists, objects")
