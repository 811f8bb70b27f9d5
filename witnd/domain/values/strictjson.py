"""Strict JSON: reject everything that two parsers could read differently.

This means malformed or non-UTF-8 text, duplicate member names, numbers that do not fit a finite double, and depth over
32.
"""

import json
from collections.abc import Sequence
from typing import Any, Self, cast

import msgspec

from witnd.domain.values.mistake import Mistake

BYTES_MAX = 256 * 1024  # the limit of the hosted product
DEPTH_MAX = 32  # deeper than real payloads, and every parser supports it
# Members of an event. A document with only these needs no recursion to count its members.
KNOWN = frozenset(("key", "action", "customer_key", "agent_key", "idempotency_key", "timestamp", "properties"))

_decode = msgspec.json.Decoder().decode


class Invalid(Exception):  # noqa: N818 - callers turn it into a refusal, a value
    """Raised with all mistakes found, at least one."""

    def __init__(self, message: str, path: str = "") -> None:
        self.mistakes: tuple[Mistake, ...] = (Mistake(path, message),)
        super().__init__(str(self.mistakes[0]))

    @classmethod
    def of(cls, mistakes: Sequence[Mistake]) -> Self:
        made = cls("")
        made.mistakes = tuple(mistakes)
        made.args = ("; ".join(map(str, mistakes)),)
        return made


def document(data: bytes, *, most: int = BYTES_MAX, deepest: int = DEPTH_MAX) -> dict[str, Any]:
    """Parse a strict JSON object of at most `most` bytes and `deepest` levels. Raises Invalid.

    The decoder rejects everything but duplicate names and depth. Every member has one colon, so if the number of colons
    equals the number of decoded members, no name is repeated. If strings contain colons too, slower checks follow.
    """
    if len(data) > most:
        raise Invalid(f"is larger than {most} bytes")
    try:
        decoded = _decode(data)
    except UnicodeDecodeError:
        raise Invalid("is not valid UTF-8") from None
    except RecursionError:
        raise Invalid(f"is nested deeper than {deepest}") from None
    except msgspec.MsgspecError as wrong:
        raise Invalid(f"is not strict JSON: {wrong}") from None
    if type(decoded) is not dict:
        raise Invalid("must be a JSON object")
    members = len(decoded)
    inner = decoded.get("properties")
    if type(inner) is dict:
        members += len(inner)
    # Most events are flat records of known fields. Only other documents need the recursion.
    if data.count(b"{") > 2 or b"[" in data or not KNOWN.issuperset(decoded):
        members = _walk(decoded, deepest)
    if data.count(b":") != members and not has_unique_names(data, members):
        _refuse_duplicates(data)
    return cast("dict[str, Any]", decoded)


def has_unique_names(data: bytes, members: int) -> bool:
    """Return whether counting `":` proves that names are unique, for data with colons inside strings."""
    return (
        data.count(b'":') == members
        and b" :" not in data
        and b"\n:" not in data
        and b"\t:" not in data
        and b"\r:" not in data
    )


def _walk(decoded: dict[str, Any], deepest: int) -> int:
    """Count the members at every depth. Raises Invalid for too much depth and for numbers without a finite double."""
    members = 0
    level: list[Any] = [decoded]
    for _depth in range(deepest):
        below: list[Any] = []
        for node in level:
            if type(node) is dict:
                members += len(node)
                children: Any = node.values()
            else:
                children = node
            for child in children:
                if type(child) in (dict, list):
                    below.append(child)
                elif type(child) is int:
                    double("", child)
        if not below:
            return members
        level = below
    raise Invalid(f"is nested deeper than {deepest}")


def _refuse_duplicates(data: bytes) -> None:
    def pairs(members: list[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for name, _ in members:
            if name in seen:
                raise Invalid(f"member {name!r} appears twice")
            seen.add(name)

    json.loads(data.decode(), object_pairs_hook=pairs, parse_int=str, parse_float=str)


def double(path: str, number: float) -> float:
    """Return the nearest double of a JSON number. Raises Invalid if it is not finite."""
    try:
        return float(number)
    except OverflowError:
        raise Invalid("does not fit a finite double", path) from None
