"""Read `If-Match`. `witnd.app.catalogue.etag` compares the tags."""

import re
from typing import Final

from multidict import CIMultiDict, CIMultiDictProxy

from witnd.app.errors import invalid
from witnd.web.errors import ApiError

IF_MATCH: Final = "If-Match"
_TAG: Final = r'(?:W/)?"[\x21\x23-\x7e]*"'
_TAGS: Final = re.compile(rf"\s*{_TAG}\s*(?:,\s*{_TAG}\s*)*")


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


def refuse_preconditions(headers: CIMultiDict[str] | CIMultiDictProxy[str], *, has_versions: bool) -> None:
    """Refuse preconditions that are not checked: ignoring one would overwrite what it protects."""
    names = ("If-Unmodified-Since",) if has_versions else (IF_MATCH, "If-Unmodified-Since")
    for name in names:
        if name in headers:
            raise invalid(name, "is not supported here; leave it out" + (" and send If-Match" if has_versions else ""))
