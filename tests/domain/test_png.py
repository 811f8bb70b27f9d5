"""Logos: which base64 text is a PNG that documents can show."""

from base64 import b64encode

import pytest

from tests.support.companies import LOGO, chunk, png
from witnd.domain.values.png import MAX_BYTES, MAX_SIDE, canonical_png, png_size, png_text


def encoded(raw: bytes) -> str:
    return b64encode(raw).decode()


def test_line_breaks_in_base64_text_are_removed() -> None:
    text = "\n".join(LOGO[at : at + 20] for at in range(0, len(LOGO), 20))
    assert canonical_png(f"\n  {text}\n") == LOGO
    assert png_size(png(7, 3)) == (7, 3)
    assert png_text(LOGO).startswith("PNG, 1 KB, fingerprint ")


def test_the_largest_image_has_exactly_200_kb() -> None:
    spare = MAX_BYTES - len(png(padding=1)) + 1
    assert len(png(padding=spare)) == MAX_BYTES == 200_000
    largest = encoded(png(padding=spare))
    assert canonical_png(largest) == largest
    with pytest.raises(ValueError, match=r"^has 201 KB; use an image of at most 200 KB$"):
        canonical_png(encoded(png(padding=spare + 1)))
    with pytest.raises(ValueError, match=r"^has 300 KB; use an image of at most 200 KB$"):
        canonical_png(encoded(bytes(300_000)))


def test_an_image_with_too_many_pixels_is_refused() -> None:
    assert canonical_png(encoded(png(width=MAX_SIDE)))
    with pytest.raises(ValueError, match=r"^has 4097 × 1 pixels; use at most 4096 × 4096$"):
        canonical_png(encoded(png(width=MAX_SIDE + 1)))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("not base64!", "is not base64 text"),
        ("é", "is not base64 text"),
        ("abc", "is not base64 text"),
        (encoded(b"GIF89a"), "is not a PNG image"),
        (encoded(b""), "is not a PNG image"),
        (encoded(png()[:-1]), "is a damaged PNG image"),
        (encoded(png() + b"\x00"), "is a damaged PNG image"),
        (encoded(png()[:20] + b"\x01" + png()[21:]), "is a damaged PNG image"),
        (encoded(png()[:8] + chunk((b"IEND", b""))), "is a damaged PNG image"),
        (encoded(png(width=0)), "is a damaged PNG image"),
    ],
)
def test_what_is_not_a_png_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{problem}"):
        canonical_png(text)
