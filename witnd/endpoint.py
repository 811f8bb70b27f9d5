"""The address of a Redis server, read from its URL. Clients are made in `store.connection`."""

import ssl
from urllib.parse import parse_qsl, unquote, urlsplit

from msgspec import Struct
from msgspec.structs import replace

SCHEMES = ("redis", "rediss", "unix")
DEFAULT_PORT = 6379


class Endpoint(Struct, frozen=True, kw_only=True):
    """Where a server is and how to log in: `path` of a unix socket, else `host` and `port`."""

    host: str | None = None
    port: int = DEFAULT_PORT
    path: str | None = None
    username: str | None = None
    password: str | None = None
    db: int = 0
    tls: bool = False
    ca_file: str | None = None

    def context(self) -> ssl.SSLContext | None:
        """The TLS context of a rediss:// address; name and certificate are always checked."""
        return ssl.create_default_context(cafile=self.ca_file) if self.tls else None

    def __str__(self) -> str:
        """The address for people: never the password."""
        if self.path is not None:
            return f"unix://{self.path}"
        host = f"[{self.host}]" if self.host and ":" in self.host else self.host
        return f"{'rediss' if self.tls else 'redis'}://{host}:{self.port}/{self.db}"

    def __repr__(self) -> str:
        return f"Endpoint({self})"


def endpoint(url: str, *, password: str | None = None) -> Endpoint:
    """The parts of `url`; `password` replaces the one inside. Raises ValueError with the reason."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError("has a host that cannot be read; write IPv6 as [::1]") from None
    if parts.scheme not in SCHEMES:
        raise ValueError("must start with redis://, rediss:// or unix://")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    allowed = {"db", "ssl_ca_certs"} if parts.scheme == "rediss" else {"db"}
    if unknown := sorted(options.keys() - allowed):
        raise ValueError(f"has the unknown option {unknown[0]!r}; possible here: {', '.join(sorted(allowed))}")
    if parts.fragment:
        raise ValueError("has a part after #; write that character as %23")
    login = Endpoint(
        username=unquote(parts.username) if parts.username else None,
        password=password or (unquote(parts.password) if parts.password else None),
        db=_database(options.get("db", "")),
    )
    if parts.scheme == "unix":
        if parts.hostname or not parts.path.startswith("/"):
            raise ValueError("must name the socket absolutely, as in unix:///run/redis/redis.sock")
        return replace(login, path=unquote(parts.path))
    if not parts.hostname:
        raise ValueError("names no host; write redis://127.0.0.1:6379/0")
    return replace(
        login,
        host=parts.hostname,
        port=_port(parts.netloc) or DEFAULT_PORT,
        db=login.db if "db" in options else _database(parts.path.strip("/")),
        tls=parts.scheme == "rediss",
        ca_file=options.get("ssl_ca_certs"),
    )


def _port(netloc: str) -> int | None:
    try:
        port = urlsplit("//" + netloc).port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError("has no usable port; it must be a number from 1 to 65535")
    return port


def _database(text: str) -> int:
    if text and not (text.isascii() and text.isdigit()):
        raise ValueError(f"has the database {text!r}; it must be a whole number, as in /0")
    return int(text or 0)
