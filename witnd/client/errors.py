"""What can go wrong, told apart by what the caller should do. Which one an answer means is decided in `flow`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from witnd.client.event import Event


class Detail(Struct, frozen=True):
    """One thing that is wrong in a request, and where: `events[12].action`."""

    path: str
    message: str


class WitndError(Exception):
    """Everything this package raises about the other side.

    `events` are those that are not known to be in the log. They keep their idempotency keys: sent again, now or
    tomorrow, each counts once.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.events: tuple[Event, ...] = ()


class NoAnswerError(WitndError):
    """No usable answer, after all retries. What was sent may or may not have arrived."""


class NotSentError(WitndError):
    """Part of a batch is not in the log after all retries.

    `reasons` says for each of `events` why: `rejected` (certainly not in the log) or `unconfirmed` (unknown).
    """

    def __init__(self, events: Sequence["Event"], reasons: Sequence[str], why: str = "") -> None:
        super().__init__(f"{len(events)} events are not confirmed to be in the log{f': {why}' if why else ''}")
        self.events = tuple(events)
        self.reasons = tuple(reasons)


class SignatureError(WitndError):
    """A webhook that is not to be believed: forged, changed, or too old."""


class ApiError(WitndError):
    """The server refused. `code` is what programs should look at; `request_id` finds the request in its log."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        details: Sequence[Detail] = (),
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        told = f" (request {request_id})" if request_id else ""
        super().__init__(f"{code}: {message}{told}")
        self.status = status
        self.code = code
        self.message = message
        self.details = tuple(details)
        self.request_id = request_id
        self.retry_after = retry_after


class ValidationError(ApiError):
    """What was sent cannot be taken, and never will be: 400, 413, 415. `details` names each mistake."""


class NotAllowedError(ApiError):
    """The token is unknown or revoked (401), or has not the scope (403)."""


class NotFoundError(ApiError):
    """There is nothing of that name: 404."""


class ConflictError(ApiError):
    """It is there already, or has changed meanwhile: 409."""


class RateLimitedError(ApiError):
    """More requests than the token may make: 429. `retry_after` says how many seconds to wait."""


class UnavailableError(ApiError):
    """The server could not do it now: 5xx, after all retries."""
