"""Errors of use cases: a code for programs, a message for people, and the path of each mistake."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from witnd.domain.values.fields import similar_name
from witnd.domain.values.mistake import Mistake
from witnd.store.page import InvalidCursor


class Refused(Exception):  # noqa: N818 - an answer to the caller, not a mistake in code
    """The error of a use case. Nothing was written, unless the code is UNAVAILABLE.

    `code` is one of the codes of the API (contract section 8). `remedy`: what can be done instead, which `message` ends
    with. `reason`: a finer code, for forms.
    `missing`: the kind of thing that does not exist, such as "outcome". `retry_after`: seconds after which the
    same call may succeed. `etag`: the present version of what was changed meanwhile.
    """

    def __init__(
        self,
        code: str,
        message: str,
        details: Sequence[Mistake] = (),
        *,
        remedy: str | None = None,
        reason: str | None = None,
        missing: str | None = None,
        retry_after: int | None = None,
        etag: str | None = None,
    ) -> None:
        self.code = code
        self.problem = message
        self.remedy = remedy
        self.reason = reason
        self.message = message if remedy is None else f"{message}; {remedy}"
        super().__init__(self.message)
        self.details = list(details)
        self.missing = missing
        self.retry_after = retry_after
        self.etag = etag


def invalid(path: str, message: str) -> Refused:
    """Refuse one field."""
    return all_invalid([Mistake(path, message)])


def all_invalid(mistakes: Sequence[Mistake]) -> Refused:
    """Refuse every mistake of a request; at least one."""
    more = f" (and {len(mistakes) - 1} more)" if len(mistakes) > 1 else ""
    return Refused("VALIDATION_ERROR", f"{mistakes[0]}{more}", mistakes)


def invalid_cursor(cursor: str) -> Refused:
    """Refuse a cursor that is not from a page of the list."""
    return invalid("after", str(InvalidCursor(cursor)))


@contextmanager
def checked_cursor() -> Iterator[None]:
    """Refuse a cursor that the store rejects."""
    try:
        yield
    except InvalidCursor as wrong:
        raise invalid("after", str(wrong)) from None


def not_found(what: str, key: str, known: Collection[str] = (), *, remedy: str | None = None) -> Refused:
    """Refuse a key that does not exist. `what` is its kind, such as "outcome". `known`: keys for a suggestion."""
    return Refused("NOT_FOUND", f"no such {what}: {key!r}", remedy=remedy or did_you_mean(key, known), missing=what)


def did_you_mean(key: str, known: Collection[str]) -> str | None:
    """Return the remedy that suggests a similar key, if there is one."""
    near = similar_name(key, known)
    return None if near is None else f"did you mean {near!r}?"


def unavailable(reason: str, seconds: int = 1) -> Refused:
    """Refuse because Redis is unavailable. The result is unknown, so the caller may repeat the call."""
    return Refused("UNAVAILABLE", reason, retry_after=seconds)
