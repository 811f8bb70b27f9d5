"""Whatever bytes come: a decoder gives what it decodes or raises its one error, and never anything else."""

import asyncio
import contextlib
import json
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from tests.support.searches import examples
from witnd.app.errors import Refused
from witnd.domain.outcomes.event import Event, Refusal, Retry, Tick, read
from witnd.domain.values.strictjson import BYTES_MAX, Invalid, document
from witnd.store.keys import Keys
from witnd.store.log.append import AppendResult
from witnd.web.api.events import CLOUD_EVENTS
from witnd.web.errors import encode_error, status_of
from witnd.web.http.route import Call, Route
from witnd.web.http.server import _query
from witnd.web.routes import ROUTES

QUICK = settings(max_examples=examples(300), deadline=None, database=None, derandomize=True)
BODIES = [one for one in ROUTES if one.body is not None]
QUERIES = [one for one in ROUTES if one.query is not None]

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
NAMES = [
    "key", "action", "customer_key", "agent_key", "idempotency_key", "timestamp", "properties", "value", "attribution",
    "settles_at", "specversion", "source", "id", "data", "time", "events", "condition", "fact", "operator", "entries",
    "price_per_unit", "witnd",
]  # fmt: skip
names = st.sampled_from(NAMES) | st.text(max_size=5)
trees = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=6), max_leaves=20
)
GOOD = {
    "key": "ticket-4711", "action": "resolved", "customer_key": "acme", "idempotency_key": "a",
    "timestamp": "2026-01-31T09:30:00Z", "properties": {"value": 1, "attribution": 2.5},
}  # fmt: skip


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    """JSON, nearly JSON, and JSON with some bytes replaced."""
    tree = draw(st.dictionaries(names, trees, max_size=6) | st.just(GOOD) | trees)
    if isinstance(tree, dict) and draw(st.booleans()):
        tree = GOOD | tree
    data = json.dumps(tree, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(st.binary(max_size=3)) + data[at + draw(st.integers(0, 3)) :]
    return data


bytes_of_any_kind = documents() | st.binary(max_size=200)
DEEP = b'{"a":' * 5000 + b"1" + b"}" * 5000
HUGE = b'{"key":' + b"9" * 5000 + b"}"


@QUICK
@given(bytes_of_any_kind)
@example(DEEP)
@example(HUGE)
@example(b"[" * 200_000)
@example(b'{"key": "\\ud800ticket"}')
@example(b'{"a":1e400}')
@example(b'{"a":"\xff"}')
@example(b"\xef\xbb\xbf{}")
@example(b" " * (BYTES_MAX + 1))
def test_strict_json_is_a_document_or_invalid(data: bytes) -> None:
    with contextlib.suppress(Invalid):
        found = document(data)
        assert type(found) is dict
        msgspec.json.encode(found)


@QUICK
@given(bytes_of_any_kind)
@example(DEEP)
@example(HUGE)
@example(b"\xef\xbb\xbf{}")
def test_an_event_is_read_or_refused(data: bytes) -> None:
    found = read([b"data", data])
    assert isinstance(found, Event | Refusal)
    if isinstance(found, Refusal):
        assert found.message
        msgspec.json.encode(found.message)


@QUICK
@given(st.lists(st.sampled_from([name.encode() for name in NAMES]) | bytes_of_any_kind, max_size=12))
def test_a_flat_entry_is_read_or_refused(fields: list[bytes]) -> None:
    if len(fields) % 2:
        fields.pop()
    assert isinstance(read(fields), Event | Refusal | Tick | Retry)


def call(route: Route, data: bytes, content_type: str = "application/json") -> Call[Any]:
    class Log:
        """Takes everything."""

        async def append(self, entries: list[Any]) -> list[AppendResult]:
            return [AppendResult("1-0", None) for _ in entries]

    services: Any = SimpleNamespace(
        partitions=[Keys("witn", 0), Keys("witn", 1)],
        appender=Log(),
        config=SimpleNamespace(http=SimpleNamespace(max_lag=0)),
    )
    return Call(services, route, {}, None, data, None, "0" * 32, content_type, CIMultiDict())


def told(refused: Refused) -> None:
    """What a refusal of a body must be: one that can be sent, with a status of the client's."""
    assert 400 <= status_of(refused) < 500
    json.loads(encode_error(refused, "0" * 32))


@pytest.mark.parametrize("route", BODIES, ids=lambda one: f"{one.method} {one.path}")
@settings(QUICK, max_examples=examples(60), suppress_health_check=list(HealthCheck))
@given(data=bytes_of_any_kind)
@example(data=DEEP)
@example(data=HUGE)
@example(data=b'{"key": "\\ud800"}')
@example(data=b"")
def test_the_body_of_every_route_is_decoded_or_refused(route: Route, data: bytes) -> None:
    for decode in (call(route, data).body, call(route, data).document):
        try:
            decode()
        except Refused as refused:
            told(refused)


@pytest.mark.parametrize("path", ["/v1/events", "/v1/events/batch"])
@pytest.mark.parametrize("content_type", ["application/json", CLOUD_EVENTS])
@settings(QUICK, max_examples=examples(150))
@given(data=bytes_of_any_kind | st.lists(documents(), max_size=3).map(lambda all_: b"[" + b",".join(all_) + b"]"))
@example(data=b"[" * 200_000)
@example(data=b'{"events":[' + b"[" * 200_000)
@example(data=b'{"events":[{"key":"\xff"}]}')
@example(data=b'{"events":[{"key":"\\ud800"}]}')
@example(data=b'{"events":[' + DEEP + b"]}")
@example(data=b'{"events":[' + b",".join([json.dumps(GOOD).encode()] * 501) + b"]}")
def test_events_are_taken_or_refused(path: str, content_type: str, data: bytes) -> None:
    [route] = [one for one in ROUTES if (one.method, one.path) == ("POST", path)]
    try:
        asyncio.run(route.handler(call(route, data, content_type)))
    except Refused as refused:
        told(refused)


@settings(QUICK, max_examples=examples(300))
@given(
    text=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60)
    | st.lists(st.sampled_from(["limit=", "after=", "=", "&", "%ff", "1", "-1", "null", "%00", "a", "1e9", "9" * 30]))
    .map("".join)
)  # fmt: skip
def test_the_query_of_every_route_is_decoded_or_refused(text: str) -> None:
    request: Any = SimpleNamespace(rel_url=SimpleNamespace(raw_query_string=text))
    for route in QUERIES:
        try:
            _query(request, route)
        except Refused as refused:
            told(refused)
