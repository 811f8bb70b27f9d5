"""The host's clocks: the only place that reads them.

They schedule and they stamp logs. No decision about money asks them: that is the log's own time.
"""

import asyncio
import time


class Clock:
    """Handed to whoever waits, so that tests can hand out another one."""

    def now_ms(self) -> int:
        """Milliseconds since 1970 by the host's wall clock, which may jump."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds that never run backwards, from an arbitrary beginning."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(seconds, 0))

    def boot_ms(self) -> int:
        """Milliseconds that never jump and count on while the machine is suspended."""
        clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
        return time.clock_gettime_ns(clock) // 1_000_000
