"""Without one safeguard, a simulation finds what it prevents. With all of them, the same seeds find nothing."""

import pytest

from tests.simulation.ablations import ABLATIONS
from tests.simulation.simulation import simulate

SEEDS_MAX = 300


def first_seed(expected: tuple[str, ...]) -> int | None:
    """Return the first seed with an expected violation."""
    for seed in range(SEEDS_MAX):
        if any(text in violation for violation in simulate(seed).violations for text in expected):
            return seed
    return None


@pytest.mark.slow
@pytest.mark.parametrize("name", ABLATIONS)
def test_a_simulation_without_the_safeguard_finds_a_violation(name: str) -> None:
    ablate, expected = ABLATIONS[name]
    with pytest.MonkeyPatch.context() as patch:
        ablate(patch)
        seed = first_seed(expected)

    assert seed is not None, f"no seed below {SEEDS_MAX} needs the {name}"
    assert simulate(seed).violations == []
