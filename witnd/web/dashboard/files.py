"""Style, script and icon of the pages. Their addresses change with their content, so browsers may keep them."""

from hashlib import sha256
from pathlib import Path
from typing import Final

from msgspec import Struct

_FILES: Final = Path(__file__).parent.parent / "static"
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class File(Struct, frozen=True):
    content: bytes
    content_type: str


def _read() -> tuple[dict[str, str], dict[str, File]]:
    addresses: dict[str, str] = {}
    files: dict[str, File] = {}
    for path in sorted(_FILES.iterdir()):
        content = path.read_bytes()
        name = f"{path.stem}.{sha256(content).hexdigest()[:12]}{path.suffix}"
        addresses[path.name] = f"/dashboard/static/{name}"
        files[name] = File(content, _TYPES[path.suffix])
    return addresses, files


_ADDRESSES, FILES = _read()


def address(name: str) -> str:
    """Where a file is: `style.css` is at `/dashboard/static/style.0a1b2c3d4e5f.css`."""
    return _ADDRESSES[name]
