"""`ETag` and `If-Match`: a change applies to the version that its author read, or is refused with 412.

A tag names the version in force and how many versions there are, so that a scheduled version changes it too. It is
compared with the catalogue that the change is planned against, and the catalogue is written only if nobody else changed
it meanwhile: comparing and writing are one step.
"""

import re
from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from multidict import CIMultiDict, CIMultiDictProxy

from witnd.domain.catalogue.catalogue import CatalogueEntry
from witnd.web.errors import ApiError, invalid

IF_MATCH: Final = "If-Match"
_TAG: Final = r'(?:W/)?"[\x21\x23-\x7e]*"'
_TAGS: Final = re.compile(rf"\s*{_TAG}\s*(?:,\s*{_TAG}\s*)*")


def etag(number: int, count: int) -> str:
    return f'"{number}-{count}"'


def etag_at(entries: Sequence[CatalogueEntry], at: int) -> str:
    """The tag of a thing with these versions, as it is at an instant. Where all are scheduled, that of the first."""
    starts = [entry.effective_from for entry in entries]
    return etag(max(1, bisect_right(starts, at)), len(entries))


def expected_tags(headers: CIMultiDict[str] | CIMultiDictProxy[str]) -> frozenset[str] | None:
    """The tags of `If-Match`, one of which must be the present one. None: any will do."""
    text = ",".join(headers.getall(IF_MATCH, []))
    if text.strip() in ("", "*"):
        if IF_MATCH in headers and not text.strip():
            raise invalid(IF_MATCH, 'must be a tag such as "3-3" from the header ETag, or *')
        return None
    if _TAGS.fullmatch(text) is None:
        raise invalid(IF_MATCH, 'must be a tag such as "3-3" from the header ETag, in its quotes, or *')
    tags = re.findall(_TAG, text)
    if weak := next((tag for tag in tags if tag.startswith("W/")), None):
        raise ApiError("PRECONDITION_FAILED", f"If-Match: {weak} is a weak tag, which never matches; send a strong tag")
    return frozenset(tags)


def check_tag(expected: frozenset[str] | None, present: str) -> None:
    """Raises PRECONDITION_FAILED where the thing was changed since it was read."""
    if expected is not None and present not in expected:
        raise ApiError(
            "PRECONDITION_FAILED",
            f"it was changed since you read it: its ETag is {present}; read it again and repeat your change",
            headers={"ETag": present},
        )


def refuse_preconditions(headers: CIMultiDict[str] | CIMultiDictProxy[str], *, has_versions: bool) -> None:
    """Refuse preconditions that are not checked: ignoring one would overwrite what it protects."""
    names = ("If-Unmodified-Since",) if has_versions else (IF_MATCH, "If-Unmodified-Since")
    for name in names:
        if name in headers:
            raise invalid(name, "is not supported here; leave it out" + (" and send If-Match" if has_versions else ""))
