"""The client for programs that wait: connections of the standard library, kept open and used again.

What is said over them is in `flow`.
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
from witnd.client.answers import Explained, Fate, Outcome, Page
from witnd.client.event import Event, Sent, event
from witnd.client.flow import Answer, Flow, Lost, Pause, Request, Retries

T = TypeVar("T")
_BROKEN = (OSError, http.client.HTTPException)


class Client:
    """A client of one witnd. May be shared by threads; each request under way has a connection of its own.

    `timeout` is how many seconds the server may be silent. `context` is for certificates of your own. Errors are
    those of `witnd.client.errors`; a mistake in an argument is a ValueError.
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
        """Close what is open. The client may be used again."""
        while self._idle:
            self._idle.pop().close()

    # -- events ------------------------------------------------------------------------------------------------------

    def send(self, key: str, action: str, customer_key: str, **fields: Any) -> Sent:
        """Send one event; returns when it is in the log. `fields` are those of `Event`.

        On a lost connection, a timeout or a 5xx it is sent again with the same idempotency key. Where that does not
        help, the error's `events` has it, to be given to `send_batch` later.
        """
        one = Event(key=key, action=action, customer_key=customer_key, **fields)
        return self._run(flow.send(one, self._retries))

    def send_batch(self, events: Iterable[Event | Mapping[str, Any]]) -> list[Sent]:
        """Send any number of events, 500 at a time; returns when all are in the log, in the order given.

        Each 500 are checked by the server before any of them is taken. What it could not take for the time being is
        sent again. On an error, `events` has all that are not known to be in the log.
        """
        return self._run(flow.send_batch([event(one) for one in events], self._retries))

    # -- reading -----------------------------------------------------------------------------------------------------

    def outcome(self, key: str) -> Explained:
        """An outcome with its events, its checks and why it is what it is. Raises `NotFoundError`."""
        return self._run(flow.outcome(key, self._retries))

    def outcomes(
        self,
        *,
        status: str | None = None,
        customer_key: str | None = None,
        agent_key: str | None = None,
        prefix: str | None = None,
    ) -> Iterator[Outcome]:
        """Outcomes, the newest first, page after page as far as the caller goes on. `prefix`: keys that begin so.
        `status`: several with commas between."""
        after: str | None = None
        while True:
            page = self.page(status=status, customer_key=customer_key, agent_key=agent_key, prefix=prefix, after=after)
            yield from page.data
            after = page.next_cursor
            if after is None:
                return

    def page(self, *, limit: int = 100, after: str | None = None, **filters: str | None) -> Page:
        """One page of `outcomes`, behind the cursor `after`. It may be short, and not the last."""
        return self._run(flow.page(filters | {"limit": limit, "after": after}, self._retries))

    def fate(self, partition: int, id: str, *, key: str | None = None) -> Fate:  # noqa: A002 - as everywhere
        """What became of an event. `key`, that of its outcome, finds it where the log was trimmed. Raises
        `NotFoundError` for an entry that is not known."""
        return self._run(flow.fate(partition, id, key, self._retries))

    # -- carrying it out ---------------------------------------------------------------------------------------------

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
        """One try. A kept connection that the server has closed meanwhile is no failure: a new one is tried."""
        if self._process != os.getpid():
            # Forked: the connections belong to the parent, and so do the answers on them.
            self._idle, self._process = [], os.getpid()
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # another thread was quicker
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
        kept = False
        try:
            connection.request(
                request.method, self._address.prefix + request.target, body=request.body, headers=self._headers
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
