"""Canonical JSON and its digest, which identifies contracts and prices.

Keys sorted by code point, no spaces, UTF-8; a whole number below 2^53 is written without fraction.
"""

import json
from hashlib import sha256

# Above this, not every integer is a double.
_WHOLE = 2**53


def number(value: float) -> int | float:
    """Return the nearest double, as an int if it is a whole number below 2^53."""
    double = float(value)
    return int(double) if double.is_integer() and abs(double) < _WHOLE else double


def canonical_json(content: object) -> bytes:
    """Return content as canonical JSON. Pass its numbers through `number` first."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest(content: object) -> str:
    """Return the lower-case hex SHA-256 of the canonical JSON."""
    return sha256(canonical_json(content)).hexdigest()
