"""The text of a page as people read it: spaces between blocks, none within a word."""

from collections.abc import Iterator
from typing import Any

_INLINE = frozenset(("a", "b", "code", "em", "strong", "time"))


def visible_text(element: Any) -> str:
    """The text of an element with a space between its parts."""
    return " ".join("".join(_parts(element)).split())


def _parts(element: Any) -> Iterator[str]:
    apart = "" if element.tag in _INLINE or element.get("class") in ("money", "currency", "quiet") else " "
    yield apart + (element.text or "")
    for child in element:
        yield from _parts(child)
        yield child.tail or ""
    yield apart
