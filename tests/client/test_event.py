"""Events as JSON, which the daemon's own reader understands as they were meant."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from witnd.client import Event
from witnd.domain.outcomes import event as reader

PLAIN = {"key": "ticket-4711", "action": "rated", "customer_key": "acme"}
NOON = datetime(2026, 1, 31, 12, 0, 0, 123456, UTC)


def read(**fields: Any) -> reader.Event:
    item = reader.read((b"data", Event(**PLAIN, **fields).body()))
    assert isinstance(item, reader.Event), item
    return item


def test_every_field_arrives() -> None:
    got = read(
        agent_key="support", idempotency_key="e1", timestamp=NOON, value="gut", attribution=Decimal("2.50"),
        settles_at=NOON.astimezone(timezone(timedelta(hours=2))), properties={"by": "alice"},
    )  # fmt: skip
    assert (got.agent_key, got.value, got.attribution) == ("support", "gut", Decimal("2.5"))
    assert got.timestamp == got.pin == 1769860800123
    assert got.mark is not None


@pytest.mark.parametrize("value", [True, False, 0, 3, 2.5, "", "3"])
def test_values_keep_their_type(value: Any) -> None:
    got = read(value=value)
    assert got.value == value
    assert isinstance(got.value, bool) == isinstance(value, bool)


def test_what_is_not_given_is_not_sent() -> None:
    body = json.loads(Event(**PLAIN, idempotency_key="e").body())
    assert body == PLAIN | {"idempotency_key": "e"}


@pytest.mark.parametrize(
    "fields",
    [{"value": float("nan")}, {"attribution": Decimal("Infinity")}, {"timestamp": datetime(2026, 1, 1)},  # noqa: DTZ001
     {"properties": {"x": "\ud800"}}],
)  # fmt: skip
def test_what_json_cannot_say_is_a_mistake_of_the_caller(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of several makers
        Event(**PLAIN, **fields).body()


def test_things_in_properties_that_are_no_json_are_named() -> None:
    with pytest.raises(TypeError, match="properties: cannot contain set"):
        Event(**PLAIN, properties={"x": {1}}).body()
    sent = json.loads(Event(**PLAIN, properties={"price": Decimal("1.5"), "at": NOON}).body())["properties"]
    assert sent == {"price": 1.5, "at": "2026-01-31T12:00:00.123+00:00"}


def test_importing_the_client_loads_neither_redis_nor_aiohttp() -> None:
    code = (
        "import sys, witnd.client; "
        "print({'redis', 'hiredis', 'aiohttp', 'structlog', 'anyio', 'click'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "set()"
