"""The address of a Redis server, parsed from its URL.

An ambiguous URL, which programs read in different ways, is refused.
"""

import re
import ssl
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from pathlib import Path
from urllib.parse import quote, unquote

from msgspec import Struct
from msgspec.structs import replace

SCHEMES = ("redis", "rediss", "unix")
DEFAULT_PORT = 6379
# The longest name of a unix socket on Linux.
SOCKET_PATH_BYTES = 107
_DATABASE_MAX = 2**31 - 1

_URL = re.compile(r"([A-Za-z+]+)://(?:([^@/?#]*)@)?([^@/?#]*)(/[^?#]*)?(?:\?([^#]*))?", re.ASCII)
_HOST_PORT = re.compile(r"(\[[^\[\]]*\]|[^\[\]:]*)(?::([0-9]*))?", re.ASCII)
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?", re.ASCII)
_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})", re.ASCII)
_ESCAPED = "write / ? # @ and % of a password as %2F %3F %23 %40 and %25"


class Endpoint(Struct, frozen=True, kw_only=True):
    """Address and login of a server: `path` of a unix socket, else `host` and `port`.

    `password_file` is read at each login, so a new password is used from the next connection on.
    """

    host: str | None = None
    port: int = DEFAULT_PORT
    path: str | None = None
    username: str | None = None
    password: str | None = None
    password_file: str | None = None
    db: int = 0
    tls: bool = False
    ca_file: str | None = None

    def context(self) -> ssl.SSLContext | None:
        """Return the TLS context of a rediss:// address, else None. Name and certificate are always checked."""
        return ssl.create_default_context(cafile=self.ca_file) if self.tls else None

    def login(self) -> tuple[str, ...]:
        """Return user and password, only the password, or nothing. Raises OSError or UnicodeError for the file."""
        password = self.password
        if self.password_file is not None:
            password = read_password(Path(self.password_file))
        if self.username is not None:
            return self.username, password or ""
        return (password,) if password else ()

    def __str__(self) -> str:
        """Return the address without the password."""
        if self.path is not None:
            return f"unix://{quote(self.path)}"
        host = f"[{quote(self.host, safe=':')}]" if self.host and ":" in self.host else self.host
        return f"{'rediss' if self.tls else 'redis'}://{host}:{self.port}/{self.db}"

    def __repr__(self) -> str:
        return f"Endpoint({self})"


def read_password(file: Path) -> str:
    """Return the password in a file: its text without the line end."""
    return file.read_text(encoding="utf-8").rstrip("\r\n")


def endpoint(url: str, *, password: str | None = None, password_file: str | None = None) -> Endpoint:
    """Parse a URL. `password` or `password_file` replaces the password in it.

    Raises ValueError with the reason, as a predicate: "has more than one @".
    """
    scheme, _, rest = url.partition("://")
    if scheme.lower() not in SCHEMES:
        raise ValueError("must start with redis://, rediss:// or unix://")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("has a space, a control character or a character outside ASCII; percent-encode it, as in %20")
    if "#" in rest:
        raise ValueError("has a part after #; write that character as %23")
    found = _URL.fullmatch(url)
    if found is None:
        raise ValueError(f"has more than one @; {_ESCAPED}")
    _, user, place, path, query = found.groups()
    if "@" in f"{path}{query}":
        raise ValueError(f"has an @ after the host; {_ESCAPED}")
    allowed = ("db", "ssl_ca_certs") if scheme.lower() == "rediss" else ("db",)
    options = _options(query or "", allowed)
    login = _login(user)
    if password or password_file:
        login = replace(login, password=password, password_file=password_file)
    if scheme.lower() == "unix":
        return replace(login, path=_socket(place, path or ""), db=_database(options.get("db", "0")))
    host, port = _host_and_port(place)
    return replace(
        login,
        host=host,
        port=port,
        db=_choose_database(path or "", options),
        tls=scheme.lower() == "rediss",
        ca_file=options.get("ssl_ca_certs"),
    )


