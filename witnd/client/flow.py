"""The protocol of the API without sockets: requests, responses and retries.

Each function is a generator that yields requests and pauses and receives responses. `Client` and `AsyncClient` run
them, so both behave the same. All requests may be repeated: reads change nothing, and every event and every change of
an invoice has an idempotency key before it is first sent.
"""

import random
from collections.abc import Generator, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from itertools import count
from typing import Final, NamedTuple, TypeAlias, TypeVar
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Struct

from witnd.client import errors
from witnd.client.answers import Fate, OutcomeDetail, Page
from witnd.client.event import Event, EventReceipt

T = TypeVar("T")
BATCH_EVENTS: Final = 500
BATCH_BYTES: Final = 8 * 1024 * 1024
# Temporary errors of the server or a gateway. All others would fail again.
_TEMPORARY_STATUSES: Final = frozenset((500, 502, 503, 504))
_KINDS: Final[Mapping[int, type[errors.ApiError]]] = {
    400: errors.ValidationError,
    401: errors.NotAllowedError,
    403: errors.NotAllowedError,
    404: errors.NotFoundError,
    409: errors.ConflictError,
    413: errors.ValidationError,
    415: errors.ValidationError,
    429: errors.RateLimitedError,
}


class Request(NamedTuple):
    method: str
    target: str
    body: bytes | None = None
    key: str | None = None  # the `Idempotency-Key` of a change, so that it may be repeated


