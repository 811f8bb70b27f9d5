"""Companies and taxes for tests: valid identifiers, and a small PNG."""

import struct
import zlib
from base64 import b64encode
from typing import Any


def png(width: int = 2, height: int = 1, padding: int = 0) -> bytes:
    """A grey image. `padding`: bytes of a chunk that every program ignores."""
    pixels = zlib.compress((b"\x00" + b"\x80" * width) * height)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))]
    if padding:
        chunks.append((b"teST", bytes(padding)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(map(chunk, [*chunks, (b"IDAT", pixels), (b"IEND", b"")]))


def chunk(one: tuple[bytes, bytes]) -> bytes:
    kind, data = one
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


LOGO = b64encode(png()).decode()
#: Every field, in the form in which it is stored.
SELLER: dict[str, Any] = {
    "name": "Kontor GmbH",
    "address": ["Hafenstraße 1", "Hof 2"],
    "postal_code": "20457",
    "city": "Hamburg",
    "country": "DE",
    "tax_id": "DE136695976",
    "registration": "HRB 1234, Amtsgericht Hamburg",
    "email": "billing@kontor.example",
    "phone": "+49 40 123456",
    "iban": "DE89370400440532013000",
    "bic": "COBADEFFXXX",
    "footer": "Managing director: A. Kontor\nVielen Dank!",
    "logo": LOGO,
    "payment_terms_days": 14,
    "locale": "de",
}
BILLING: dict[str, Any] = {
    "legal_name": "Acme Incorporated",
    "address": ["1 Main Street"],
    "postal_code": "75001",
    "city": "Paris",
    "country": "FR",
    "tax_id": "FR40303265045",
    "purchase_order": "PO-77",
    "email": "ap@acme.com",
    "payment_terms_days": 60,
    "tax": "vat",
    "locale": "fr",
}
TAX: dict[str, Any] = {"name": "VAT 19%", "rate": "19", "category": "S", "note": "Umsatzsteuer"}
