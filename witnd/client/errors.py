"""The errors of the client, by what the caller should do."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from witnd.client.event import Event


class Detail(Struct, frozen=True):
    """One error of a request with its path, such as `events[12].action`."""

    path: str
    message: str


class WitndError(Exception):
    """The base class of errors about the server.

    `events` are those that are not known to be in the log. They have idempotency keys, so each counts once even if you
    send it again.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.events: tuple[Event, ...] = ()


class NoAnswerError(WitndError):
    """No usable response after all retries. The request may or may not have arrived."""


class NotSentError(WitndError):
    """Some events of a batch are not in the log after all retries.

    `reasons` has the reason for each of `events`: `rejected` (not in the log) or `unconfirmed` (unknown).
    """

    def __init__(self, events: Sequence["Event"], reasons: Sequence[str], why: str = "") -> None:
        super().__init__(f"{len(events)} events are not confirmed to be in the log{f': {why}' if why else ''}")
        self.events = tuple(events)
        self.reasons = tuple(reasons)


class SignatureError(WitndError):
    """An invalid webhook: forged, changed or too old."""


class ApiError(WitndError):
    """The server refused the request. Programs should check `code`; `request_id` identifies the request in the
    server's log."""

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
    """The request is invalid: 400, 413, 415. `details` has all mistakes."""


class NotAllowedError(ApiError):
    """The token is unknown or revoked (401), or lacks the scope (403)."""


class NotFoundError(ApiError):
    """The resource does not exist: 404."""


class ConflictError(ApiError):
    """The resource exists already, or was changed meanwhile: 409."""


class RateLimitedError(ApiError):
    """The token's rate limit is exceeded: 429. `retry_after` is the time to wait in seconds."""


class UnavailableError(ApiError):
    """The server failed with 5xx after all retries."""
