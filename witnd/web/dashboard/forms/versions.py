"""Versions of a catalogue entry for `compare.html`, and the check that a form is up to date."""

from typing import Any, Final

from witnd.app.catalogue import read as catalogue
from witnd.app.catalogue.read import Kind, Thing
from witnd.app.errors import invalid
from witnd.web.api.catalogue.answers import comparison, version_line
from witnd.web.dashboard.page import PageRequest
from witnd.web.errors import ApiError

LIMIT: Final = 50
MEANWHILE: Final = "another version was saved since you opened this form; save again to replace it"


async def versions_of(request: PageRequest, kind: Kind, thing: Thing) -> dict[str, Any]:
    """Lines, the newest first, in pages that end before the number that the address has; and the two versions that it
    asks to compare."""
    last = min(numbered(request, "before") or thing.count, thing.count)
    start = max(0, last - LIMIT)
    found, _ = await catalogue.versions(request.services, kind, thing.key, (last - start, str(start)))
    one, other = numbered(request, "from"), numbered(request, "to")
    asked = one is not None or other is not None
    one, other = max(1, thing.count - 1) if one is None else one, thing.count if other is None else other
    return {
        "lines": [version_line(version) for version in reversed(found)],
        "earlier": start or None,
        "is_latest": last == thing.count,
        "one": one,
        "other": other,
        "comparison": await comparison(request.services, kind, thing.key, one, other) if asked else None,
    }


def numbered(request: PageRequest, name: str) -> int | None:
    """The number of a version that the address has under a name."""
    text = request.query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise invalid(name, "must be the number of a version")
    return int(text)


def check_seen(request: PageRequest, count: int, message: str = MEANWHILE) -> None:
    """Refuse a form, once, if something was added since it was opened; its field `seen` has the earlier count.

    This prevents lost updates, and makes a form that is sent twice take effect once.
    """
    if request.form.get("seen", "") not in ("", str(count)):
        raise ApiError("CONFLICT", message)
