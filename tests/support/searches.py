"""How long a search of examples is."""

from hypothesis import settings


def examples(thorough: int) -> int:
    """Return how many examples to try: `thorough` in a full run, a tenth of them in the quick one."""
    return max(1, thorough * settings().max_examples // 100)
