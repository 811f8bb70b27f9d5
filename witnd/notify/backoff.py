"""Exponential backoff while Redis does not respond, with one log line at its start and end."""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

FIRST_SECONDS: Final = 0.05
MAX_SECONDS: Final = 5.0

log = structlog.get_logger()


class Backoff:
    """Shared by all callers that wait for the same cause. `topic` is the prefix of its log events."""

    def __init__(self, topic: str, random: Callable[[], float]) -> None:
        self._topic = topic
        self._random = random
        self._is_failing = False

    async def wait(self, error: Exception, before: int) -> None:
        """Wait after `error`. `before` is the number of the caller's consecutive errors before this one."""
        if not self._is_failing:
            self._is_failing = True
            log.warning(f"{self._topic}_lost", error=str(error))
        # Sixteen doublings exceed the longest wait.
        seconds = min(MAX_SECONDS, FIRST_SECONDS * 2.0 ** min(before, 16))
        await asyncio.sleep(seconds * (0.5 + self._random() / 2))

    def reset(self) -> None:
        if self._is_failing:
            self._is_failing = False
            log.info(f"{self._topic}_recovered")
