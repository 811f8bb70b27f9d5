"""The server's clock is believed for as long as it goes on as this host's does."""

from hypothesis import given
from hypothesis import strategies as st

from witnd.store.servertime import TOLERANCE_MS, ServerTime

BEGIN = 1_700_000_000_000
HOUR = 3_600_000


def test_a_clock_that_goes_on_is_believed() -> None:
    time = ServerTime()

    assert [time.believe(BEGIN + n * 1000, n * 1000) for n in range(5)] == [BEGIN + n * 1000 for n in range(5)]
    assert time.jump_ms == 0


def test_a_jump_ahead_is_not_believed_and_time_goes_on_as_expected() -> None:
    time = ServerTime()
    time.believe(BEGIN, 0)

    assert time.believe(BEGIN + HOUR + 1000, 1000) == BEGIN + 1000
    assert time.jump_ms == HOUR
    assert time.believe(BEGIN + HOUR + 2000, 2000) == BEGIN + 2000


def test_a_clock_that_came_back_is_believed_again() -> None:
    time = ServerTime()
    time.believe(BEGIN, 0)
    time.believe(BEGIN + HOUR, 1000)

    assert time.believe(BEGIN + 2000, 2000) == BEGIN + 2000
    assert time.jump_ms == 0


def test_a_clock_set_back_is_told_and_never_runs_ahead_of_itself() -> None:
    time = ServerTime()
    time.believe(BEGIN, 0)

    assert time.believe(BEGIN - HOUR, 1000) == BEGIN - HOUR
    assert time.jump_ms == -HOUR - 1000


@given(st.lists(st.tuples(st.integers(0, 60_000), st.integers(-TOLERANCE_MS, TOLERANCE_MS)), max_size=30))
def test_drift_within_the_tolerance_is_followed_however_long_it_lasts(steps: list[tuple[int, int]]) -> None:
    time, server, host = ServerTime(), BEGIN, 0
    time.believe(server, host)
    for passed, drift in steps:
        host, server = host + passed, server + passed + drift

        assert time.believe(server, host) == server
        assert time.jump_ms == 0
