"""The strategies reach every fate and every corner, or the laws checked with them would prove little."""

from collections import Counter
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, find, settings
from hypothesis.errors import NoSuchExample

from tests.oracle.logs import Log, logs
from tests.oracle.reach import EVERYTHING, reached

# One search for all corners together. The engine varies what it has already drawn, so that one search may stay away
# from a corner for long: many short ones with seeds of their own do not. The rarest corners are in 2 logs of 100, and
# a few hundred logs are enough as a rule; the bound is what a corner that is never reached costs, less than a minute.
ROUNDS, LOGS = 20, 100
SEARCH = settings(
    max_examples=LOGS,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def seen() -> Counter[str]:
    """In how many of the logs each corner was, until all have been met or the bound is."""
    found: Counter[str] = Counter()

    def all_met(log: Log) -> bool:
        found.update(reached(log))
        return found.keys() >= EVERYTHING

    for seed in range(ROUNDS):
        try:
            find(logs(), all_met, settings=SEARCH, random=Random(seed))
        except NoSuchExample:
            continue
        break
    return found


@pytest.mark.parametrize("corner", sorted(EVERYTHING))
def test_the_strategies_reach(seen: Counter[str], corner: str) -> None:
    assert seen[corner], f"in none of the logs; the others: {seen}"
