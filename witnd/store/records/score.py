"""Conversion of sorted-set scores to whole numbers."""

from typing import Final

# Later than every instant, and exact as a double.
LIMIT: Final = 1 << 62


def score_to_int(score: bytes | str | float) -> int:
    """Return a score as a whole number. Limit an infinite score, which only another program writes."""
    return int(max(-LIMIT, min(LIMIT, float(score))))
