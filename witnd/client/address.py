"""Validate the server's URL and the token before requests are sent."""

import re
from typing import NamedTuple
from urllib.parse import urlsplit

from witnd import __version__

_TOKEN = re.compile(r"[\x21-\x7e]+")


class Address(NamedTuple):
    """The server's address. `prefix` is the path before `/v1`, if a gateway adds one."""

    tls: bool
    host: str
    port: int
    prefix: str

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}{self.prefix}"


def address(base_url: str) -> Address:
    """Parse a base URL. Raises ValueError with the reason."""
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("base_url: must be like https://billing.example.com or http://127.0.0.1:8700")
    if parts.username is not None or parts.password is not None:
        raise ValueError("base_url: must not contain credentials; pass the token as `token`")
    if parts.query or parts.fragment:
        raise ValueError("base_url: must not contain ? or #")
    if not parts.path.isascii() or any(letter <= " " for letter in parts.path):
        raise ValueError("base_url: percent-encode non-ASCII characters of the path")
    tls = parts.scheme == "https"
    prefix = parts.path.rstrip("/").removesuffix("/v1")
    return Address(tls, parts.hostname, parts.port or (443 if tls else 80), prefix)


def headers(token: str) -> dict[str, str]:
    """Return the headers of every request. Raises ValueError, without the token in its message."""
    if not _TOKEN.fullmatch(token):
        raise ValueError("token: must be the text that `witnd tokens create` printed, without spaces or line ends")
    return {
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/json",
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": f"witnd-client/{__version__}",
    }