class Answer(NamedTuple):
    """`headers` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Lost(NamedTuple):
    """No usable response: no connection, a lost one, or a timeout."""

    reason: str


class Pause(NamedTuple):
    seconds: float


Flow: TypeAlias = Generator[Request | Pause, Answer | Lost | None, T]


class Retries(Struct, frozen=True, kw_only=True):
    """The number of attempts of a request and the delays between them in seconds. Delays double from `first` to `most`,
    with jitter. The client also waits for `Retry-After`, unless it is longer than `patience`. Waiting for a rate limit
    (429) is not a failed attempt; it ends when the waits of a request exceed `patience` in total. With one attempt
    there are no retries."""

    attempts: int = 6
    first: float = 0.25
    most: float = 10.0
    patience: float = 60.0

    def wait(self, failures: int, asked: float | None) -> float:
        longest: float = min(self.most, self.first * 2.0 ** min(failures - 1, 60))
        own = longest * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not security
        return own + (asked or 0.0)

    def is_exhausted(self, failures: int, error: errors.WitndError) -> bool:
        asked = getattr(error, "retry_after", None)
        return failures >= self.attempts or (asked is not None and asked > self.patience)


class _EventResponse(Struct):
    id: str
    partition: int | None = None


class _FailedEvent(Struct):
    index: int
    reason: str


class _BatchResponse(Struct):
    failed: list[_FailedEvent]
    ids: list[str | None]


class _Error(Struct):
    code: str
    message: str
    details: list[errors.Detail] = []
    request_id: str | None = None


class _ErrorResponse(Struct):
    error: _Error


# -- one request ------------------------------------------------------------------------------------------------------


def exchange(request: Request, retries: Retries) -> Flow[Answer]:
    """Send a request with retries. Return its successful response."""
    failures, waited = 0, 0.0
    while True:
        got = yield request
        if isinstance(got, Answer) and HTTPStatus.OK <= got.status < HTTPStatus.MULTIPLE_CHOICES:
            return got
        error = _failure(got)
        if isinstance(error, errors.RateLimitedError) and error.retry_after is not None and retries.attempts > 1:
            # Not a failed attempt: the server has named the time to retry.
            waited += error.retry_after
            if waited > retries.patience:
                raise error
            yield Pause(retries.wait(1, error.retry_after))
            continue
        failures += 1
        passing = not isinstance(error, errors.ApiError) or error.status in _TEMPORARY_STATUSES
        if not passing or retries.is_exhausted(failures, error):
            raise error
        yield Pause(retries.wait(failures, getattr(error, "retry_after", None)))


def _failure(got: Answer | Lost | None) -> errors.WitndError:
    if not isinstance(got, Answer):
        return errors.NoAnswerError(got.reason if isinstance(got, Lost) else "no request was sent")
    kind = _KINDS.get(got.status, errors.UnavailableError if got.status >= 500 else errors.ApiError)
    asked = _seconds(got.headers.get("retry-after"))
    request_id = got.headers.get("x-request-id")
    try:
        told = msgspec.json.decode(got.body, type=_ErrorResponse).error
    except (msgspec.MsgspecError, UnicodeDecodeError):
        # Not from witnd: a gateway, or another server at this address.
        return kind(got.status, f"HTTP_{got.status}", "the response is not from witnd", (), request_id, asked)
    return kind(got.status, told.code, told.message, told.details, told.request_id or request_id, asked)


def _seconds(text: str | None) -> float | None:
    """Parse `Retry-After`: seconds, or a date."""
    if text is None:
        return None
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def read_answer(answer: Answer, type_: type[T]) -> T:
    """Return the response as a value."""
    try:
        return msgspec.json.decode(answer.body, type=type_)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise errors.ApiError(
            answer.status, "UNREADABLE_ANSWER", "the response is not from witnd; check the base URL", (),
            answer.headers.get("x-request-id"),
        ) from None  # fmt: skip


# -- events -----------------------------------------------------------------------------------------------------------


def send(event: Event, retries: Retries) -> Flow[EventReceipt]:
    try:
        answer = yield from exchange(Request("POST", "/v1/events", event.body()), retries)
        taken = read_answer(answer, _EventResponse)
    except errors.WitndError as error:
        error.events = (event,)
        raise
    return EventReceipt(id=taken.id, partition=taken.partition, key=event.key, idempotency_key=event.idempotency_key)


def send_batch(events: Sequence[Event], retries: Retries) -> Flow[list[EventReceipt]]:
    """Send events in requests of at most 500 events and 8 MiB. Retry only temporary failures."""
    bodies = [event.body() for event in events]
    sent: list[EventReceipt | None] = [None] * len(events)
    try:
        for places in _batches(bodies):
            yield from _send_batch(places, events, bodies, sent, retries)
    except errors.WitndError as error:
        error.events = tuple(event for event, done in zip(events, sent, strict=True) if done is None)
        if isinstance(error, errors.NotSentError):
            error.reasons += ("rejected",) * (len(error.events) - len(error.reasons))  # parts that were never sent
        raise
    return [one for one in sent if one is not None]


def _batches(bodies: Sequence[bytes]) -> Iterator[list[int]]:
    """Yield the indexes of the events of each request."""
    part: list[int] = []
    size = 0
    for place, body in enumerate(bodies):
        if part and (len(part) == BATCH_EVENTS or size + len(body) + 1 > BATCH_BYTES - 64):
            yield part
            part, size = [], 0
        part.append(place)
        size += len(body) + 1
    if part:
        yield part


def _send_batch(
    places: list[int],
    events: Sequence[Event],
    bodies: Sequence[bytes],
    sent: list[EventReceipt | None],
    retries: Retries,
) -> Flow[None]:
    for failures in count(1):
        body = b'{"events":[%b]}' % b",".join(bodies[place] for place in places)
        try:
            answer = yield from exchange(Request("POST", "/v1/events/batch", body), retries)
        except errors.ApiError as refused:
            refused.details = tuple(_with_batch_index(detail, places) for detail in refused.details)
            raise
        taken = read_answer(answer, _BatchResponse)
        for place, id_ in zip(places, taken.ids, strict=False):
            if id_ is not None:
                key, identity = events[place].key, events[place].idempotency_key
                sent[place] = EventReceipt(id=id_, partition=None, key=key, idempotency_key=identity)
        reasons = {places[one.index]: one.reason for one in taken.failed if 0 <= one.index < len(places)}
        places = [place for place in places if sent[place] is None]
        if not places:
            return
        error = errors.NotSentError([events[p] for p in places], [reasons.get(p, "unconfirmed") for p in places])
        if retries.is_exhausted(failures, error):
            raise error
        yield Pause(retries.wait(failures, None))


def _with_batch_index(detail: errors.Detail, places: Sequence[int]) -> errors.Detail:
    """Return a mistake with the event's index in the caller's list instead of in the request."""
    inside, bracket, rest = detail.path.removeprefix("events[").partition("]")
    if not bracket or not detail.path.startswith("events[") or not inside.isdigit() or int(inside) >= len(places):
        return detail
    return errors.Detail(f"events[{places[int(inside)]}]{rest}", detail.message)


# -- reading ----------------------------------------------------------------------------------------------------------


def get(path: Sequence[str], query: Mapping[str, str | int | None], type_: type[T], retries: Retries) -> Flow[T]:
    """Read what is at a path. Parameters that are None are left out."""
    target = "/v1/" + "/".join(quote(part, safe="") for part in path)
    given = urlencode({name: value for name, value in query.items() if value is not None}, quote_via=quote)
    answer = yield from exchange(Request("GET", f"{target}?{given}" if given else target), retries)
    return read_answer(answer, type_)


def outcome(key: str, retries: Retries) -> Flow[OutcomeDetail]:
    return get(("outcomes", key), {}, OutcomeDetail, retries)


def page(filters: Mapping[str, str | int | None], retries: Retries) -> Flow[Page]:
    return get(("outcomes",), filters, Page, retries)


def fate(partition: int, id_: str, key: str | None, retries: Retries) -> Flow[Fate]:
    return get(("events", str(partition), id_), {"key": key}, Fate, retries)
