"""Checksums of stored records, so that a changed byte never turns one valid record into another."""

from collections.abc import Iterable
from typing import Final
from zlib import crc32

import msgspec

from witnd.store.errors import Unreadable

CHECKSUM_BYTES: Final = 4
# What decoding a damaged record can raise.
DAMAGE: Final = (msgspec.MsgspecError, ValueError, TypeError, IndexError, ArithmeticError)


def seal(record: bytes) -> bytes:
    """The record with its checksum behind it."""
    return record + crc32(record).to_bytes(CHECKSUM_BYTES)


def unseal(key: str, sealed: bytes) -> bytes:
    """The record without its checksum. Raises `Unreadable` if the two do not fit."""
    record = sealed[:-CHECKSUM_BYTES]
    if crc32(record) != int.from_bytes(sealed[-CHECKSUM_BYTES:]):
        raise Unreadable(key, "its checksum is wrong")
    return record


def unsealed(key: str, items: Iterable[bytes]) -> list[bytes]:
    """The items of a list without their checksums. Raises `Unreadable` if one is damaged."""
    return [unseal(key, item) for item in items]
