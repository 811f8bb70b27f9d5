"""The one form of every refusal (contract section 8)."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

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
    """One thing that is wrong, and where: `events[12].properties.settles_at`."""

    path: str
    message: str


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a request was refused. `code` is what programs should look at."""

    type: str
    code: str
    message: str
    status: int
    doc_url: str
    details: list[Detail] | None = None
    request_id: str | None = None


class ErrorAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every answer that is no success."""

    error: ErrorBody


class ApiError(Exception):
    """Ends a request. `headers` go with the answer."""

    def __init__(
        self,
        code: str,
        message: str,
        details: Sequence[Detail] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = list(details)
        self.headers = dict(headers or {})

    @property
    def status(self) -> int:
        return CODES[self.code].status

    def body(self, request_id: str) -> bytes:
        kind = CODES[self.code]
        answer = ErrorAnswer(
            error=ErrorBody(
                type=kind.type,
                code=self.code,
                # What came as bytes that are no UTF-8 may be told of, and cannot be encoded.
                message=self.message.encode(errors="backslashreplace").decode(),
                status=kind.status,
                doc_url=f"/docs#{self.code.lower().replace('_', '-')}",
                details=self.details or None,
                request_id=request_id,
            )
        )
        return _encode(answer)


def invalid(path: str, message: str) -> ApiError:
    """One mistake in a request."""
    return ApiError("VALIDATION_ERROR", f"{path}: {message}" if path else message, [Detail(path, message)])


def mistaken(mistakes: Sequence[Mistake]) -> ApiError:
    """Everything that is wrong with what was sent; at least one mistake."""
    first = mistakes[0]
    message = f"{first.path}: {first.message}" if first.path else first.message
    more = f" (and {len(mistakes) - 1} more)" if len(mistakes) > 1 else ""
    return ApiError("VALIDATION_ERROR", message + more, [Detail(one.path, one.message) for one in mistakes])


def missing(what: str, key: str) -> ApiError:
    return ApiError("NOT_FOUND", f"there is no {what} {key!r}")


def unavailable(reason: str, seconds: int = 1) -> ApiError:
    """Redis cannot do it now. Nothing is known to be done: the same request may be sent again."""
    return ApiError("UNAVAILABLE", reason, headers={"Retry-After": str(seconds)})


def internal_error() -> ApiError:
    """An error of witnd itself. Of equal ones in a second, the log names the first."""
    return ApiError("INTERNAL_ERROR", "something went wrong in witnd; its log has the error as http.failed")


def from_msgspec(wrong: msgspec.MsgspecError) -> ApiError:
    """What a decoder says, with the path as people write it."""
    text, _, where = str(wrong).partition(" - at `")
    path = where.rstrip("`").removeprefix("$").removeprefix(".")
    if text.startswith("Object missing required field `"):
        name = text.split("`")[1]
        return invalid(f"{path}.{name}" if path else name, "is required")
    if text.startswith("Object contains unknown field `"):
        name = text.split("`")[1]
        return invalid(f"{path}.{name}" if path else name, "is not a known field")
    return invalid(path, text[:1].lower() + text[1:])
