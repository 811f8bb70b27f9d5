"""Filters of lists: surrounding spaces are ignored, unless a key has them."""

from typing import Final

from witnd.web.dashboard.page import PageRequest

_KINDS: Final = {"customer": "customer", "agent": "agent"}


def filter_key(request: PageRequest, name: str) -> str | None:
    """Return the key that a filter names: as in the catalogue, else without surrounding spaces."""
    text = request.query.get(name)
    if text is None or request.services.catalogue.instants(_KINDS[name], text):
        return text
    return text.strip() or None
