"""How many requests a token may make: a bucket for each, filled at its rate, deep enough for a second's worth.

Each daemon counts for itself.
"""

import math

from witnd.store.tokens import Token

# Buckets that nobody has asked for in a while are full: they are forgotten when there are so many.
MOST = 10_000


class Rates:
    """Times are in seconds of one clock that never runs backwards."""

    __slots__ = ("_buckets",)

    def __init__(self) -> None:
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, token: Token, now: float) -> int | None:
        """Count a request. None if it may be made, else after how many whole seconds to try again."""
        rate = token.rate
        if rate is None:
            return None
        if len(self._buckets) >= MOST:
            self._buckets.clear()
        deep = max(1.0, rate)
        left, at = self._buckets.get(token.id, (deep, now))
        left = min(deep, left + (now - at) * rate)
        if left < 1:
            self._buckets[token.id] = (left, now)
            return max(1, math.ceil((1 - left) / rate))
        self._buckets[token.id] = (left - 1, now)
        return None
