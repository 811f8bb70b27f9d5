"""Clients for Redis, and what their failures mean in the words of `store.errors`.

redis-py repeats failed commands by itself, which doubles writes whose reply was lost. Every client
made here has that switched off: retries belong to the caller, who knows what may be repeated.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from witnd.endpoint import Endpoint, endpoint
from witnd.store.cancellation import cancellable
from witnd.store.errors import StoreRefused, StoreUnavailable
from witnd.store.pool import WaitingPool

__all__ = ["Endpoint", "blocking", "connect", "endpoint", "mapped", "refusal"]

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 5.0
# A blocking read answers at the latest when its block ends; what comes later is a lost connection.
BLOCK_MARGIN_SECONDS = 3.0
IDLE_CHECK_SECONDS = 15
# Of a client that only one command or test uses; a daemon's shares are in `clients`.
CONNECTIONS = 32

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
    "NOAUTH": ("Redis wants a password", "set it in redis.url or redis.password_file"),
    "WRONGPASS": (
        "Redis does not accept the user or password",
        "correct redis.url or redis.password_file",
    ),
    "NOPERM": ("the Redis user may not do this", "give it the commands and keys that docs name"),
    "CLUSTERDOWN": ("the Redis cluster is down", "bring its missing nodes or slots back"),
    "MASTERDOWN": ("Redis is a replica without its primary", "point redis.url at the primary"),
    "NOREPLICAS": ("Redis has too few replicas to accept writes", "bring its replicas back"),
    "TRYAGAIN": ("the Redis cluster is moving this slot", "wait until it has finished"),
    "MOVED": ("this cluster node does not own the slot", "name a node that does in redis.url"),
    "MAXCLIENTS": ("Redis accepts no more clients", "raise maxclients on the server"),
    "UNBLOCKED": ("Redis ended a waiting read, since it changed its role", "wait until it is back"),
    "ASK": ("the Redis cluster is moving this slot", "wait until it has finished"),
}

_IN_PIPELINE = re.compile(r""" of pipeline caused error: \((['"])(.*)\1,\)$""", re.DOTALL)
_NO_ANSWER = (exceptions.ConnectionError, exceptions.TimeoutError, exceptions.InvalidResponse)


def connect(
    server: str | Endpoint, *, password: str | None = None, connections: int = CONNECTIONS, work: str = "this command"
) -> Redis:
    """A client for calls that answer at once. It connects at its first call; `aclose()` it.

    At most `connections` calls are under way, the others wait for up to 5 s; `work` names them in the refusal.
    """
    return _client(_parsed(server, password), ANSWER_SECONDS, connections, work)


def blocking(server: str | Endpoint, *, block_seconds: float, password: str | None = None) -> Redis:
    """A client for reads that wait up to `block_seconds` in the server."""
    return _client(_parsed(server, password), block_seconds + BLOCK_MARGIN_SECONDS, CONNECTIONS, "waiting reads")


def _parsed(server: str | Endpoint, password: str | None) -> Endpoint:
    return endpoint(server, password=password) if isinstance(server, str) else server


def _client(server: Endpoint, answer_seconds: float, connections: int, work: str) -> Redis:
    pool = WaitingPool(
        work=work,
        max_connections=connections,
        **_address(server),
        username=server.username,
        password=server.password,
        db=server.db,
        retry=Retry(NoBackoff(), 0),
        retry_on_error=[],
        protocol=2,  # the reply shapes of RESP3 differ; one shape, whatever the server offers
        socket_timeout=answer_seconds,
        health_check_interval=IDLE_CHECK_SECONDS,
        decode_responses=False,
    )
    return Redis.from_pool(pool)


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
def mapped() -> Iterator[None]:
    """Calls inside raise `StoreUnavailable` (result unknown) or `StoreRefused` (not done).

    Other errors pass: a reply that is neither is a mistake in the program. Of a pipeline without a
    transaction, a refusal speaks for the refused command only.
    """
    try:
        with cancellable():
            yield
    except exceptions.RedisError as error:
        inner: BaseException | None = error
        while isinstance(inner, exceptions.RedisError):
            if (refused := refusal(_reply(inner))) is not None:
                raise refused from error
            inner = inner.__cause__  # a login that failed comes wrapped as a failure to connect
        if isinstance(error, _NO_ANSWER):
            raise StoreUnavailable(f"no answer from Redis: {error}") from error
        raise


def refusal(reply: str) -> StoreRefused | None:
    """What an error reply means where it means that nothing was done; None for every other."""
    word, _, rest = reply.partition(" ")
    if word == "ERR" and rest.startswith("max number of clients"):
        word = "MAXCLIENTS"
    if word not in _REFUSALS:
        return None
    reason, remedy = _REFUSALS[word]
    return StoreRefused(f"{reason} ({rest})", remedy)


def _reply(error: exceptions.RedisError) -> str:
    """The server's words: redis-py cuts the first one off, a pipeline puts its command in front."""
    found = _IN_PIPELINE.search(str(error))
    text = found[2] if found else str(error)
    code = getattr(error, "status_code", None)
    return f"{code} {text}" if code and not text.startswith(code) else text
