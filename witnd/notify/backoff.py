"""Waiting for a store that does not answer: longer each time, and with two log lines in all."""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

FIRST_SECONDS: Final = 0.05
LONGEST_SECONDS: Final = 5.0

log = structlog.get_logger()


class Patience:
    """Shared by everybody who waits for the same thing; `topic` begins the names of its events."""

    def __init__(self, topic: str, random: Callable[[], float]) -> None:
        self._topic = topic
        self._random = random
        self._lost = False

    async def wait(self, error: Exception, before: int) -> None:
        """Wait after `error`, which has come `before` times in a row before to this caller."""
        if not self._lost:
            self._lost = True
            log.warning(f"{self._topic}_lost", error=str(error))
        # Sixteen doublings are beyond the longest wait.
        seconds = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(before, 16))
        await asyncio.sleep(seconds * (0.5 + self._random() / 2))

    def over(self) -> None:
        if self._lost:
            self._lost = False
            log.info(f"{self._topic}_back")
