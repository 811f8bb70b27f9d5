"""Creates Redis clients, and maps their failures to `store.errors`.

redis-py repeats failed commands, which doubles a write whose reply was lost. All clients have this switched off: only
the caller can decide what may be repeated.
"""

import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.driver_info import DriverInfo

from witnd.endpoint import Endpoint, endpoint
from witnd.store.errors import Loading, Moving, StoreRefused, StoreUnavailable, Unsafe
from witnd.store.server.cancellation import cancellable
from witnd.store.server.login import Credentials, login_refusal
from witnd.store.server.pool import WaitingPool

__all__ = ["Endpoint", "connect", "endpoint", "redis_errors", "refusal", "server_error"]

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 5.0
IDLE_CHECK_SECONDS = 15
# For the client of one command or test. A daemon's limits are in `clients`.
CONNECTIONS = 32

# Reason and remedy for servers that redis.url does not describe.
CLUSTER = (
    "it is a node of a Redis Cluster (cluster-enabled yes), but redis.url is the address of a single server",
    "write redis+cluster://host:port,host:port in redis.url",
)
NOT_A_CLUSTER = (
    "is not a node of a cluster (cluster-enabled no)",
    "write redis://host:port in redis.url, or the addresses of cluster nodes",
)
SENTINEL = (
    "it is a Redis Sentinel, which stores no data",
    "write redis+sentinel://host:port/NAME in redis.url, with the name of the primary",
)
NOT_A_SENTINEL = (
    "is not a Redis Sentinel",
    "write the addresses of Sentinels (usually port 26379) in redis.url, or redis://host:port for a single server",
)

# Reason and remedy for replies to commands that were not executed, by the first word of the reply.
_REFUSALS = {
    "READONLY": ("Redis is a read-only replica", "point redis.url at the primary"),
    "OOM": ("Redis is at its memory limit", "raise maxmemory or free memory on the server"),
    "MISCONF": (
        "Redis cannot write to its disk",
        "free space or repair the disk; the server's log has the reason",
    ),
    "LOADING": ("Redis is still loading its data", "wait until it has finished"),
    "BUSY": ("Redis is busy with a long script", "wait, or end the script with SCRIPT KILL"),
    "NOAUTH": ("Redis requires authentication", "set a password in redis.url or redis.password_file"),
    "WRONGPASS": (
        "Redis does not accept the user or password",
        "correct redis.url or redis.password_file",
    ),
    "NOPERM": ("the Redis user lacks a permission", "grant it the commands and keys that the documentation lists"),
    "MAXCLIENTS": ("Redis accepts no more clients", "raise maxclients on the server"),
    "DATABASE": (
        "Redis has no database with this number",
        "use a lower number in redis.url, or raise `databases` on the server",
    ),
    "CLUSTERDOWN": ("the Redis cluster is down", "restore its missing nodes or slots"),
    "MASTERDOWN": ("Redis is a replica without its primary", "point redis.url at the primary"),
    "NOREPLICAS": ("Redis has too few replicas to accept writes", "restore its replicas"),
    "TRYAGAIN": ("the Redis cluster is moving this slot", "wait until it has finished"),
    "MOVED": ("this cluster node does not own the slot", "retry: witnd looks up the node that does"),
    "UNBLOCKED": ("Redis ended a blocked read, because its role changed", "wait until it is a primary again"),
    "ASK": ("the Redis cluster is moving this slot", "wait until it has finished"),
}

# Errors that mean: another server is the primary of this slot, now or soon.
REROUTES: Final = frozenset(("MOVED", "ASK", "TRYAGAIN", "READONLY", "CLUSTERDOWN", "MASTERDOWN", "UNBLOCKED"))

# Replies with the general first word ERR: part of the text, and the word it means.
_TEXTS = (
    ("max number of clients", "MAXCLIENTS"),
    ("DB index is out of range", "DATABASE"),
    ("invalid DB index", "DATABASE"),
)
# Created once: without it, redis-py reads the metadata of its package for each connection.
_DRIVER: Final = DriverInfo()
_IN_PIPELINE = re.compile(r""" of pipeline caused error: \((['"])(.*)\1,\)$""", re.DOTALL)
_WRONG_TYPE_IN_PIPELINE = re.compile(
    r"Command # \d+ \([A-Z]+ (\S+).*\) of pipeline caused error: .*holding the wrong kind of value", re.DOTALL
)
_NO_ANSWER = (exceptions.ConnectionError, exceptions.TimeoutError, exceptions.InvalidResponse)


