"""Events: taking them into the log, and telling what became of each."""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from witnd.domain.event import Event, Refusal, read
from witnd.domain.strictjson import BYTES_MAX
from witnd.store.keys import partition_of
from witnd.web.errors import ApiError, Detail, from_msgspec, invalid, unavailable
from witnd.web.route import JSON, Call, route

CLOUD_EVENT: Final = "application/cloudevents+json"
CLOUD_EVENTS: Final = "application/cloudevents-batch+json"
BATCH_MAX: Final = 500
BATCH_BYTES_MAX: Final = 8 * 1024 * 1024
DETAILS_MAX: Final = 100
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


# What the reader of events (`witnd.domain.event`) checks itself, for the documentation.
class Properties(Struct, kw_only=True):
    """Reserved members; any other is kept as sent."""

    value: str | float | bool | None = None
    attribution: Any = None
    settles_at: Instant | None = None


class EventIn(Struct, kw_only=True):
    """A signal about an outcome. The same key and `idempotency_key` is the same event."""

    key: Annotated[str, Meta(min_length=8, max_length=255)]
    action: Text
    customer_key: Text
    agent_key: Text | None = None
    idempotency_key: Text | None = None
    timestamp: Instant | None = None
    properties: Properties | None = None


class Envelope(Struct, kw_only=True):
    """A CloudEvents 1.0 envelope. `source` and `id` make the idempotency key, `time` the timestamp, where the event
    has none."""

    specversion: Literal["1.0"]
    source: Annotated[str, Meta(min_length=1)]
    id: Annotated[str, Meta(min_length=1)]
    type: str
    data: EventIn
    time: Instant | None = None


class Accepted(Struct, frozen=True):
    """The event is in the log of a partition, under this id."""

    id: str
    partition: int


class BatchIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """1 to 500 events."""

    events: Annotated[list[EventIn], Meta(min_length=1, max_length=BATCH_MAX)]


Envelopes = Annotated[list[Envelope], Meta(min_length=1, max_length=BATCH_MAX)]


class _Batch(Struct, forbid_unknown_fields=True):
    events: list[msgspec.Raw]


class NotTaken(Struct, frozen=True):
    """`rejected`: certainly not in the log. `unconfirmed`: unknown; send it again with its idempotency key."""

    index: int
    reason: str


class BatchAccepted(Struct, frozen=True):
    """`ids` has null where an event failed."""

    accepted: int
    failed: list[NotTaken]
    ids: list[str | None]


@route(
    "POST",
    "/v1/events",
    says="Send one event. Also a CloudEvents envelope, or a batch of those by its content type.",
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
    if call.content_type == CLOUD_EVENTS:
        return await _send_all(call, _list_of_envelopes(call.data), "")
    _check_lag(call)
    event = read([b"data", call.data])
    if not isinstance(event, Event):
        raise _refusal(event, "")
    partition = partition_of(event.key, len(call.services.partitions))
    stream = call.services.partitions[partition].events
    [answer] = await call.services.appender.append([(stream, ("data", call.data))])
    if answer is None:
        raise unavailable("it is unknown whether Redis has the event; send it again with the same idempotency_key")
    if answer.id is None:
        raise unavailable(f"Redis does not take the event: {answer.refused}")
    return Accepted(answer.id, partition)


@route(
    "POST",
    "/v1/events/batch",
    says="Send up to 500 events. All are validated before any is taken.",
    scope="ingest",
    status=202,
    body=BatchIn,
    answer=BatchAccepted,
    most_bytes=BATCH_BYTES_MAX,
    content_types=(JSON, CLOUD_EVENTS, ""),
    bodies={CLOUD_EVENTS: Envelopes},
    refusals=("UNAVAILABLE",),
)
async def send_batch(call: Call[Any]) -> BatchAccepted:
    if call.content_type == CLOUD_EVENTS:
        return await _send_all(call, _list_of_envelopes(call.data), "")
    try:
        batch = msgspec.json.decode(call.data, type=_Batch)
    except msgspec.ValidationError as wrong:
        raise from_msgspec(wrong) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        raise invalid("", f"the body is not strict JSON: {wrong}") from None
    return await _send_all(call, [bytes(one) for one in batch.events], "events")


def _list_of_envelopes(data: bytes) -> list[bytes]:
    try:
        return [bytes(one) for one in msgspec.json.decode(data, type=list[msgspec.Raw])]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as wrong:
        raise invalid("", f"the body must be a JSON list of CloudEvents: {wrong}") from None


async def _send_all(call: Call[Any], bodies: list[bytes], name: str) -> BatchAccepted:
    """Check all, then append all. Raises where any of them is no event, or none could be appended."""
    if not 1 <= len(bodies) <= BATCH_MAX:
        raise invalid(name, f"must have 1 to {BATCH_MAX} events, it has {len(bodies)}")
    _check_lag(call)
    partitions = call.services.partitions
    entries: list[tuple[str, tuple[str, bytes]]] = []
    details: list[Detail] = []
    for index, body in enumerate(bodies):
        event = read([b"data", body])
        if isinstance(event, Event):
            entries.append((partitions[partition_of(event.key, len(partitions))].events, ("data", body)))
        elif len(details) < DETAILS_MAX:
            details += _refusal(event, f"{name}[{index}]").details
    if details:
        raise ApiError("VALIDATION_ERROR", f"{details[0].path}: {details[0].message}", details)
    answers = await call.services.appender.append(entries)
    if not any(answer is not None and answer.id for answer in answers):
        reasons = {str(answer.refused) for answer in answers if answer is not None}
        raise unavailable("; ".join(reasons) or "it is unknown whether Redis has the events; send them again")
    return BatchAccepted(
        accepted=sum(answer is not None and answer.id is not None for answer in answers),
        failed=[
            NotTaken(index, "unconfirmed" if answer is None else "rejected")
            for index, answer in enumerate(answers)
            if answer is None or answer.id is None
        ],
        ids=[None if answer is None else answer.id for answer in answers],
    )


def _check_lag(call: Call[Any]) -> None:
    most = call.services.config.http.max_lag
    if most and (lag := call.services.lag()) > most:
        raise unavailable(f"{lag} events wait to be applied, more than http.max_lag = {most}", LAG_SECONDS)


def _refusal(refused: object, where: str) -> ApiError:
    """What the reader of events says, with its path under the place of the event in the request."""
    message = refused.message if isinstance(refused, Refusal) else "is a control entry, and no event"
    path, colon, rest = message.partition(": ")
    if not colon or " " in path:
        path, rest = "", message
    full = ".".join(part for part in (where, path) if part)
    return invalid(full, rest)
