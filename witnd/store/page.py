"""Pages of lists: part of a list, and the cursor at which the next part continues."""

from typing import Generic, TypeVar

from msgspec import Struct

T = TypeVar("T")


class Page(Struct, Generic[T], frozen=True):
    """Part of a list. The next page starts after `cursor`, which is None on the last page."""

    data: list[T]
    cursor: str | None
    unreadable: list[str] = []  # ids of damaged entries


class InvalidCursor(ValueError):  # noqa: N818 - what a person wrote, not a mistake in code
    """The cursor is not one that a page of this list ended with."""

    def __init__(self, cursor: str) -> None:
        super().__init__(f"{cursor!r} is not a cursor of this list; use next_cursor from the previous page")
