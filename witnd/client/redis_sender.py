"""Send events directly to Redis, without the API.

The daemon's reader checks each event first, because log entries cannot be removed. `redis` is imported at the first
use.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

from witnd.client.errors import Detail, NoAnswerError, NotSentError, ValidationError, WitndError
from witnd.client.event import Event, EventReceipt, event
from witnd.client.flow import BATCH_EVENTS, Retries
from witnd.domain.outcomes.event import Event as Usable
from witnd.domain.outcomes.event import Refusal, read
from witnd.domain.values.mistake import Mistake

if TYPE_CHECKING:
    from redis import Redis

# Errors of a server that is starting, full, or changing its role.
_TEMPORARY_ERRORS: Final = (
    "LOADING",
    "OOM",
    "MISCONF",
    "READONLY",
    "MASTERDOWN",
    "NOREPLICAS",
    "TRYAGAIN",
    "CLUSTERDOWN",
    "BUSY",
)


class RedisSender:
    """Appends events to the log. `server`: the URL of witnd's Redis, or a client of `redis`. Threads may share it.

    An event is accepted when the server has replied, with the durability of its `appendfsync` setting. The API can
    guarantee more with `redis.durability`.
    """

    def __init__(
        self, server: "str | Redis", *, prefix: str = "witn", timeout: float = 10.0, retries: Retries | None = None
    ) -> None:
        self._server = server
        self._prefix = prefix
        self._timeout = timeout
        self._retries = retries or Retries()
        if isinstance(server, str) and ("+cluster://" in server or "+sentinel://" in server):
            raise ValueError("server: pass a client in place of this address, such as redis.RedisCluster(host, port)")
        self._client: Redis | None = None if isinstance(server, str) else server
        self._partitions = 0
        self._connecting = Lock()

    def __repr__(self) -> str:
        return f"RedisSender(prefix={self._prefix!r})"

    def __enter__(self) -> "RedisSender":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections, unless you passed a client."""
        if isinstance(self._server, str) and self._client is not None:
            self._client.close()
            self._client = None

    def send(self, key: str, action: str, customer_key: str, **fields: Any) -> EventReceipt:
        """Append one event and return when it is in the log. `fields` are those of `Event`."""
        return self.send_batch([Event(key=key, action=action, customer_key=customer_key, **fields)])[0]

    def send_batch(self, events: Iterable[Event | Mapping[str, Any]]) -> list[EventReceipt]:
        """Append any number of events in order. Checks all before it sends any."""
        given = [event(one) for one in events]
        bodies = _valid_bodies(given)
        sent: list[EventReceipt | None] = [None] * len(given)
        try:
            for start in range(0, len(given), BATCH_EVENTS):
                self._send(range(start, min(start + BATCH_EVENTS, len(given))), given, bodies, sent)
        except WitndError as error:
            error.events = tuple(one for one, done in zip(given, sent, strict=True) if done is None)
            if isinstance(error, NotSentError):
                error.reasons += ("rejected",) * (len(error.events) - len(error.reasons))  # never sent
            raise
        return [one for one in sent if one is not None]

    def _send(
        self, places: Sequence[int], events: Sequence[Event], bodies: Sequence[bytes], sent: list[EventReceipt | None]
    ) -> None:
        from redis import exceptions  # noqa: PLC0415 - an optional dependency

        failures = 0
        while places:
            lost: WitndError
            try:
                replies = self._append([(events[place].key, bodies[place]) for place in places])
            except (exceptions.ConnectionError, exceptions.TimeoutError, OSError) as silent:
                lost = NoAnswerError(f"no response from Redis: {silent}")
            except exceptions.RedisError as refused_all:
                raise WitndError(f"Redis refuses: {refused_all}") from refused_all
            else:
                refused = []
                for place, (partition, reply) in zip(places, replies, strict=True):
                    if isinstance(reply, Exception):
                        refused.append((place, reply))
                    else:
                        id_ = reply.decode() if isinstance(reply, bytes) else str(reply)
                        key, identity = events[place].key, events[place].idempotency_key
                        sent[place] = EventReceipt(id=id_, partition=partition, key=key, idempotency_key=identity)
                places = [place for place, _ in refused]
                if not places:
                    return
                why = str(refused[0][1])
                lost = NotSentError([events[place] for place in places], ["rejected"] * len(places), why)
                if not all(_is_temporary(reply) for _, reply in refused):
                    raise lost
            failures += 1
            if self._retries.is_exhausted(failures, lost):
                raise lost
            time.sleep(self._retries.wait(failures, None))

    def _append(self, entries: Sequence[tuple[str, bytes]]) -> list[tuple[int, Any]]:
        """Return the partition and the id or error of each entry. Raises the client's error if the replies are lost."""
        client = self._connect()
        partitions = [crc32(key.encode()) % self._count(client) for key, _ in entries]
        pipeline = client.pipeline(transaction=False)
        for partition, (_, body) in zip(partitions, entries, strict=True):
            pipeline.xadd(f"{self._prefix}:{{{partition}}}:events", {"data": body})
        return list(zip(partitions, pipeline.execute(raise_on_error=False), strict=True))

    def _connect(self) -> "Redis":
        import redis  # noqa: PLC0415 - an optional dependency
        from redis.backoff import NoBackoff  # noqa: PLC0415
        from redis.retry import Retry  # noqa: PLC0415

        with self._connecting:
            if self._client is None:
                assert isinstance(self._server, str)
                self._client = redis.Redis.from_url(
                    self._server, socket_timeout=self._timeout, socket_connect_timeout=self._timeout,
                    retry=Retry(NoBackoff(), 0), protocol=2,
                )  # fmt: skip
            return self._client

    def _count(self, client: "Redis") -> int:
        """Return the number of partitions, which never changes after the first start of a daemon."""
        if not self._partitions:
            found: Any = client.hget(f"{self._prefix}:meta", "partitions")
            if found is None:
                raise WitndError(f"witnd has never started on this Redis: the key {self._prefix}:meta does not exist")
            self._partitions = int(found)
        return self._partitions


def _valid_bodies(events: Sequence[Event]) -> list[bytes]:
    bodies = [one.body() for one in events]
    details: list[Detail] = []
    for place, body in enumerate(bodies):
        item = read((b"data", body))
        if not isinstance(item, Usable):
            at = f"events[{place}]"
            mistakes = item.mistakes if isinstance(item, Refusal) else (Mistake("", "is no event"),)
            details += [Detail(f"{at}.{one.path}" if one.path else at, one.message) for one in mistakes]
    if details:
        wrong = ValidationError(400, "VALIDATION_ERROR", f"{details[0].path}: {details[0].message}", details)
        wrong.events = tuple(events)
        raise wrong
    return bodies


def _is_temporary(reply: Exception) -> bool:
    # redis-py removes the first word if it has an exception class for it.
    name = type(reply).__name__
    return str(reply).startswith(_TEMPORARY_ERRORS) or name in ("BusyLoadingError", "OutOfMemoryError", "ReadOnlyError")
