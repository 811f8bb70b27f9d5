"""Where the server is and how to log in, checked before anything is sent."""

import re
from typing import NamedTuple
from urllib.parse import urlsplit

from witnd import __version__

_TOKEN = re.compile(r"[\x21-\x7e]+")


class Address(NamedTuple):
    """`prefix` is the path before `/v1`, where a gateway serves witnd under one."""

    tls: bool
    host: str
    port: int
    prefix: str

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}{self.prefix}"


def address(base_url: str) -> Address:
    """Raises ValueError with the reason."""
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("base_url: must be like https://billing.example.com or http://127.0.0.1:8700")
    if parts.username is not None or parts.password is not None:
        raise ValueError("base_url: holds a login; give the token as `token` instead")
    if parts.query or parts.fragment:
        raise ValueError("base_url: must end before ? and #")
    if not parts.path.isascii() or any(letter <= " " for letter in parts.path):
        raise ValueError("base_url: percent-encode what is not ASCII in its path")
    tls = parts.scheme == "https"
    prefix = parts.path.rstrip("/").removesuffix("/v1")
    return Address(tls, parts.hostname, parts.port or (443 if tls else 80), prefix)


def headers(token: str) -> dict[str, str]:
    """What goes with every request. The text of a mistake never holds the token."""
    if not _TOKEN.fullmatch(token):
        raise ValueError("token: must be the text that `witnd tokens create` printed, without spaces or line ends")
    return {
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/json",
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": f"witnd-client/{__version__}",
    }