def _decode(text: str, what: str) -> str:
    if _PERCENT.search(text):
        raise ValueError(f"has a % in its {what} without two hex digits after it; {_ESCAPED}")
    try:
        decoded = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise ValueError(f"has a {what} that does not decode to UTF-8") from None
    if "\0" in decoded:
        raise ValueError(f"has a NUL in its {what}")
    return decoded


def _options(query: str, allowed: tuple[str, ...]) -> dict[str, str]:
    options: dict[str, str] = {}
    for item in filter(None, query.split("&")):
        name, _, text = item.partition("=")
        if name not in allowed:
            raise ValueError(f"has the unknown option {name!r}; allowed: {', '.join(sorted(allowed))}")
        if name in options:
            raise ValueError(f"has the option {name!r} twice; write it once")
        if not text:
            raise ValueError(f"has the option {name!r} without a value; write one or omit the option")
        if "+" in text:
            raise ValueError(f"has a + in the option {name!r}, which some programs read as a space; write it as %2B")
        options[name] = _decode(text, f"option {name!r}")
    return options


def _login(user: str | None) -> Endpoint:
    name, colon, password = (user or "").partition(":")
    return Endpoint(
        username=_decode(name, "user name") or None,
        password=(_decode(password, "password") or None) if colon else None,
    )


def _socket(place: str, path: str) -> str:
    name = _decode(path, "path")
    if place or len(name) < 2:
        raise ValueError("must have the absolute path of a socket, as in unix:///run/redis/redis.sock")
    if len(name.encode()) > SOCKET_PATH_BYTES:
        raise ValueError(f"names a socket path of more than {SOCKET_PATH_BYTES} bytes, which is too long")
    return name


def _host_and_port(place: str) -> tuple[str, int]:
    found = _HOST_PORT.fullmatch(place)
    if found is None:
        if place.startswith("[") or place.count(":") > 1:
            raise ValueError("has a host that cannot be read; write IPv6 as [::1]")
        raise ValueError(f"has no usable port; it must be a number from 1 to 65535; {_ESCAPED}")
    host, port = found.groups()
    if not host:
        raise ValueError("has no host; write redis://127.0.0.1:6379/0")
    number = int(port) if port and len(port) < 10 else DEFAULT_PORT if not port else 0
    if not 1 <= number <= 65535:
        raise ValueError("has no usable port; it must be a number from 1 to 65535")
    return _ipv6(host[1:-1]) if host.startswith("[") else _name(host), number


def _ipv6(text: str) -> str:
    try:
        return str(IPv6Address(_decode(text, "host")))
    except AddressValueError:
        raise ValueError("has a host that cannot be read; write IPv6 as [::1]") from None


def _name(host: str) -> str:
    labels = host.removesuffix(".").split(".")
    if len(host) > 253 or not all(map(_LABEL.fullmatch, labels)):
        raise ValueError("has a host that is neither a name nor an address; write redis://127.0.0.1:6379/0")
    if labels[-1].isdigit() or re.fullmatch("0[xX][0-9a-fA-F]*", labels[-1]):
        # Systems read 127.1 and 0x7f.1 as different addresses.
        try:
            return str(IPv4Address(host))
        except AddressValueError:
            raise ValueError("has an IPv4 address that is not four numbers from 0 to 255") from None
    return host.lower()


def _choose_database(path: str, options: dict[str, str]) -> int:
    """Return the database, which is in the path or in an option."""
    by_option = None if "db" not in options else _database(options["db"])
    if path in ("", "/"):
        return by_option or 0
    by_path = _database(path[1:])
    if by_option not in (None, by_path):
        raise ValueError(f"has the database {by_path} and the database {by_option}; write one of them")
    return by_path


def _database(text: str) -> int:
    if not re.fullmatch("[0-9]{1,10}", text, re.ASCII) or int(text) > _DATABASE_MAX:
        raise ValueError(f"has the database {text!r}; it must be a whole number, as in /0")
    return int(text)
