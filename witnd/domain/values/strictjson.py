"""Strict JSON: what two readers could understand differently is refused.

Malformed or non-UTF-8 text, duplicate member names, numbers that fit no finite double, and depth over 32.
"""

import json
from collections.abc import Sequence
from typing import Any, Self, cast

import msgspec

from witnd.domain.values.mistake import Mistake

BYTES_MAX = 256 * 1024  # contract section 4; the hosted product's own limit
DEPTH_MAX = 32  # contract section 4: deeper than any sane payload, shallow enough for every parser
# Members of an event: a document of these alone needs no walk to count its members.
KNOWN = frozenset(("key", "action", "customer_key", "agent_key", "idempotency_key", "timestamp", "properties"))

_decode = msgspec.json.Decoder().decode


class Invalid(Exception):  # noqa: N818 - it becomes a refusal, which is a value
    """Carries every mistake that was found, at least one."""

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
    """Strict JSON of at most so many bytes and levels. The decoder refuses everything but duplicate names and depth,
    which are checked here.

    Every member has one colon, so a count of colons that equals the number of decoded members proves that no name
    came twice. The count is too high where a string has one as well: then other proofs are tried.
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
    # A flat record of known fields is by far the most frequent; anything that may have more inside is walked.
    if data.count(b"{") > 2 or b"[" in data or not KNOWN.issuperset(decoded):
        members = _walk(decoded, deepest)
    if data.count(b":") != members and not names_are_counted(data, members):
        _refuse_twins(data)
    return cast("dict[str, Any]", decoded)


def names_are_counted(data: bytes, members: int) -> bool:
    """The same proof where colons stand inside of strings too: names end with a quote and their colon follows."""
    return (
        data.count(b'":') == members
        and b" :" not in data
        and b"\n:" not in data
        and b"\t:" not in data
        and b"\r:" not in data
    )


def _walk(decoded: dict[str, Any], deepest: int) -> int:
    """Number of members at every depth; refuses what is nested too deep or holds a number without a finite double."""
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


def _refuse_twins(data: bytes) -> None:
    def pairs(members: list[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for name, _ in members:
            if name in seen:
                raise Invalid(f"member {name!r} appears twice")
            seen.add(name)

    json.loads(data.decode(), object_pairs_hook=pairs, parse_int=str, parse_float=str)


def double(path: str, number: float) -> float:
    """The nearest double of a JSON number, which is what the number means (contract section 4)."""
    try:
        return float(number)
    except OverflowError:
        raise Invalid("does not fit a finite double", path) from None
