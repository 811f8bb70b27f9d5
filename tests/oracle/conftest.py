"""Who is asked: every test that takes `runner` runs once for each line of RUNNERS."""

from collections.abc import Callable, Sequence

import pytest

from tests.oracle import oracle
from tests.oracle.oracle import Change, Entry, World

Runner = Callable[[Sequence[Entry], Sequence[Change]], World]

# Add the real fold here: ("fold", run_fold).
RUNNERS: list[tuple[str, Runner]] = [("oracle", oracle.run)]


@pytest.fixture(params=[run for _, run in RUNNERS], ids=[name for name, _ in RUNNERS])
def runner(request: pytest.FixtureRequest) -> Runner:
    """A callable from (entries, changes) to World."""
    found: Runner = request.param
    return found
