"""Decides which daemons run, from their heartbeats and this host's monotonic clock.

No clock of the server or of another host is compared, so a clock that jumps cannot make a daemon look dead.
"""

from collections.abc import Mapping
from typing import TypeAlias

Heartbeat: TypeAlias = tuple[str, int]  # nonce of the process, number of its heartbeat


class Liveness:
    """A daemon counts as running until its heartbeat has not changed for `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._seen: dict[str, tuple[Heartbeat, float]] = {}
        self._observed: float | None = None

    def observe(self, beats: Mapping[str, Heartbeat], now: float) -> None:
        """Take the heartbeats of all daemons by instance, read at `now` in seconds."""
        # After an outage of Redis, none has had a chance to record a heartbeat.
        is_interrupted = self._observed is None or now - self._observed > self._seconds / 2
        self._observed = now
        self._seen = {
            name: (beat, seen[1])
            if (seen := self._seen.get(name)) is not None and seen[0] == beat and not is_interrupted
            else (beat, now)
            for name, beat in beats.items()
        }

    def running(self) -> list[str]:
        """Return the daemons that run, as of the last observation."""
        return [name for name, (_, since) in self._seen.items() if (self._observed or 0.0) - since <= self._seconds]
