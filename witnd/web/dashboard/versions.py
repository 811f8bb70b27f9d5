"""The versions of a thing of the catalogue, as `compare.html` shows them."""

from typing import Any, Final

from witnd.web import catalogue
from witnd.web.catalogue import Kind, Thing
from witnd.web.catalogue_answers import comparison, version_line
from witnd.web.dashboard.page import Visit
from witnd.web.errors import invalid

LIMIT: Final = 50


async def versions_of(visit: Visit, kind: Kind, thing: Thing) -> dict[str, Any]:
    """Lines, the newest first, in pages that end before the number that the address has; and the two versions that it
    asks to compare."""
    last = min(_number(visit, "before", thing.count), thing.count)
    start = max(0, last - LIMIT)
    found, _ = await catalogue.versions(visit.services, kind, thing.key, (last - start, str(start)))
    one, other = _number(visit, "from", max(1, thing.count - 1)), _number(visit, "to", thing.count)
    asked = "from" in visit.query or "to" in visit.query
    return {
        "lines": [version_line(version) for version in reversed(found)],
        "earlier": start or None,
        "is_latest": last == thing.count,
        "one": one,
        "other": other,
        "comparison": await comparison(visit.services, kind, thing.key, one, other) if asked else None,
    }


def _number(visit: Visit, name: str, otherwise: int) -> int:
    text = visit.query.get(name)
    if text is None:
        return otherwise
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise invalid(name, "must be the number of a version")
    return int(text)
