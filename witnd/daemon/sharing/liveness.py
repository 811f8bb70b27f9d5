"""Decides which daemons run, from their heartbeats and this host's monotonic clock.

Clocks of the server and of other hosts are not used, so a clock that jumps cannot make a daemon look dead.
"""

from collections.abc import Mapping
from typing import Final, TypeAlias

Heartbeat: TypeAlias = tuple[str, int]  # nonce of the process, number of its heartbeat


# The fewest observations without a change that show that a daemon has ended.
OBSERVATIONS_MIN: Final = 4


class Liveness:
    """A daemon counts as running until its heartbeat has not changed for `seconds`.

    A long time between two observations counts only in part: during an outage of Redis, no daemon can record a
    heartbeat.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._silent: dict[str, tuple[Heartbeat, float]] = {}  # seconds without a change
        self._observed: float | None = None

    def observe(self, beats: Mapping[str, Heartbeat], now: float) -> None:
        """Take the heartbeats of all daemons by instance, read at `now` in seconds."""
        passed = 0.0 if self._observed is None else min(now - self._observed, self._seconds / OBSERVATIONS_MIN)
        self._observed = now
        before, self._silent = self._silent, {}
        for name, beat in beats.items():
            known = before.get(name)
            is_same = known is not None and known[0] == beat
            self._silent[name] = (beat, known[1] + passed if is_same and known is not None else 0.0)

    def running(self) -> list[str]:
        """Return the daemons that run, as of the last observation."""
        return [name for name, (_, silent) in self._silent.items() if silent < self._seconds]
