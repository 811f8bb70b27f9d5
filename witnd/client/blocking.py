"""The blocking client, over reused connections of the standard library.

The protocol is in `flow`.
"""

import http.client
import os
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, TypeVar

from witnd.client import flow
from witnd.client.address import address, headers
from witnd.client.answers import Fate, Outcome, OutcomeDetail, Page
from witnd.client.blocking_billing import BlockingBilling
from witnd.client.event import Event, EventReceipt, event
from witnd.client.flow import Answer, Flow, Lost, Pause, Request, Retries

T = TypeVar("T")
_BROKEN = (OSError, http.client.HTTPException)


class Client(BlockingBilling):
    """A client of one server. Threads may share it; each concurrent request uses its own connection.

    `timeout`: longest time in seconds without data from the server. `context`: for your own certificates. Raises the
    errors of `witnd.client.errors`, and ValueError for invalid arguments.
    """

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        timeout: float = 10.0,
        retries: Retries | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._address = address(base_url)
        self._headers = headers(token)
        self._timeout = timeout
        self._retries = retries or Retries()
        self._context = (context or ssl.create_default_context()) if self._address.tls else None
        self._idle: list[http.client.HTTPConnection] = []
        self._process = os.getpid()

    def __repr__(self) -> str:
        return f"Client({str(self._address)!r})"

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections. The client may be used again."""
        while self._idle:
            self._idle.pop().close()

    # -- events ------------------------------------------------------------------------------------------------------

    def send(self, key: str, action: str, customer_key: str, **fields: Any) -> EventReceipt:
        """Send one event and return when it is in the log. `fields` are those of `Event`.

        After a lost connection, a timeout or a 5xx response, it retries with the same idempotency key. If all attempts
        fail, pass the error's `events` to `send_batch` later.
        """
        one = Event(key=key, action=action, customer_key=customer_key, **fields)
        return self._run(flow.send(one, self._retries))

    def send_batch(self, events: Iterable[Event | Mapping[str, Any]]) -> list[EventReceipt]:
        """Send any number of events, 500 per request, and return when all are in the log. Keeps their order.

        The server checks all events of a request before it accepts any. Temporary failures are retried. On an error,
        `events` has all events that are not known to be in the log.
        """
        return self._run(flow.send_batch([event(one) for one in events], self._retries))

    # -- reading -----------------------------------------------------------------------------------------------------

    def outcome(self, key: str) -> OutcomeDetail:
        """Return an outcome with its explanation. Raises `NotFoundError`."""
        return self._run(flow.outcome(key, self._retries))

    def outcomes(
        self,
        *,
        status: str | None = None,
        customer_key: str | None = None,
        agent_key: str | None = None,
        prefix: str | None = None,
    ) -> Iterator[Outcome]:
        """Yield outcomes, newest first, and read pages on demand. `prefix` filters by the start of the key. `status`
        may list several, separated by commas."""
        after: str | None = None
        while True:
            page = self.page(status=status, customer_key=customer_key, agent_key=agent_key, prefix=prefix, after=after)
            yield from page.data
            after = page.next_cursor
            if after is None:
                return

    def page(self, *, limit: int = 100, after: str | None = None, **filters: str | None) -> Page:
        """Return one page of `outcomes` after the cursor `after`. Pages before the last may be short."""
        return self._run(flow.page(filters | {"limit": limit, "after": after}, self._retries))

    def fate(self, partition: int, id: str, *, key: str | None = None) -> Fate:  # noqa: A002 - the name in the API
        """Return the fate of an event. `key`, the key of its outcome, is needed if the log was trimmed. Raises
        `NotFoundError` for an unknown entry."""
        return self._run(flow.fate(partition, id, key, self._retries))

    # -- transport -----------------------------------------------------------------------------------------------------

    def _run(self, steps: Flow[T]) -> T:
        got: Answer | Lost | None = None
        try:
            while True:
                step = steps.send(got)
                if isinstance(step, Pause):
                    time.sleep(step.seconds)
                    got = None
                else:
                    got = self._ask(step)
        except StopIteration as done:
            result: T = done.value
            return result

    def _ask(self, request: Request) -> Answer | Lost:
        """Make one attempt. If the server has closed a reused connection, use a new one."""
        if self._process != os.getpid():
            # After a fork, the connections and their responses belong to the parent.
            self._idle, self._process = [], os.getpid()
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # another thread took the last one
                break
            try:
                return self._over(connection, request)
            except TimeoutError as silent:
                return Lost(f"{self._address}: no response within {self._timeout:g} s ({silent})")
            except _BROKEN:
                continue
        try:
            return self._over(self._connection(), request)
        except TimeoutError:
            return Lost(f"{self._address}: no response within {self._timeout:g} s")
        except _BROKEN as failed:
            return Lost(f"{self._address}: {failed or type(failed).__name__}")

    def _connection(self) -> http.client.HTTPConnection:
        where = self._address
        if where.tls:
            return http.client.HTTPSConnection(where.host, where.port, timeout=self._timeout, context=self._context)
        return http.client.HTTPConnection(where.host, where.port, timeout=self._timeout)

    def _over(self, connection: http.client.HTTPConnection, request: Request) -> Answer:
        kept, keyed = False, {} if request.key is None else {"Idempotency-Key": request.key}
        try:
            connection.request(
                request.method, self._address.prefix + request.target, body=request.body, headers=self._headers | keyed
            )
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            answer = Answer(response.status, found, response.read())
            kept = not response.will_close
            return answer
        finally:
            if kept:
                self._idle.append(connection)
            else:
                connection.close()
