"""Normalise the content of events, so that equal content has equal digests.

Member order, number format, white space and form do not matter. A boolean is not a number, and instants are compared as
sent.
"""

from typing import Any

import msgspec

from witnd.domain.values.strictjson import double

MARK_BYTES = 16  # of a BLAKE2s digest; 128 bits exclude accidental collisions

_RESERVED = frozenset(("value", "attribution", "settles_at"))

encode_sorted = msgspec.msgpack.Encoder(order="sorted").encode


def normalise(properties: dict[str, Any]) -> bool:
    """Convert the top-level numbers to doubles in place. Return whether all members are scalars, so that they need
    no further normalisation. Raises Invalid."""
    plain = True
    for name, member in properties.items():
        kind = type(member)
        if kind is float or kind is int:
            # Adding zero makes -0.0 equal to 0.0 in its bytes too.
            properties[name] = double(f"properties.{name}", member) + 0.0 if kind is int else member + 0.0
        elif kind is not str and kind is not bool:
            plain = False
    return plain


def comparable(properties: dict[str, Any]) -> dict[str, Any]:
    """Return properties in a form that compares equal for equal content. Null means absent only for reserved
    properties."""
    return {name: _same(member) for name, member in properties.items() if member is not None or name not in _RESERVED}


def _same(node: Any) -> Any:
    kind = type(node)
    if kind is int or kind is float:
        return float(node) + 0.0
    if kind is dict:
        return {name: _same(member) for name, member in node.items()}
    if kind is list:
        return [_same(member) for member in node]
    return node
