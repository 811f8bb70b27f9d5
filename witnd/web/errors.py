"""The common form of every error response (contract section 8)."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from witnd.app.errors import Refused, invalid
from witnd.domain.values.mistake import Mistake


class Kind(NamedTuple):
    status: int
    type: str


CODES: Final[Mapping[str, Kind]] = {
    "VALIDATION_ERROR": Kind(400, "invalid_request_error"),
    "TOKEN_INVALID": Kind(401, "authentication_error"),
    "FORBIDDEN": Kind(403, "authentication_error"),
    "NOT_FOUND": Kind(404, "invalid_request_error"),
    "METHOD_NOT_ALLOWED": Kind(405, "invalid_request_error"),
    "REQUEST_TIMEOUT": Kind(408, "invalid_request_error"),
    "CONFLICT": Kind(409, "invalid_request_error"),
    "PRECONDITION_FAILED": Kind(412, "invalid_request_error"),
    "PAYLOAD_TOO_LARGE": Kind(413, "invalid_request_error"),
    "UNSUPPORTED_MEDIA_TYPE": Kind(415, "invalid_request_error"),
    "RATE_LIMITED": Kind(429, "rate_limit_error"),
    "INTERNAL_ERROR": Kind(500, "api_error"),
    "UNAVAILABLE": Kind(503, "api_error"),
}
_encode = msgspec.json.Encoder().encode


class Detail(msgspec.Struct, frozen=True):
    """A mistake and its path, such as `events[12].properties.settles_at`."""

    path: str
    message: str


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The error. Programs should check `code`."""

    type: str
    code: str
    message: str
    status: int
    doc_url: str
    details: list[Detail] | None = None
    request_id: str | None = None


class ErrorAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every error response."""

    error: ErrorBody


class ApiError(Refused):
    """An error that only HTTP has. `headers` are added to the response."""

    def __init__(
        self, code: str, message: str, details: Sequence[Mistake] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(code, message, details)
        self.headers = dict(headers or {})


def status_of(refused: Refused) -> int:
    """Return the HTTP status of a refusal."""
    return CODES[refused.code].status


def headers_of(refused: Refused) -> dict[str, str]:
    """Return the headers that go with a refusal."""
    headers = dict(refused.headers) if isinstance(refused, ApiError) else {}
    if refused.retry_after is not None:
        headers["Retry-After"] = str(refused.retry_after)
    if refused.etag is not None:
        headers["ETag"] = refused.etag
    return headers


def encode_error(refused: Refused, request_id: str) -> bytes:
    """Return a refusal as JSON."""
    kind = CODES[refused.code]
    answer = ErrorAnswer(
        error=ErrorBody(
            type=kind.type,
            code=refused.code,
            # A message may quote bytes that are not UTF-8, which JSON cannot hold.
            message=refused.message.encode(errors="backslashreplace").decode(),
            status=kind.status,
            doc_url=f"/docs#{refused.code.lower().replace('_', '-')}",
            details=[Detail(one.path, one.message) for one in refused.details] or None,
            request_id=request_id,
        )
    )
    return _encode(answer)


def internal_error() -> ApiError:
    """An error of witnd itself. Of equal ones in a second, the log names the first."""
    return ApiError("INTERNAL_ERROR", "internal error; see the server log for this request_id")


def from_msgspec(wrong: msgspec.MsgspecError) -> Refused:
    """Convert the error of a decoder, with the path as people write it."""
    text, _, where = str(wrong).partition(" - at `")
    path = where.rstrip("`").removeprefix("$").removeprefix(".")
    if text.startswith("Object missing required field `"):
        name = text.split("`")[1]
        return invalid(f"{path}.{name}" if path else name, "is required")
    if text.startswith("Object contains unknown field `"):
        name = text.split("`")[1]
        return invalid(f"{path}.{name}" if path else name, "is not a known field")
    return invalid(path, text[:1].lower() + text[1:])
