"""Guards against jumps of the Redis server's clock.

Log time is the server's clock, and money decisions follow log time: a clock that jumps an hour ahead would settle the
outcomes of the next hour early. One guard per process compares that clock with CLOCK_BOOTTIME of this host, which never
jumps and also runs during suspension. The guard outlives leases, connections and standby.

The guard has an interval that contains the offset between the two clocks. Each reading is an interval too, because the
server read its clock at an unknown moment between request and answer: a late answer widens the interval and is not a
jump. The upper end of the offset may rise only by `DRIFT` per ms. So a trusted instant is early by at most the round
trip of the best reading plus `DRIFT` times the time since, whatever the server's clock does. A step up to
`TOLERANCE_MS` is absorbed at that rate. A larger step is a jump: no instant beyond the expected time is trusted until
the clock is right again, or an operator accepts it (`witnd repair clock`).
"""

from collections.abc import Callable
from math import floor
from pathlib import Path
from typing import Final, NamedTuple

from msgspec import Struct

# Time servers correct smaller steps; an operator should check the cause of larger ones. Neither harms settlement,
# because neither is trusted at once.
TOLERANCE_MS: Final = 5_000
# NTP cannot correct a clock that drifts faster.
DRIFT: Final = 500e-6
# After a long gap between readings (suspension, an outage) real clocks differ by less than `DRIFT` would allow.
SPREAD_MAX_MS: Final = 1_000.0
# A change of a jump by less than this is the same jump.
SAME_JUMP_MS: Final = 1_000


class Reading(NamedTuple):
    """The server's clock, and the boot time of this host just before the request and just after the answer; ms."""

    server_ms: float
    before_ms: int
    after_ms: int

    @property
    def offset(self) -> tuple[float, float]:
        """The least and the greatest possible offset between the clocks."""
        return self.server_ms - self.after_ms - 1, self.server_ms - self.before_ms


class Anchor(Struct, frozen=True, kw_only=True):
    """The last trusted offset of a process of this boot. The journal stores it for the next process."""

    boot: str
    low_ms: float
    high_ms: float
    at_ms: int  # boot time


class ClockGuard:
    """A guard. `boot_ms` returns the boot time of this host. An anchor of another boot is ignored."""

    def __init__(self, boot_ms: Callable[[], int], anchor: Anchor | None = None, *, boot: str = "") -> None:
        self.jump_ms = 0  # how far the server's clock is off while it is not trusted, else 0
        self.step_ms = 0  # how far it is off within the tolerance
        self._boot_ms = boot_ms
        self._boot = boot
        self._offset: tuple[float, float] | None = None
        self._at = 0
        if anchor is not None and anchor.boot == boot and anchor.at_ms <= boot_ms():
            self._offset, self._at = (anchor.low_ms, anchor.high_ms), anchor.at_ms

    @property
    def is_ahead(self) -> bool:
        """Whether the server's clock jumped forward. Its time must not be written into a log then."""
        return self.jump_ms > 0

    @property
    def anchor(self) -> Anchor | None:
        if self._offset is None:
            return None
        low, high = self._offset
        return Anchor(boot=self._boot, low_ms=low, high_ms=high, at_ms=self._at)

    def observe(self, reading: Reading) -> None:
        """Compare a reading with the time that passed on this host since earlier readings."""
        low, high = reading.offset
        if self._offset is None:
            self._offset, self._at = (low, high), reading.after_ms
            return
        spread = self._drift(reading.after_ms)
        least, most = self._offset[0] - spread, self._offset[1] + spread
        off = low - most if low > most else min(0.0, high - least)
        self._at = max(self._at, reading.after_ms)
        if abs(off) > TOLERANCE_MS:
            self.step_ms = 0
            if abs(off - self.jump_ms) >= SAME_JUMP_MS or not self.jump_ms:
                self.jump_ms = round(off)
            return
        self.jump_ms, self.step_ms = 0, round(off)
        if off:
            self._offset = (most, most) if off > 0 else (least, least)
        else:
            self._offset = max(low, least), min(high, most)

    def accept(self, reading: Reading) -> None:
        """Trust the server's clock as it is now: an operator has confirmed it."""
        self._offset, self._at = reading.offset, reading.after_ms
        self.jump_ms = self.step_ms = 0

    def latest(self) -> int:
        """Return the latest possible current instant. Raises RuntimeError before the first reading."""
        if self._offset is None:
            raise RuntimeError("the server's clock was not read yet")
        now = self._boot_ms()
        return floor(now + self._offset[1] + (0 if self.jump_ms else self._drift(now)))

    def append_limit(self) -> int:
        """Return the latest server time at which control entries may be appended. Entries that are ahead within the
        tolerance wait until their time."""
        return self.latest() + TOLERANCE_MS

    def trusted_now(self, server_ms: int) -> int:
        """Return the instant for decisions: the server's clock, but at most `latest()`."""
        return min(server_ms, self.latest())

    def _drift(self, now: int) -> float:
        return min(SPREAD_MAX_MS, DRIFT * max(0, now - self._at))


def boot_name() -> str:
    """Return an id of this boot and its time namespace; empty if unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
    try:
        return f"{boot}-{Path('/proc/self/ns/time').stat().st_ino}"
    except OSError:
        return boot
