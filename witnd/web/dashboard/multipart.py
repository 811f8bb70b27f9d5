"""Read a posted form of the type multipart/form-data (RFC 7578), which browsers send for forms with files."""

import re
from typing import Final, NamedTuple
from urllib.parse import unquote

MULTIPART: Final = "multipart/form-data"
_BOUNDARY: Final = re.compile(r';\s*boundary="?([\w\'()+,./:=? -]{1,70}?)"?\s*(?:;|$)', re.ASCII)
_NAME: Final = re.compile(r';\s*name="([^"]*)"')
_FILENAME: Final = re.compile(r';\s*filename="([^"]*)"')
_DISPOSITION: Final = "content-disposition:"


class Posted(NamedTuple):
    """The fields of a form in their order, and its files by field. Fields for files without a file are left out."""

    fields: list[tuple[str, str]]
    files: dict[str, bytes]


def read_multipart(data: bytes, content_type: str, most: int) -> Posted:
    """Return the parts of a form, at most `most`. Raises ValueError if it is malformed."""
    boundary = _BOUNDARY.search(content_type)
    if boundary is None:
        raise ValueError("no boundary")
    _, *parts = (b"\r\n" + data).split(b"\r\n--" + boundary[1].encode(), most + 1)
    if not parts or not parts[-1].startswith(b"--"):
        raise ValueError("incomplete, or too many parts")
    found = Posted([], {})
    for part in parts[:-1]:
        head, blank, content = part.partition(b"\r\n\r\n")
        if not blank:
            raise ValueError("a part without an end of its headers")
        name, is_file, is_empty = _described(head.decode(), content)
        if not is_file:
            found.fields.append((name, content.decode()))
        elif not is_empty:
            found.files[name] = content
    return found


def _described(head: str, content: bytes) -> tuple[str, bool, bool]:
    """Return the field of a part, whether it is a file, and whether no file was chosen."""
    line = next((line for line in head.split("\r\n") if line.lower().startswith(_DISPOSITION)), "")
    name, filename = _NAME.search(line), _FILENAME.search(line)
    if name is None:
        raise ValueError("a part without a name")
    is_empty = filename is not None and not filename[1] and not content
    # Browsers escape quotes and line breaks in names with %.
    return unquote(name[1]), filename is not None, is_empty
