"""Limit log lines that any client can cause, so that a flood of requests does not flood the log.

Each reason gets one line a second, and that line says how many before it were suppressed.
"""

import asyncio
from collections.abc import Hashable
from typing import Final

import structlog
from msgspec import Struct

INTERVAL_SECONDS: Final = 1.0
# After this long without a line, a reason has ended, and its suppressed lines are reported.
QUIET_SECONDS: Final = 2 * INTERVAL_SECONDS

log = structlog.get_logger()


class _Reason(Struct):
    logged_at: float
    suppressed: int = 0


class LineLimit:
    """The decision. Instants are seconds of one clock that never runs backwards. Callers use a bounded set of reasons,
    such as statuses and routes, never text that a client sent."""

    def __init__(self) -> None:
        self._reasons: dict[Hashable, _Reason] = {}

    def take(self, reason: Hashable, now: float) -> int | None:
        """Return how many lines were suppressed since the last one if a line may be written now, else None."""
        known = self._reasons.get(reason)
        if known is not None and now - known.logged_at < INTERVAL_SECONDS:
            known.suppressed += 1
            return None
        self._reasons[reason] = _Reason(now)
        return 0 if known is None else known.suppressed

    def take_overdue(self, now: float) -> dict[Hashable, int]:
        """Return and reset the number of suppressed lines for each reason that has been quiet since."""
        over = {
            reason: known.suppressed
            for reason, known in self._reasons.items()
            if known.suppressed and now - known.logged_at >= QUIET_SECONDS
        }
        for reason in over:
            del self._reasons[reason]
        return over

    @property
    def has_suppressed(self) -> bool:
        return any(known.suppressed for known in self._reasons.values())


class LimitedLines:
    """The limit on the event loop's clock. It reports what was suppressed even if no further line follows."""

    def __init__(self) -> None:
        self._limit = LineLimit()
        self._timer: asyncio.TimerHandle | None = None

    def take(self, line: str, *reason: Hashable) -> int | None:
        """Return how many lines like this were suppressed since the last one, or None if this one is, too. `line`: the
        event's name."""
        loop = asyncio.get_running_loop()
        suppressed = self._limit.take((line, *reason), loop.time())
        if suppressed is None and self._timer is None:
            self._timer = loop.call_later(QUIET_SECONDS, self._report)
        return suppressed

    def _report(self) -> None:
        loop = asyncio.get_running_loop()
        for reason, count in self._limit.take_overdue(loop.time()).items():
            line, *rest = reason if isinstance(reason, tuple) else (reason,)
            log.info("log.suppressed", line=line, reason=" ".join(map(str, rest)) or None, count=count)
        self._timer = loop.call_later(INTERVAL_SECONDS, self._report) if self._limit.has_suppressed else None
