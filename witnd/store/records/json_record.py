"""JSON records in Redis. Each has its format number in `v`; readers refuse a newer format."""

from typing import Final, TypeVar

import msgspec
from msgspec import Struct
from msgspec.json import Decoder

from witnd.store.errors import Unsafe

T = TypeVar("T")
_encode = msgspec.json.Encoder().encode

FORMAT: Final = 1
REMEDY: Final = "run the version of witnd that wrote it"
DAMAGED: Final = "restore it from a backup; if a newer witnd wrote it, run that version"
_HEAD: Final = b'{"v":%d,' % FORMAT


class _Numbered(Struct):
    v: int = FORMAT


def encode_record(record: object) -> bytes:
    """Return the JSON of a struct or a dictionary, with the format number first."""
    return _HEAD + _encode(record)[1:]


def decode_record(raw: bytes, type_: type[T] | Decoder[T], what: str, remedy: str = DAMAGED) -> T:
    """Return a record. Raises `Unsafe` if it is damaged or has a newer format.

    `what` names the record in the error; `remedy` is for a damaged record. A union of types needs a decoder: msgspec
    would analyse the union at each call.
    """
    try:
        if not raw.startswith(_HEAD):
            number = msgspec.json.decode(raw, type=_Numbered).v
            if number > FORMAT:
                raise Unsafe(f"{what} has format {number}, and this witnd reads format {FORMAT}", REMEDY)
        return type_.decode(raw) if isinstance(type_, Decoder) else msgspec.json.decode(raw, type=type_)
    except (msgspec.MsgspecError, UnicodeDecodeError) as wrong:
        raise Unsafe(f"{what} cannot be read: {wrong}", remedy) from wrong
