"""Run tasks that must not end the daemon: log unexpected errors, raise an alarm, and restart the task."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from witnd.config import ConfigError
from witnd.store.errors import Displaced, Fenced, Unsafe

# Errors that must end the daemon, each with its exit code.
FATAL: Final = (Displaced, Fenced, Unsafe, ConfigError)
FIRST_SECONDS: Final = 0.5
MAX_SECONDS: Final = 10.0
# A task that has run for this long after an error counts as healthy again.
HEALTHY_SECONDS: Final = 15.0

log = structlog.get_logger()


async def _no_cleanup() -> None:
    """Clean up nothing."""


class SideTask:
    """Runs `work` until it returns or is cancelled. Raises only what must end the daemon.

    `clean_up` is called after each error, before the next run. `kind` is the name without a number, for the metric.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[], Awaitable[None]],
        clean_up: Callable[[], Awaitable[None]] = _no_cleanup,
        *,
        kind: str | None = None,
    ) -> None:
        self.name = name
        self.kind = kind or name
        self.failures = 0
        self.alarm: str | None = None  # why the task does not work at the moment, for health
        self._work = work
        self._clean_up = clean_up
        self._logged: str | None = None

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        pause = FIRST_SECONDS
        while True:
            recovered = loop.call_later(HEALTHY_SECONDS, self._recover)
            began = loop.time()
            try:
                await self._work()
            except FATAL:
                raise
            except Exception as error:
                if is_fatal(error):
                    raise
                if loop.time() - began > HEALTHY_SECONDS:
                    pause = FIRST_SECONDS
                self._fail(error, pause)
            else:
                self._recover()
                return
            finally:
                recovered.cancel()
            await self._clean_up()
            await asyncio.sleep(pause)
            pause = min(MAX_SECONDS, pause * 2)

    def _fail(self, error: Exception, pause: float) -> None:
        self.failures += 1
        reason = describe(error)
        self.alarm = f"{self.name} failed: {reason}"
        # A repeated error only counts in the metric.
        if reason != self._logged:
            self._logged = reason
            log.error("task.failed", task=self.name, reason=reason, retry_seconds=pause, exc_info=error)

    def _recover(self) -> None:
        if self.alarm is not None:
            log.info("task.recovered", task=self.name, failures=self.failures)
        self.alarm = self._logged = None


def is_fatal(error: BaseException) -> bool:
    """Return whether the error, or one in its group, must end the daemon."""
    if isinstance(error, BaseExceptionGroup):
        return any(is_fatal(inner) for inner in error.exceptions)
    return isinstance(error, FATAL)


def describe(error: BaseException) -> str:
    """Return the first error of a group on one line."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
