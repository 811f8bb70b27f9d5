"""Events as they were sent, to be read by people: JSON laid out, long texts cut off."""

from collections.abc import Sequence
from typing import Final

import msgspec

# Characters of one field: a page stays small, whatever somebody sent. The API has all of it.
MOST: Final = 20_000


def formatted_fields(fields: Sequence[tuple[str, str]], most: int = MOST) -> list[tuple[str, str]]:
    """The fields of an entry with the JSON among them laid out."""
    return [(_cut(name, most), _cut(_pretty(value), most)) for name, value in fields]


def _pretty(text: str) -> str:
    if not text.startswith(("{", "[")) or len(text) > MOST:
        return text
    try:
        # Tokens stay as they were written, names that come twice too.
        return msgspec.json.format(text, indent=2)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        return text


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"
