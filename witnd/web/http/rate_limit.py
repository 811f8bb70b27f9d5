"""How many requests a token may make: a bucket for each, filled at its rate, deep enough for a second's worth.

Each daemon counts for itself.
"""

import math
from typing import NamedTuple

from witnd.store.access.tokens import Token

# Full buckets are forgotten when there are so many: a new one is full too. The others stay, and there
# are never more than tokens that were used within the time that a bucket needs to fill.
MOST = 10_000


class _Bucket(NamedTuple):
    """`full_at`: from then on it is as good as a new one."""

    left: float
    at: float
    full_at: float


class Rates:
    """Times are in seconds of one clock that never runs backwards."""

    __slots__ = ("_buckets", "_most")

    def __init__(self) -> None:
        self._buckets: dict[str, _Bucket] = {}
        self._most = MOST

    def take(self, token: Token, now: float) -> int | None:
        """Count a request. None if it may be made, else after how many whole seconds to try again."""
        rate = token.rate
        if rate is None:
            return None
        if len(self._buckets) >= self._most:
            self._forget_full(now)
        deep = max(1.0, rate)
        bucket = self._buckets.get(token.id)
        left = deep if bucket is None else min(deep, bucket.left + (now - bucket.at) * rate)
        wait = max(1, math.ceil((1 - left) / rate)) if left < 1 else None
        if wait is None:
            left -= 1
        self._buckets[token.id] = _Bucket(left, now, now + (deep - left) / rate)
        return wait

    def _forget_full(self, now: float) -> None:
        self._buckets = {id_: bucket for id_, bucket in self._buckets.items() if bucket.full_at > now}
        # Looked through again only when there are twice as many, so that it costs little for each request.
        self._most = max(MOST, 2 * len(self._buckets))
