"""One spelling for one content: canonical JSON and its digest, the address of contracts and prices.

Keys sorted by code point, no spaces, UTF-8; a whole number below 2^53 is written without fraction.
"""

import json
from hashlib import sha256

# From here on not every integer is a double: it would claim digits that the number does not have.
_WHOLE = 2**53


def number(value: float) -> int | float:
    """The nearest double, as an int where it is a whole number below 2^53."""
    double = float(value)
    return int(double) if double.is_integer() and abs(double) < _WHOLE else double


def encoded(content: object) -> bytes:
    """Canonical JSON of content whose numbers went through `number`."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest(content: object) -> str:
    """Lower-case hex SHA-256 of the canonical JSON."""
    return sha256(encoded(content)).hexdigest()
