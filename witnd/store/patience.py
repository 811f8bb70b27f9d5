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


class Patience:
    """Repeats a call until it gets through. `verify` looks at the server before the first repetition after an outage
    and raises `Unsafe` if it must not be used any more."""

    unreachable = (StoreUnavailable, StoreRefused)

    def __init__(self, verify: Callable[[], Awaitable[None]], monotonic: Callable[[], float]) -> None:
        self._verify = verify
        self._monotonic = monotonic
        self.trouble: str | None = None  # for health: what is being waited out
        self.paused: str | None = None  # why nothing may be asked for at the moment

    async def insist(self, doing: str, call: Callable[[], Awaitable[T]]) -> T:
        delay, began = FIRST_SECONDS, 0.0
        logged: dict[str, float] = {}  # when each reason was last logged: a new one is said at once
        while True:
            await self.resumed()
            try:
                if began:
                    await self._verify()
                    # It answers again, and what is asked for may be to wait.
                    self.trouble = None
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
                self.trouble = f"{doing}: {trouble}"
                await self.sleep(delay * random.uniform(0.8, 1.2))  # noqa: S311 - spreads load only
                delay = min(LONGEST_SECONDS, delay * 2)
            else:
                if began:
                    self.trouble = None
                    log.info("redis.back", doing=doing, seconds=round(self._monotonic() - began, 1))
                return answer

    async def resumed(self) -> None:
        """Wait for as long as it is paused."""
        while self.paused is not None:
            await self.sleep(PAUSE_SECONDS)

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)
