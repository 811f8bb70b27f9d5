"""Sending straight into the log, without the API: for who has Redis at hand and wants no hop between.

The rules are the same: an event is checked by the daemon's own reader before it goes, because what stands in the log
stays. `redis` is imported at the first use.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

from witnd.client.errors import Detail, NoAnswerError, NotSentError, ValidationError, WitndError
from witnd.client.event import Event, Sent, event
from witnd.client.flow import BATCH_EVENTS, Retries
from witnd.domain.outcomes.event import Event as Usable
from witnd.domain.outcomes.event import Refusal, read
from witnd.domain.values.mistake import Mistake

if TYPE_CHECKING:
    from redis import Redis

# A server that is starting, full, or changing its role takes the same entry later.
_PASSING: Final = (
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
    """`server`: the URL of witnd's Redis, or a client of `redis` that you have. May be shared by threads.

    An event is accepted when the server has replied, as safe as its own `appendfsync` makes it; for more than that,
    send over the API, which knows `redis.durability`.
    """

    def __init__(
        self, server: "str | Redis", *, prefix: str = "witn", timeout: float = 10.0, retries: Retries | None = None
    ) -> None:
        self._server = server
        self._prefix = prefix
        self._timeout = timeout
        self._retries = retries or Retries()
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
        """Close the connections, where they are the sender's own."""
        if isinstance(self._server, str) and self._client is not None:
            self._client.close()
            self._client = None

    def send(self, key: str, action: str, customer_key: str, **fields: Any) -> Sent:
        """Append one event; returns when it is in the log. `fields` are those of `Event`."""
        return self.send_batch([Event(key=key, action=action, customer_key=customer_key, **fields)])[0]

    def send_batch(self, events: Iterable[Event | Mapping[str, Any]]) -> list[Sent]:
        """Append any number of events in their order. All are checked before any is sent."""
        given = [event(one) for one in events]
        bodies = _checked(given)
        sent: list[Sent | None] = [None] * len(given)
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
        self, places: Sequence[int], events: Sequence[Event], bodies: Sequence[bytes], sent: list[Sent | None]
    ) -> None:
        from redis import exceptions  # noqa: PLC0415 - only who sends this way needs it

        failures = 0
        while places:
            lost: WitndError
            try:
                replies = self._append([(events[place].key, bodies[place]) for place in places])
            except (exceptions.ConnectionError, exceptions.TimeoutError, OSError) as silent:
                lost = NoAnswerError(f"no answer from Redis: {silent}")
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
                        sent[place] = Sent(id=id_, partition=partition, key=key, idempotency_key=identity)
                places = [place for place, _ in refused]
                if not places:
                    return
                why = str(refused[0][1])
                lost = NotSentError([events[place] for place in places], ["rejected"] * len(places), why)
                if not all(_passing(reply) for _, reply in refused):
                    raise lost
            failures += 1
            if self._retries.over(failures, lost):
                raise lost
            time.sleep(self._retries.wait(failures, None))

    def _append(self, entries: Sequence[tuple[str, bytes]]) -> list[tuple[int, Any]]:
        """Partition, and id or error, of each. Raises what the client raises where the replies are lost."""
        client = self._connected()
        partitions = [crc32(key.encode()) % self._count(client) for key, _ in entries]
        pipeline = client.pipeline(transaction=False)
        for partition, (_, body) in zip(partitions, entries, strict=True):
            pipeline.xadd(f"{self._prefix}:{{{partition}}}:events", {"data": body})
        return list(zip(partitions, pipeline.execute(raise_on_error=False), strict=True))

    def _connected(self) -> "Redis":
        import redis  # noqa: PLC0415 - only who sends this way needs it
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
        """The number of partitions, which never changes once a daemon has started."""
        if not self._partitions:
            found: Any = client.hget(f"{self._prefix}:meta", "partitions")
            if found is None:
                raise WitndError(f"no witnd has ever started here: the key {self._prefix}:meta is not there")
            self._partitions = int(found)
        return self._partitions


def _checked(events: Sequence[Event]) -> list[bytes]:
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


def _passing(reply: Exception) -> bool:
    # redis-py cuts the first word off where it has a class for it.
    name = type(reply).__name__
    return str(reply).startswith(_PASSING) or name in ("BusyLoadingError", "OutOfMemoryError", "ReadOnlyError")
