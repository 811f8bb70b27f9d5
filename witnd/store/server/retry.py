"""Retries calls while Redis is unavailable, with backoff and one log line per outage."""

import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
import structlog

from witnd.store.errors import StoreRefused, StoreUnavailable

T = TypeVar("T")

FIRST_SECONDS = 0.05
MAX_SECONDS = 2.0
PAUSE_SECONDS = 0.5
REPEAT_SECONDS = 60.0  # how often a long outage is logged again, for each reason
REASONS = 20

log = structlog.get_logger()


class Retry:
    """Repeats a call until it succeeds. `verify` checks the server after an outage, before the call is repeated, and
    raises `Unsafe` if the server must not be used any more."""

    unreachable = (StoreUnavailable, StoreRefused)

    def __init__(self, verify: Callable[[], Awaitable[None]], monotonic: Callable[[], float]) -> None:
        self._verify = verify
        self._monotonic = monotonic
        self.paused: str | None = None  # why no call may run at the moment
        self._troubles: dict[object, str] = {}  # for each call that is being repeated

    @property
    def trouble(self) -> str | None:
        """Return why a call is being repeated, for health checks: the first of several reasons."""
        return next(iter(self._troubles.values()), None)

    async def call(self, doing: str, call: Callable[[], Awaitable[T]]) -> T:
        mark = object()
        try:
            return await self._call(mark, doing, call)
        finally:
            # In any case: a call that is cancelled with its lease never succeeds.
            self._troubles.pop(mark, None)

    async def _call(self, mark: object, doing: str, call: Callable[[], Awaitable[T]]) -> T:
        delay, began = FIRST_SECONDS, 0.0
        logged: dict[str, float] = {}  # when each reason was last logged; a new one is logged at once
        while True:
            await self.wait_while_paused()
            try:
                if began:
                    await self._verify()
                    # The server answers again. The call itself may block for long.
                    self._troubles.pop(mark, None)
                answer = await call()
            except self.unreachable as trouble:
                now = self._monotonic()
                began = began or now
                reason = str(trouble)
                if reason not in logged or now - logged[reason] >= REPEAT_SECONDS:
                    if len(logged) >= REASONS:
                        logged.clear()
                    logged[reason] = now
                    log.warning("redis.waiting", doing=doing, reason=str(trouble), seconds=round(now - began, 1))
                self._troubles[mark] = f"{doing}: {trouble}"
                await self.sleep(delay * random.uniform(0.8, 1.2))  # noqa: S311 - spreads load only
                delay = min(MAX_SECONDS, delay * 2)
            else:
                if began:
                    log.info("redis.recovered", doing=doing, seconds=round(self._monotonic() - began, 1))
                return answer

    async def wait_while_paused(self) -> None:
        """Wait while calls are paused."""
        while self.paused is not None:
            await self.sleep(PAUSE_SECONDS)

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)
