"""The address of a Redis server, of a cluster, or of Sentinels, parsed from its URL.

An ambiguous URL, which programs read in different ways, is refused.
"""

import re
import ssl
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from pathlib import Path
from typing import Final, Literal
from urllib.parse import quote, unquote

from msgspec import Struct
from msgspec.structs import replace

Mode = Literal["single", "cluster", "sentinel"]
Node = tuple[str, int]  # host and port

# Scheme → how the server is found, and whether it uses TLS.
SCHEMES: Final[dict[str, tuple[Mode, bool]]] = {
    "redis": ("single", False),
    "rediss": ("single", True),
    "unix": ("single", False),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
}
DEFAULT_PORT = 6379
SENTINEL_PORT = 26379
# The longest name of a unix socket on Linux.
SOCKET_PATH_BYTES = 107
_DATABASE_MAX = 2**31 - 1

_URL = re.compile(r"([A-Za-z+]+)://(?:([^@/?#]*)@)?([^@/?#]*)(/[^?#]*)?(?:\?([^#]*))?", re.ASCII)
_HOST_PORT = re.compile(r"(\[[^\[\]]*\]|[^\[\]:]*)(?::([0-9]*))?", re.ASCII)
_SERVICE = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?", re.ASCII)
_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})", re.ASCII)
_ESCAPED = "write / ? # @ and % of a password as %2F %3F %23 %40 and %25"


class SentinelLogin(Struct, frozen=True, kw_only=True):
    """Login and TLS of the Sentinels, which differ from those of the servers."""

    username: str | None = None
    password_file: str | None = None
    tls: bool = False


class Endpoint(Struct, frozen=True, kw_only=True):
    """Address and login of a server: `path` of a unix socket, else `host` and `port`.

    In the other modes, one of `nodes` reports the primary: nodes of a cluster, or Sentinels that watch the primary
    called `service`. `password_file` is read at each login, so a new password is used from the next connection
    on.
    """

    mode: Mode = "single"
    nodes: tuple[Node, ...] = ()
    service: str | None = None
    sentinels: SentinelLogin = SentinelLogin()
    is_sentinel: bool = False  # the address of one Sentinel
    is_routed: bool = False  # the address of one of several servers
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

    def server(self, node: Node) -> "Endpoint":
        """Return the endpoint of one server of a cluster, or behind Sentinels."""
        host, port = node
        return replace(self, mode="single", is_routed=True, nodes=(), service=None, host=host, port=port)

    def sentinel(self, node: Node) -> "Endpoint":
        """Return the endpoint of one Sentinel."""
        (host, port), login = node, self.sentinels
        return Endpoint(
            is_sentinel=True,
            host=host,
            port=port,
            username=login.username,
            password_file=login.password_file,
            tls=login.tls,
            ca_file=self.ca_file,
        )

    def __str__(self) -> str:
        """Return the address without the password."""
        if self.path is not None:
            return f"unix://{quote(self.path)}"
        scheme = "rediss" if self.tls else "redis"
        if self.mode == "cluster":
            return f"{scheme}+cluster://{','.join(map(node_text, self.nodes))}"
        if self.mode == "sentinel":
            return f"{scheme}+sentinel://{','.join(map(node_text, self.nodes))}/{self.service}/{self.db}"
        return f"{scheme}://{node_text((self.host or '', self.port))}/{self.db}"

    def __repr__(self) -> str:
        return f"Endpoint({self})"


def node_text(node: Node) -> str:
    """Return a host and port in the form of a URL."""
    host, port = node
    return f"[{quote(host, safe=':')}]:{port}" if ":" in host else f"{host}:{port}"


def read_password(file: Path) -> str:
    """Return the password in a file: its text without the line end."""
    return file.read_text(encoding="utf-8").rstrip("\r\n")


def endpoint(
    url: str,
    *,
    password: str | None = None,
    password_file: str | None = None,
    sentinels: SentinelLogin | None = None,
) -> Endpoint:
    """Parse a URL. `password` or `password_file` replaces the password in it. `sentinels`: how to log in there.

    Raises ValueError with the reason, as a predicate: "has more than one @".
    """
    scheme, _, rest = url.partition("://")
    if scheme.lower() not in SCHEMES:
        raise ValueError("must start with redis://, rediss://, unix://, redis+cluster:// or redis+sentinel://")
    mode, tls = SCHEMES[scheme.lower()]
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
    # In the URL of Sentinels, the database is part of the path; a cluster has only one.
    allowed = (*(("db",) if mode == "single" else ()), *(("ssl_ca_certs",) if tls else ()))
    options = _options(query or "", allowed)
    login = _login(user)
    if password or password_file:
        login = replace(login, password=password, password_file=password_file)
    if scheme.lower() == "unix":
        return replace(login, path=_socket(place, path or ""), db=_database(options.get("db", "0")))
    login = replace(login, tls=tls, ca_file=options.get("ssl_ca_certs"))
    if mode == "cluster":
        if path not in (None, "/"):
            raise ValueError(f"has the path {path!r}; a cluster has only database 0: remove the path")
        return replace(login, mode=mode, nodes=_nodes(place, DEFAULT_PORT))
    if mode == "sentinel":
        service, db = _service(path or "")
        login = replace(login, sentinels=sentinels or SentinelLogin())
        return replace(login, mode=mode, nodes=_nodes(place, SENTINEL_PORT), service=service, db=db)
    if "," in place and ":" in place.partition(",")[0]:
        raise ValueError("lists several hosts; write redis+cluster:// or redis+sentinel://, or only one host")
    host, port = _host_and_port(place)
    return replace(login, host=host, port=port, db=_choose_database(path or "", options))


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
            raise ValueError(f"has the unknown option {name!r}; allowed: {', '.join(sorted(allowed)) or 'none'}")
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


def _nodes(place: str, port: int) -> tuple[Node, ...]:
    """Return the hosts and ports of a list with commas."""
    found: list[Node] = []
    for text in place.split(","):
        if not text:
            raise ValueError("has an empty host in its list; write host:port,host:port")
        node = _host_and_port(text, port)
        if node in found:
            raise ValueError(f"lists {node_text(node)} twice; write each host once")
        found.append(node)
    return tuple(found)


def _service(path: str) -> tuple[str, int]:
    """Return the name of the primary and the database, from /NAME or /NAME/DB."""
    name, slash, database = path.removeprefix("/").partition("/")
    if not name:
        raise ValueError("has no name of the primary; write redis+sentinel://host:26379/NAME, as the Sentinels call it")
    if name.isdigit() and not slash:
        raise ValueError(f"has the database {name!r} instead of the primary's name; write /NAME/{name}")
    name = _decode(name, "name of the primary")
    if _SERVICE.fullmatch(name) is None:
        raise ValueError(f"has the name {name!r} of the primary; use a-z, A-Z, 0-9, dot, dash and underscore")
    return name, _database(database) if slash else 0


def _host_and_port(place: str, default: int = DEFAULT_PORT) -> Node:
    found = _HOST_PORT.fullmatch(place)
    if found is None:
        if place.startswith("[") or place.count(":") > 1:
            raise ValueError("has a host that cannot be read; write IPv6 as [::1]")
        raise ValueError(f"has no usable port; it must be a number from 1 to 65535; {_ESCAPED}")
    host, port = found.groups()
    if not host:
        raise ValueError("has no host; write redis://127.0.0.1:6379/0")
    number = int(port) if port and len(port) < 10 else default if not port else 0
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
