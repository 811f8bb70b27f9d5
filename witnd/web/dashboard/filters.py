"""What people write into the filters of lists: spaces around it are not meant, unless a key really has them."""

from typing import Final

from witnd.web.dashboard.page import Visit

_KINDS: Final = {"customer": "customer", "agent": "agent"}


def filter_key(visit: Visit, name: str) -> str | None:
    """The key that a filter names, as it is in the catalogue or else without spaces around it."""
    text = visit.query.get(name)
    if text is None or visit.services.catalogue.instants(_KINDS[name], text):
        return text
    return text.strip() or None
