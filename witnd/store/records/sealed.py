"""Checksums of stored records. They detect changed bytes, and records that belong to another outcome."""

from collections.abc import Iterable
from typing import Final
from zlib import crc32

import msgspec

from witnd.store.errors import Unreadable

CHECKSUM_BYTES: Final = 4
# Exceptions that decoding a damaged record can raise.
DAMAGE: Final = (msgspec.MsgspecError, ValueError, TypeError, IndexError, ArithmeticError)


def seal(key: str, record: bytes) -> bytes:
    """Return a record followed by the checksum of the outcome key and the record."""
    return record + crc32(record, crc32(key.encode())).to_bytes(CHECKSUM_BYTES)


def unseal(key: str, sealed: bytes) -> bytes:
    """Return the record without its checksum. Raises `Unreadable` if it is damaged or belongs to another key."""
    record = sealed[:-CHECKSUM_BYTES]
    if crc32(record, crc32(key.encode())) != int.from_bytes(sealed[-CHECKSUM_BYTES:]):
        raise Unreadable(key, "its checksum is wrong")
    return record


def sealed(key: str, items: Iterable[bytes]) -> list[bytes]:
    """Return the items of a list, each with its checksum."""
    start = crc32(key.encode())
    return [item + crc32(item, start).to_bytes(CHECKSUM_BYTES) for item in items]


def unseal_items(key: str, items: Iterable[bytes]) -> list[bytes]:
    """Return the items of a list without their checksums. Raises `Unreadable` if one is damaged."""
    return [unseal(key, item) for item in items]
