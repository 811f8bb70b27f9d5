"""Filters of lists: surrounding spaces are ignored, unless a key has them."""

from typing import Final

from witnd.web.dashboard.page import Visit

_KINDS: Final = {"customer": "customer", "agent": "agent"}


def filter_key(visit: Visit, name: str) -> str | None:
    """Return the key that a filter names: as in the catalogue, else without surrounding spaces."""
    text = visit.query.get(name)
    if text is None or visit.services.catalogue.instants(_KINDS[name], text):
        return text
    return text.strip() or None
