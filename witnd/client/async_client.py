"""The client for asyncio, over aiohttp, which is imported at the first request.

The protocol is in `flow`.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from io import BytesIO
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from witnd.client import flow
from witnd.client.address import address, headers
from witnd.client.answers import Fate, Outcome, OutcomeDetail, Page
from witnd.client.async_billing import AsyncBilling
from witnd.client.event import Event, EventReceipt, event
from witnd.client.flow import Answer, Flow, Lost, Pause, Request, Retries

if TYPE_CHECKING:
    from aiohttp import ClientSession

T = TypeVar("T")
_LARGE: Final = 1 << 20


class AsyncClient(AsyncBilling):
    """Like `Client`, for one event loop. `timeout` limits each attempt as a whole. Close it, or use `async with`."""

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
        self._context = context
        self._session: ClientSession | None = None

    def __repr__(self) -> str:
        return f"AsyncClient({str(self._address)!r})"

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections. The client may be used again."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    # -- events ------------------------------------------------------------------------------------------------------

    async def send(self, key: str, action: str, customer_key: str, **fields: Any) -> EventReceipt:
        """Send one event and return when it is in the log. `fields` are those of `Event`.

        After a lost connection, a timeout or a 5xx response, it retries with the same idempotency key. If all attempts
        fail, pass the error's `events` to `send_batch` later.
        """
        one = Event(key=key, action=action, customer_key=customer_key, **fields)
        return await self._run(flow.send(one, self._retries))

    async def send_batch(self, events: Iterable[Event | Mapping[str, Any]]) -> list[EventReceipt]:
        """Send any number of events, 500 per request, and return when all are in the log. Keeps their order.

        The server checks all events of a request before it accepts any. Temporary failures are retried. On an error,
        `events` has all events that are not known to be in the log.
        """
        return await self._run(flow.send_batch([event(one) for one in events], self._retries))

    # -- reading -----------------------------------------------------------------------------------------------------

    async def outcome(self, key: str) -> OutcomeDetail:
        """Return an outcome with its explanation. Raises `NotFoundError`."""
        return await self._run(flow.outcome(key, self._retries))

    async def outcomes(
        self,
        *,
        status: str | None = None,
        customer_key: str | None = None,
        agent_key: str | None = None,
        prefix: str | None = None,
    ) -> AsyncIterator[Outcome]:
        """Yield outcomes, newest first, and read pages on demand. `prefix` filters by the start of the key. `status`
        may list several, separated by commas."""
        after: str | None = None
        while True:
            page = await self.page(
                status=status, customer_key=customer_key, agent_key=agent_key, prefix=prefix, after=after
            )
            for one in page.data:
                yield one
            after = page.next_cursor
            if after is None:
                return

    async def page(self, *, limit: int = 100, after: str | None = None, **filters: str | None) -> Page:
        """Return one page of `outcomes` after the cursor `after`. Pages before the last may be short."""
        return await self._run(flow.page(filters | {"limit": limit, "after": after}, self._retries))

    async def fate(self, partition: int, id: str, *, key: str | None = None) -> Fate:  # noqa: A002 - the name in the API
        """Return the fate of an event. `key`, the key of its outcome, is needed if the log was trimmed. Raises
        `NotFoundError` for an unknown entry."""
        return await self._run(flow.fate(partition, id, key, self._retries))

    # -- transport -----------------------------------------------------------------------------------------------------

    async def _run(self, steps: Flow[T]) -> T:
        got: Answer | Lost | None = None
        while True:
            try:
                step = steps.send(got)
            except StopIteration as done:
                result: T = done.value
                return result
            if isinstance(step, Pause):
                await asyncio.sleep(step.seconds)
                got = None
            else:
                got = await self._ask(step)

    async def _ask(self, request: Request) -> Answer | Lost:
        import aiohttp  # noqa: PLC0415 - slow, and not needed to verify webhooks
        from yarl import URL  # noqa: PLC0415

        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers=self._headers,
                timeout=aiohttp.ClientTimeout(total=self._timeout),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        url = URL(f"{self._address}{request.target}", encoded=True)
        keyed = {} if request.key is None else {"Idempotency-Key": request.key}
        # aiohttp sends a file in chunks, but bytes at once.
        body = BytesIO(request.body) if request.body is not None and len(request.body) > _LARGE else request.body
        try:
            async with self._session.request(
                request.method, url, data=body, ssl=self._context or True, allow_redirects=False, headers=keyed
            ) as response:
                found = {name.lower(): value for name, value in response.headers.items()}
                return Answer(response.status, found, await response.read())
        except TimeoutError:
            return Lost(f"{self._address}: no response within {self._timeout:g} s")
        except (aiohttp.ClientError, OSError) as failed:
            return Lost(f"{self._address}: {failed or type(failed).__name__}")
