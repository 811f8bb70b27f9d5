"""Several daemons, in virtual time and with faults from a seed, do what one undisturbed daemon would do.

A failure prints the seed, how to run it again, and everything that happened.
"""

import hashlib
import os
import subprocess
import sys

import pytest

from tests.simulation.simulation import simulate

QUICK = 30
BLOCK = 50
BLOCKS = 24
SEED = os.environ.get("SIMULATION_SEED")


def run(seeds: range) -> None:
    """Run seeds, and fail with the report of the first that violates a rule."""
    for seed in seeds:
        result = simulate(seed)
        if result.violations:
            pytest.fail(result.report(), pytrace=False)


@pytest.mark.parametrize("first", range(0, QUICK, 10))
def test_some_seeds_end_as_the_oracle_does(first: int) -> None:
    run(range(first, first + 10))


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1000, 1000 + BLOCK * BLOCKS, BLOCK))
def test_many_seeds_end_as_the_oracle_does(first: int) -> None:
    run(range(first, first + BLOCK))


if SEED is not None:

    def test_one_seed() -> None:
        run(range(int(SEED), int(SEED) + 1))


def digest(seed: int) -> str:
    return hashlib.sha1("\n".join(simulate(seed).trace).encode()).hexdigest()


def test_a_seed_repeats_in_every_process() -> None:
    code = "from tests.simulation.test_simulation import digest; print(digest(7))"
    other = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert other.stdout.strip() == digest(7)
