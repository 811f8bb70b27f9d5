"""Pages of a list, with the cursor of the next page."""

from typing import Generic, TypeVar

from msgspec import Struct

T = TypeVar("T")


class Page(Struct, Generic[T], frozen=True):
    """A page of a list. The next page starts after `cursor`, which is None on the last page."""

    data: list[T]
    cursor: str | None
    unreadable: list[str] = []  # ids of damaged entries


class InvalidCursor(ValueError):  # noqa: N818 - invalid input, not a bug
    """The cursor does not come from a page of this list."""

    def __init__(self, cursor: str) -> None:
        super().__init__(f"{cursor!r} is not a cursor of this list; use next_cursor from the previous page")
