"""Encodes and decodes holds, and the repaired states that a command prepares.

A key goes on hold when its record cannot be read or its fold fails. The next commit writes the hold and removes the key
from the indexes of outcomes. From then on its events wait in a list. `witnd repair outcome` prepares the repaired
state; the owner of the partition installs it when it reads a `retry` entry for the key.
"""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from witnd.fold.hold import Hold
from witnd.store.errors import Unreadable
from witnd.store.records.sealed import seal, unseal


class Repair(Struct, frozen=True, array_like=True):
    """The repaired state of a key, in stored form: a record with the list part of its history, or held events."""

    v: int
    record: bytes | None
    history: list[bytes]
    held: list[bytes]


_hold = msgspec.json.Decoder(Hold).decode
_json = msgspec.json.Encoder().encode
_repair = msgspec.msgpack.Decoder(Repair).decode
_pack = msgspec.msgpack.Encoder().encode


def encode_hold(hold: Hold) -> bytes:
    return _json(hold)


def decode_hold(key: str, record: bytes) -> Hold:
    """Return a hold. A damaged entry still keeps its key on hold."""
    try:
        return _hold(record)
    except msgspec.MsgspecError as wrong:
        return Hold(reason=f"{key!r} is on hold, and the stored reason is unreadable: {wrong}", since=0, cursor="0-0")


def encode_repair(key: str, repair: Repair) -> bytes:
    return seal(key, _pack(repair))


def decode_repair(key: str, record: bytes) -> Repair:
    """Return a repaired state. Raises `Unreadable`."""
    try:
        return _repair(unseal(key, record))
    except msgspec.MsgspecError as wrong:
        raise Unreadable(key, str(wrong)) from None


def holds_of(flat: Sequence[bytes]) -> dict[str, Hold]:
    """Return all holds of a partition, from the reply to HGETALL."""
    return {
        (key := name.decode(errors="backslashreplace")): decode_hold(key, record)
        for name, record in zip(flat[::2], flat[1::2], strict=True)
    }
