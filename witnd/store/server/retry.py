"""Waiting out a Redis that does not answer or refuses: backoff, one clear line per outage, no spin."""

import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
import structlog

from witnd.store.errors import StoreRefused, StoreUnavailable

T = TypeVar("T")

FIRST_SECONDS = 0.05
LONGEST_SECONDS = 2.0
PAUSE_SECONDS = 0.5
REPEAT_SECONDS = 60.0  # an outage that lasts is logged again this often, once for each reason
REASONS = 20

log = structlog.get_logger()


class Retry:
    """Repeats a call until it gets through. `verify` looks at the server before the first repetition after an outage
    and raises `Unsafe` if it must not be used any more."""

    unreachable = (StoreUnavailable, StoreRefused)

    def __init__(self, verify: Callable[[], Awaitable[None]], monotonic: Callable[[], float]) -> None:
        self._verify = verify
        self._monotonic = monotonic
        self.paused: str | None = None  # why nothing may be asked for at the moment
        self._troubles: dict[object, str] = {}  # of the calls that are repeated at the moment

    @property
    def trouble(self) -> str | None:
        """Why a call is repeated at the moment, for health: the first of several reasons."""
        return next(iter(self._troubles.values()), None)

    async def call(self, doing: str, call: Callable[[], Awaitable[T]]) -> T:
        mark = object()
        try:
            return await self._call(mark, doing, call)
        finally:
            # However the call ends: one that is cancelled with its lease never succeeds.
            self._troubles.pop(mark, None)

    async def _call(self, mark: object, doing: str, call: Callable[[], Awaitable[T]]) -> T:
        delay, began = FIRST_SECONDS, 0.0
        logged: dict[str, float] = {}  # when each reason was last logged: a new one is said at once
        while True:
            await self.wait_while_paused()
            try:
                if began:
                    await self._verify()
                    # The server answers again, and the call itself may be to wait for something.
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
                delay = min(LONGEST_SECONDS, delay * 2)
            else:
                if began:
                    log.info("redis.back", doing=doing, seconds=round(self._monotonic() - began, 1))
                return answer

    async def wait_while_paused(self) -> None:
        """Wait for as long as it is paused."""
        while self.paused is not None:
            await self.sleep(PAUSE_SECONDS)

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)
