"""Whether to believe the server's clock.

Log time is the server's clock, and money decisions follow log time: a clock that jumps an hour ahead would settle
everything of the next hour early. So every reading is compared with what the one before and the time passed on this
host (suspension included) let expect; what goes beyond is not believed until the two agree again.
"""

TOLERANCE_MS = 5_000  # far more than time servers correct at once, far less than any settlement period that matters


class ServerTime:
    """Feed it each reading; `jump_ms` is how far the clock is off at the moment, 0 while it is believed."""

    __slots__ = ("_host", "_server", "jump_ms")

    def __init__(self) -> None:
        self._server: int | None = None
        self._host = 0
        self.jump_ms = 0

    def believe(self, server_ms: int, host_ms: int) -> int:
        """The instant to go by: the reading, or what was to be expected where the reading is ahead of that."""
        if self._server is None:
            self._server, self._host = server_ms, host_ms
            return server_ms
        expected = self._server + (host_ms - self._host)
        off = server_ms - expected
        if abs(off) <= TOLERANCE_MS:
            # Drift is followed reading by reading.
            self._server, self._host = server_ms, host_ms
            self.jump_ms = 0
            return server_ms
        self.jump_ms = off
        return min(server_ms, expected)
