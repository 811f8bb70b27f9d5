"""What an event says, as a digest: equal for equal content, whatever the spelling or form (contract section 4.3).

Member order, spelling of numbers, white space and form do not matter; a boolean is no number; instants are as sent.
"""

from typing import Any

import msgspec

from witnd.domain.values.strictjson import double

MARK_BYTES = 16  # of a BLAKE2s digest; 128 bits: no accidental collision in the life of an installation

_RESERVED = frozenset(("value", "attribution", "settles_at"))

encode_sorted = msgspec.msgpack.Encoder(order="sorted").encode


def normalise(properties: dict[str, Any]) -> bool:
    """Make every number of the top level a double, in place; refuses one that is none. True if all members are plain
    scalars, so that equal content is equal as it stands."""
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
    """Properties as far as they mean something. Null is absence for the reserved ones; any other null is content."""
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
