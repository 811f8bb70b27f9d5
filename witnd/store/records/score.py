"""Scores of sorted sets, as whole numbers."""

from typing import Final

# Beyond every instant. A double has it exactly.
LIMIT: Final = 1 << 62


def whole(score: bytes | str | float) -> int:
    """A score as a whole number. An infinite one, which only another program writes, is beyond every instant."""
    return int(max(-LIMIT, min(LIMIT, float(score))))
