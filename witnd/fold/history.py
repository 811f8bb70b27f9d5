"""Encodes and decodes history items: one MessagePack array for each applied event.

The fold encodes an item when it applies an event, so a commit only copies bytes.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Raw

from witnd.domain.outcomes.content import MARK_BYTES
from witnd.domain.outcomes.event import EntryId, Event, Value

_BINARY: Final = 0xC4  # the first byte of a MessagePack binary of less than 256 bytes
_pack: Callable[[Any], bytes] = msgspec.msgpack.Encoder().encode
_unpack: Callable[[bytes], Any] = msgspec.msgpack.Decoder().decode
_unpack_items: Callable[[bytes], list[Raw]] = msgspec.msgpack.Decoder(list[Raw]).decode


class HistoryItem(NamedTuple):
    """One applied event of an outcome's history."""

    entry: EntryId
    action: str
    timestamp: int | None
    value: Value | None
    attribution: Decimal | None
    pin: int | None
    placed_at: int | None
    mark: bytes | None
    content: bytes | None

    @property
    def begins_at(self) -> int:
        """The instant (ms) from which the event counts: its acceptance, or what released it if it waited."""
        return self.entry[0] if self.placed_at is None else self.placed_at


def encode_history(ms: int, seq: int, event: Event, placed_at: int | None) -> bytes:
    mark, content, attribution = event.mark, event.content, event.attribution
    return _pack(
        (
            # First, so that `mark_of` finds it at a fixed position.
            None if mark is None or content is None else mark + content,
            ms,
            seq,
            event.action,
            event.timestamp,
            event.value,
            None if attribution is None else str(attribution),
            event.pin,
            placed_at,
        )
    )


def items_of(tail: bytes, tailed: int) -> list[bytes]:
    """Return the items in `tail`. With the head of an array before it, the concatenated items are one array."""
    return [bytes(item) for item in _unpack_items(b"\xdd" + tailed.to_bytes(4) + tail)]


def mark_of(item: bytes) -> bytes:
    """Return mark and content of a history item, or b"" if it has none, without decoding the rest: an array of nine
    starts with one byte, a short binary with two."""
    return item[3 : 3 + 2 * MARK_BYTES] if item[1] == _BINARY else b""


def decode_history(item: bytes) -> HistoryItem:
    """Return an item. Its checksum was checked and removed by `unseal_items`, or by reading its record."""
    marks, ms, seq, action, timestamp, value, attribution, pin, placed_at = _unpack(item)
    return HistoryItem(
        (ms, seq),
        action,
        timestamp,
        value_of(value),
        None if attribution is None else Decimal(attribution),
        pin,
        placed_at,
        None if marks is None else marks[:MARK_BYTES],
        None if marks is None else marks[MARK_BYTES:],
    )


def value_of(value: Value | None) -> Value | None:
    """Return the value of a stored event."""
    # MessagePack preserves doubles; only another program writes an integer here.
    return float(value) if type(value) is int else value
