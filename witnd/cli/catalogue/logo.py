"""`logo_file` in a catalogue file: the path of a PNG, which commands read in place of the text in `logo`."""

import tomllib
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import tomli_w

from witnd.app.catalogue.apply import parse_file
from witnd.app.errors import all_invalid
from witnd.domain.values.fields import short_repr
from witnd.domain.values.mistake import Mistake
from witnd.domain.values.png import MAX_BYTES

LOGO_FILE: Final = "logo_file"
_PATH: Final = f"seller.{LOGO_FILE}"


def raw_with_logo(path: Path) -> bytes:
    """Return the content of a catalogue file, with the logo that it names. Raises Refused with every mistake if the
    logo cannot be read."""
    raw = path.read_bytes()
    try:
        document = tomllib.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return raw  # `parse_file` reports it
    found, mistakes = with_logo(document, path)
    if mistakes:
        raise all_invalid([*mistakes, *parse_file(tomli_w.dumps(found).encode()).mistakes])
    return raw if found is document else tomli_w.dumps(found).encode()


def with_logo(document: dict[str, Any], path: Path) -> tuple[dict[str, Any], list[Mistake]]:
    """Return a parsed catalogue file with the logo in place of its path, and the mistakes. A relative path is
    relative to the folder of the file."""
    seller = document.get("seller")
    if not isinstance(seller, Mapping) or LOGO_FILE not in seller:
        return document, []
    name, rest = seller[LOGO_FILE], {field: value for field, value in seller.items() if field != LOGO_FILE}
    found = {**document, "seller": rest}
    if not isinstance(name, str):
        return found, [Mistake(_PATH, f"must be text, got {short_repr(name)}; write the path of a PNG in quotes")]
    if "logo" in seller:
        return found, [Mistake(_PATH, "cannot be combined with logo; keep one of them")]
    try:
        with (path.parent / name).open("rb") as stream:
            image = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as wrong:
        reason = wrong.strerror if isinstance(wrong, OSError) and wrong.strerror else "the path is invalid"
        return found, [Mistake(_PATH, f"{short_repr(name)} cannot be read ({reason}); write the path of a PNG")]
    return {**document, "seller": {**rest, "logo": b64encode(image).decode()}}, []
