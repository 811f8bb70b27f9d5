"""Read a PNG image from base64 text, without decoding its pixels."""

from base64 import b64decode, b64encode
from binascii import Error
from hashlib import sha256
from typing import Final, NamedTuple
from zlib import crc32

#: Bytes of an image.
MAX_BYTES: Final = 200_000
# A small file can have so many pixels that a program which draws them runs out of memory.
MAX_SIDE: Final = 4096
_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
# Bytes of a chunk besides its data: length, type and checksum (RFC 2083, 3.2).
_FRAME: Final = 12
_REMEDY: Final = "write the base64 text of a PNG file, such as the output of `base64 logo.png`"


class Size(NamedTuple):
    """Pixels of an image."""

    width: int
    height: int


def canonical_png(text: str) -> str:
    """Return the base64 text of a PNG without line breaks. Raises ValueError with the reason."""
    packed = "".join(text.split())
    # Checked before decoding, so that a huge text costs nothing.
    if len(packed) * 3 // 4 > MAX_BYTES + 3:
        raise ValueError(_size_problem(len(packed) * 3 // 4))
    try:
        raw = b64decode(packed, validate=True)
    except (Error, ValueError):
        raise ValueError(f"is not base64 text; {_REMEDY}") from None
    if len(raw) > MAX_BYTES:
        raise ValueError(_size_problem(len(raw)))
    size = png_size(raw)
    if max(size) > MAX_SIDE:
        raise ValueError(f"has {size.width} × {size.height} pixels; use at most {MAX_SIDE} × {MAX_SIDE}")
    return b64encode(raw).decode()


def png_size(raw: bytes) -> Size:
    """Return the size of a PNG whose chunks are complete. Raises ValueError with the reason."""
    if not raw.startswith(_SIGNATURE):
        raise ValueError(f"is not a PNG image; {_REMEDY}")
    place, size, has_pixels = len(_SIGNATURE), Size(0, 0), False
    while place + _FRAME <= len(raw):
        length = int.from_bytes(raw[place : place + 4], "big")
        end = place + _FRAME + length
        kind, checksum = raw[place + 4 : place + 8], raw[end - 4 : end]
        if end > len(raw) or crc32(raw[place + 4 : end - 4]) != int.from_bytes(checksum, "big"):
            break
        if place == len(_SIGNATURE):
            if kind != b"IHDR" or length != 13:  # RFC 2083, 4.1.1
                break
            size = Size(*[int.from_bytes(raw[place + at : place + at + 4], "big") for at in (8, 12)])
        has_pixels = has_pixels or kind == b"IDAT"
        place = end
        if kind == b"IEND":
            if place == len(raw) and has_pixels and min(size) > 0:
                return size
            break
    raise ValueError("is a damaged PNG image; export it again")


def png_text(encoded: str) -> str:
    """Return a short text for a stored image, such as `PNG, 12 KB, fingerprint 1a2b3c4d`."""
    raw = b64decode(encoded)
    return f"PNG, {-(-len(raw) // 1000)} KB, fingerprint {sha256(raw).hexdigest()[:8]}"


def _size_problem(length: int) -> str:
    return f"has {-(-length // 1000)} KB; use an image of at most {MAX_BYTES // 1000} KB"
