"""Events: send them, and read the fate of each."""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from witnd.app.errors import all_invalid, invalid, unavailable
from witnd.domain.outcomes.event import Event, Refusal, read
from witnd.domain.outcomes.partitioning import partition_of
from witnd.domain.values.mistake import Mistake
from witnd.domain.values.strictjson import BYTES_MAX
from witnd.web.errors import from_msgspec
from witnd.web.http.event_identity import refuse_in_query, stored_batch, stored_event
from witnd.web.http.route import JSON, Call, route

CLOUD_EVENT: Final = "application/cloudevents+json"
CLOUD_EVENTS: Final = "application/cloudevents-batch+json"
# JSON Lines, by the names it is sent under.
LINES: Final = ("application/x-ndjson", "application/ndjson", "application/jsonl")
BATCH_MAX: Final = 500
BATCH_BYTES_MAX: Final = 8 * 1024 * 1024
MISTAKES_MAX: Final = 100
LAG_SECONDS: Final = 5
# Narrow enough that whatever fits and is a date is accepted, with any offset.
INSTANT_PATTERN: Final = (
    r"^(197[1-9]|19[89][0-9]|[2-8][0-9]{3})-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?"
    r"(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)


Text = Annotated[str, Meta(min_length=1, max_length=255)]
Instant = Annotated[
    str,
    Meta(
        description="An instant with `Z` or an offset, in the years 1970 to 9998.",
        examples=["2026-01-31T09:30:00.000Z"],
        extra_json_schema={"format": "date-time", "pattern": INSTANT_PATTERN},
    ),
]


# What the reader of events (`witnd.domain.outcomes.event`) checks itself, for the documentation.
class Properties(Struct, kw_only=True):
    """Reserved members. Any other member is stored unchanged."""

    value: str | float | bool | None = None
    attribution: Any = None
    settles_at: Instant | None = None


class EventIn(Struct, kw_only=True):
    """An action that concerns one outcome. Events with the same key and `idempotency_key` count once."""

    key: Annotated[str, Meta(min_length=8, max_length=255)]
    action: Text
    customer_key: Text
    agent_key: Text | None = None
    idempotency_key: Text | None = None
    timestamp: Instant | None = None
    properties: Properties | None = None


class Envelope(Struct, kw_only=True):
    """A CloudEvents 1.0 envelope. If the event has no idempotency key or timestamp, witnd uses `source` and `id` as
    the key and `time` as the timestamp."""

    specversion: Literal["1.0"]
    source: Annotated[str, Meta(min_length=1)]
    id: Annotated[str, Meta(min_length=1)]
    type: str
    data: EventIn
    time: Instant | None = None


class Accepted(Struct, frozen=True):
    """The event is in the log of this partition, with this id."""

    id: str
    partition: int


class BatchIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """1 to 500 events."""

    events: Annotated[list[EventIn], Meta(min_length=1, max_length=BATCH_MAX)]


Events = Annotated[list[EventIn], Meta(max_length=BATCH_MAX)]
Envelopes = Annotated[list[Envelope], Meta(max_length=BATCH_MAX)]


class _Batch(Struct, forbid_unknown_fields=True):
    events: list[msgspec.Raw]


class NotTaken(Struct, frozen=True):
    """An event that was not accepted. `rejected`: not in the log. `unconfirmed`: unknown; send it again with the same
    `idempotency_key`."""

    index: int
    reason: str


class BatchAccepted(Struct, frozen=True):
    """`ids` contains null for each event that failed."""

    accepted: int
    failed: list[NotTaken]
    ids: list[str | None]


@route(
    "POST",
    "/v1/events",
    says="Send one event: as JSON, as a CloudEvent in binary or structured mode, or a batch of those by its content "
    "type. The header `Idempotency-Key` is the `idempotency_key` of the event.",
    scope="ingest",
    status=202,
    body=EventIn,
    answer=Accepted | BatchAccepted,
    most_bytes=BYTES_MAX,
    content_types=(JSON, CLOUD_EVENT, CLOUD_EVENTS, ""),
    bodies={JSON: EventIn | Envelope, CLOUD_EVENT: EventIn | Envelope, CLOUD_EVENTS: Envelopes},
    refusals=("UNAVAILABLE",),
)
async def send(call: Call[Any]) -> Accepted | BatchAccepted:
    refuse_in_query(call.target)
    if call.content_type == CLOUD_EVENTS:
        return await _send_all(call, _members(call.data), "")
    _check_lag(call)
    data = stored_event(call.headers, call.data, structured=call.content_type == CLOUD_EVENT)
    event = read([b"data", data])
    if not isinstance(event, Event):
        raise all_invalid(_mistakes(event, ""))
    partition = partition_of(event.key, len(call.services.partitions))
    stream = call.services.partitions[partition].events
    [answer] = await call.services.appender.append([(stream, ("data", data))])
    if answer is None:
        raise unavailable(f"{_unknown(call)}; send it again with the same idempotency_key")
    if answer.id is None:
        raise unavailable(f"Redis refused the event: {answer.refused}")
    return Accepted(answer.id, partition)


@route(
    "POST",
    "/v1/events/batch",
    says="Send up to 500 events: as an object, a JSON array or JSON Lines. witnd validates all before it accepts any.",
    scope="ingest",
    status=202,
    body=BatchIn,
    answer=BatchAccepted,
    most_bytes=BATCH_BYTES_MAX,
    content_types=(JSON, CLOUD_EVENTS, *LINES, ""),
    bodies={JSON: BatchIn | Events, CLOUD_EVENTS: Envelopes, **dict.fromkeys(LINES, str)},
    refusals=("UNAVAILABLE",),
)
async def send_batch(call: Call[Any]) -> BatchAccepted:
    refuse_in_query(call.target)
    if call.content_type in LINES:
        return await _send_all(call, _lines(call.data), "", least=1)
    if call.content_type == CLOUD_EVENTS or call.data.lstrip(b" \t\r\n")[:1] == b"[":
        return await _send_all(call, _members(call.data), "")
    try:
        batch = msgspec.json.decode(call.data, type=_Batch)
    except msgspec.ValidationError as wrong:
        raise from_msgspec(wrong) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        raise invalid("", f"body is not valid JSON: {wrong}") from None
    return await _send_all(call, [bytes(one) for one in batch.events], "events", least=1)


def _members(data: bytes) -> list[bytes]:
    try:
        return [bytes(one) for one in msgspec.json.decode(data, type=list[msgspec.Raw])]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as wrong:
        raise invalid("", f"body must be a JSON array of events: {wrong}") from None


def _lines(data: bytes) -> list[bytes]:
    """The events of JSON Lines, without empty lines."""
    return [line for line in data.split(b"\n") if line.strip(b" \t\r")]


async def _send_all(call: Call[Any], bodies: list[bytes], name: str, *, least: int = 0) -> BatchAccepted:
    """Check all, then append all. Raises where any of them is no event, or none could be appended."""
    if not least <= len(bodies) <= BATCH_MAX:
        raise invalid(name, f"must have {least} to {BATCH_MAX} events, got {len(bodies)}")
    bodies = stored_batch(call.headers, bodies)
    if not bodies:
        return BatchAccepted(accepted=0, failed=[], ids=[])  # a batch of CloudEvents may be empty
    _check_lag(call)
    partitions = call.services.partitions
    entries: list[tuple[str, tuple[str, bytes]]] = []
    wrong: list[Mistake] = []
    for index, body in enumerate(bodies):
        event = read([b"data", body])
        if isinstance(event, Event):
            entries.append((partitions[partition_of(event.key, len(partitions))].events, ("data", body)))
        elif len(wrong) < MISTAKES_MAX:
            wrong += _mistakes(event, f"{name}[{index}]")
    if wrong:
        raise all_invalid(wrong)
    answers = await call.services.appender.append(entries)
    if not any(answer is not None and answer.id for answer in answers):
        reasons = {str(answer.refused) for answer in answers if answer is not None}
        raise unavailable("; ".join(reasons) or f"{_unknown(call)}; retry with the same idempotency keys")
    return BatchAccepted(
        accepted=sum(answer is not None and answer.id is not None for answer in answers),
        failed=[
            NotTaken(index, "unconfirmed" if answer is None else "rejected")
            for index, answer in enumerate(answers)
            if answer is None or answer.id is None
        ],
        ids=[None if answer is None else answer.id for answer in answers],
    )


def _unknown(call: Call[Any]) -> str:
    return f"write not confirmed ({call.services.appender.doubt})"


def _check_lag(call: Call[Any]) -> None:
    most = call.services.config.http.max_lag
    if most and (lag := call.services.lag()) > most:
        raise unavailable(f"{lag} events wait for processing, more than http.max_lag = {most}", LAG_SECONDS)


def _mistakes(refused: object, where: str) -> list[Mistake]:
    """What is wrong with an event, with paths under its place in the request."""
    if not isinstance(refused, Refusal):
        return [Mistake(where, "is a control entry, not an event")]
    found = refused.mistakes or (Mistake("", refused.message),)
    return [Mistake(".".join(part for part in (where, one.path) if part), one.message) for one in found]