def connect(
    server: str | Endpoint,
    *,
    password: str | None = None,
    connections: int = CONNECTIONS,
    work: str = "this command",
    on_connect: Callable[[AbstractConnection], Awaitable[None]] | None = None,
) -> Redis:
    """Return a client of one server for calls that do not block. It connects at its first call; the caller must
    `aclose()` it.

    At most `connections` calls run at the same time. Others wait up to 5 s and are then refused; `work` names the calls
    in that message. `on_connect` replaces the login of a new connection.
    """
    if isinstance(server, str):
        server = endpoint(server, password=password)
    pool = WaitingPool(
        work=work,
        max_connections=connections,
        **_address(server),
        explain=partial(_login_refusal, server),
        credential_provider=Credentials(server) if _logs_in(server) else None,
        db=server.db,
        retry=Retry(NoBackoff(), 0),
        retry_on_error=[],
        driver_info=_DRIVER,
        protocol=2,  # RESP3 replies have other shapes
        socket_timeout=ANSWER_SECONDS,
        health_check_interval=IDLE_CHECK_SECONDS,
        decode_responses=False,
        redis_connect_func=on_connect,
    )
    return Redis.from_pool(pool)


def _logs_in(server: Endpoint) -> bool:
    return not server.username is server.password is server.password_file is None


def _login_refusal(server: Endpoint, error: exceptions.RedisError) -> StoreRefused | None:
    return next(
        (refused for reply in _error_texts(error) if (refused := login_refusal(server, reply)) is not None), None
    )


def _address(server: Endpoint) -> dict[str, Any]:
    if server.path is not None:
        return {"connection_class": UnixDomainSocketConnection, "path": server.path}
    tcp = {
        "connection_class": Connection,
        "host": server.host or "localhost",
        "port": server.port,
        "socket_connect_timeout": CONNECT_SECONDS,
    }
    return {**tcp, "connection_class": SSLConnection, "ssl_ca_certs": server.ca_file} if server.tls else tcp


@contextmanager
def redis_errors() -> Iterator[None]:
    """Map errors of redis-py inside the block: raise `StoreUnavailable` (result unknown), `StoreRefused` (not done) or
    `Unsafe` (see `server_error`).

    Of a pipeline without a transaction, a refusal speaks for the refused command only.
    """
    try:
        with cancellable():
            yield
    except exceptions.RedisError as error:
        for reply in _error_texts(error):
            if (refused := refusal(reply)) is not None:
                raise refused from error
        if isinstance(error, _NO_ANSWER):
            raise StoreUnavailable(f"no answer from Redis: {error}") from error
        if isinstance(error, exceptions.ResponseError):
            raise server_error(
                str(error) if _WRONG_TYPE_IN_PIPELINE.match(str(error)) else _error_text(error)
            ) from error
        raise


def refusal(reply: str) -> StoreRefused | None:
    """Return the refusal for an error reply that means nothing was done, or None for other errors."""
    word, _, rest = reply.partition(" ")
    if word == "ERR":
        word = next((meaning for text, meaning in _TEXTS if text in rest), "")
    if word not in _REFUSALS:
        return None
    reason, remedy = _REFUSALS[word]
    kind = Moving if word in REROUTES else Loading if word == "LOADING" else StoreRefused
    return kind(f"{reason} ({rest})", remedy)


def is_permission(refused: StoreRefused) -> bool:
    """Return whether a refusal means that the Redis user lacks a permission."""
    return refused.remedy == _REFUSALS["NOPERM"][1]


def server_error(reply: str) -> Unsafe:
    """Return the error for a reply that a working server never gives to witnd's commands."""
    if "SELECT is not allowed in cluster mode" in reply:
        return Unsafe(*CLUSTER)
    if "unknown command 'SELECT'" in reply:
        return Unsafe(*SENTINEL)
    if "unknown command" in reply or "nknown subcommand" in reply or "unknown Redis command" in reply:
        return Unsafe(
            f"Redis does not support a command that witnd needs ({reply})",
            "use Redis or Valkey 7.0 or later, and do not rename commands",
        )
    if found := _WRONG_TYPE_IN_PIPELINE.match(reply):
        return Unsafe(
            f"the key {found[1]} holds another type of data than witnd writes there",
            "another program changed it: restore it from a backup, or choose another redis.prefix",
        )
    return Unsafe(
        f"Redis answers with an error: {reply}",
        "check the keys with witnd's prefix; another program may have changed one of them",
    )


def _error_texts(error: exceptions.RedisError) -> Iterator[str]:
    """Yield the reply in the error and in its causes. redis-py wraps a failed login in a connection error."""
    inner: BaseException | None = error
    while isinstance(inner, exceptions.RedisError):
        yield _error_text(inner)
        inner = inner.__cause__


def _error_text(error: exceptions.RedisError) -> str:
    """Return the original reply. redis-py removes its first word, and a pipeline puts the command in front."""
    found = _IN_PIPELINE.search(str(error))
    text = found[2] if found else str(error)
    code = getattr(error, "status_code", None)
    return f"{code} {text}" if code and not text.startswith(code) else text
