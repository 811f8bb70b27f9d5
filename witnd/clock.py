"""The host's clocks. No other module reads them.

They are for schedules and log lines. Decisions about money use log time.
"""

import asyncio
import time


class Clock:
    """The host's clocks. Tests replace it."""

    def now_ms(self) -> int:
        """Return milliseconds since 1970 by the wall clock, which may jump."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Return seconds from an arbitrary start, which never go backwards."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(seconds, 0))

    def boot_ms(self) -> int:
        """Return milliseconds that never jump, and include the time when the machine is suspended."""
        clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
        return time.clock_gettime_ns(clock) // 1_000_000
