"""Clients for Redis, and what their failures mean in the words of `store.errors`.

redis-py repeats failed commands by itself, which doubles writes whose reply was lost. Every client
made here has that switched off: retries belong to the caller, who knows what may be repeated.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.driver_info import DriverInfo

from witnd.endpoint import Endpoint, endpoint
from witnd.store.errors import StoreRefused, StoreUnavailable, Unsafe
from witnd.store.server.cancellation import cancellable
from witnd.store.server.login import Credentials, login_refusal
from witnd.store.server.pool import WaitingPool

__all__ = ["Endpoint", "connect", "endpoint", "redis_errors", "refusal", "server_error"]

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 5.0
IDLE_CHECK_SECONDS = 15
# Of a client that only one command or test uses; a daemon's shares are in `clients`.
CONNECTIONS = 32

# Servers that witnd cannot work with: reason and remedy.
CLUSTER = (
    "it is a node of a Redis Cluster (cluster-enabled yes), which witnd does not support",
    "point redis.url at a server with `cluster-enabled no`",
)
SENTINEL = ("it is a Redis Sentinel, which keeps no data", "point redis.url at the primary itself")

# What a server says when it did not execute a command, by the first word of its reply.
_REFUSALS = {
    "READONLY": ("Redis is a read-only replica", "point redis.url at the primary"),
    "OOM": ("Redis is at its memory limit", "raise maxmemory or free memory on the server"),
    "MISCONF": (
        "Redis cannot write to its disk",
        "free space or mend the disk; its log has the reason",
    ),
    "LOADING": ("Redis is still loading its data", "wait until it has finished"),
    "BUSY": ("Redis is busy with a long script", "wait, or end the script with SCRIPT KILL"),
    "NOAUTH": ("Redis requires authentication", "set a password in redis.url or redis.password_file"),
    "WRONGPASS": (
        "Redis does not accept the user or password",
        "correct redis.url or redis.password_file",
    ),
    "NOPERM": ("the Redis user may not do this", "give it the commands and keys that docs name"),
    "MAXCLIENTS": ("Redis accepts no more clients", "raise maxclients on the server"),
    "DATABASE": (
        "Redis has no database with this number",
        "choose another in redis.url, or raise `databases` on the server",
    ),
    "CLUSTERDOWN": ("the Redis cluster is down", "bring its missing nodes or slots back"),
    "MASTERDOWN": ("Redis is a replica without its primary", "point redis.url at the primary"),
    "NOREPLICAS": ("Redis has too few replicas to accept writes", "bring its replicas back"),
    "TRYAGAIN": ("the Redis cluster is moving this slot", "wait until it has finished"),
    "MOVED": ("this cluster node does not own the slot", "name a node that does in redis.url"),
    "UNBLOCKED": ("Redis ended a waiting read, since it changed its role", "wait until it is back"),
    "ASK": ("the Redis cluster is moving this slot", "wait until it has finished"),
}

# Replies whose first word says nothing.
_TEXTS = (
    ("max number of clients", "MAXCLIENTS"),
    ("DB index is out of range", "DATABASE"),
    ("invalid DB index", "DATABASE"),
)
# Made once: redis-py reads the metadata of its package for each connection that has none.
_DRIVER: Final = DriverInfo()
_IN_PIPELINE = re.compile(r""" of pipeline caused error: \((['"])(.*)\1,\)$""", re.DOTALL)
_WRONG_TYPE_IN_PIPELINE = re.compile(
    r"Command # \d+ \([A-Z]+ (\S+).*\) of pipeline caused error: .*holding the wrong kind of value", re.DOTALL
)
_NO_ANSWER = (exceptions.ConnectionError, exceptions.TimeoutError, exceptions.InvalidResponse)


def connect(
    server: str | Endpoint, *, password: str | None = None, connections: int = CONNECTIONS, work: str = "this command"
) -> Redis:
    """A client for calls that answer at once. It connects at its first call; `aclose()` it.

    At most `connections` calls are under way, the others wait for up to 5 s; `work` names them in the refusal.
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
        protocol=2,  # the reply shapes of RESP3 differ; one shape, whatever the server offers
        socket_timeout=ANSWER_SECONDS,
        health_check_interval=IDLE_CHECK_SECONDS,
        decode_responses=False,
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
    """Calls inside raise `StoreUnavailable` (result unknown), `StoreRefused` (not done) or `Unsafe` (see
    `server_error`).

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
    """What an error reply means where it means that nothing was done; None for every other."""
    word, _, rest = reply.partition(" ")
    if word == "ERR":
        word = next((meaning for text, meaning in _TEXTS if text in rest), "")
    if word not in _REFUSALS:
        return None
    reason, remedy = _REFUSALS[word]
    return StoreRefused(f"{reason} ({rest})", remedy)


def server_error(reply: str) -> Unsafe:
    """What an error reply means that no working server gives to witnd's commands."""
    if "SELECT is not allowed in cluster mode" in reply:
        return Unsafe(*CLUSTER)
    if "unknown command 'SELECT'" in reply:
        return Unsafe(*SENTINEL)
    if "unknown command" in reply or "nknown subcommand" in reply or "unknown Redis command" in reply:
        return Unsafe(
            f"Redis does not have a command that witnd needs ({reply})",
            "use Redis or Valkey from 7.0 on, with no command renamed",
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
    """The server's words in the error and in its causes: a login that failed comes wrapped as a failure to connect."""
    inner: BaseException | None = error
    while isinstance(inner, exceptions.RedisError):
        yield _error_text(inner)
        inner = inner.__cause__


def _error_text(error: exceptions.RedisError) -> str:
    """The server's words: redis-py cuts the first one off, a pipeline puts its command in front."""
    found = _IN_PIPELINE.search(str(error))
    text = found[2] if found else str(error)
    code = getattr(error, "status_code", None)
    return f"{code} {text}" if code and not text.startswith(code) else text
