"""What is believed of the server's clock never runs ahead of the true time, whatever that clock does."""

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from witnd.store.clock.guard import DRIFT, ClockGuard, Reading

BEGIN = 1_700_000_000_000
HOUR = 3_600_000
DAY = 24 * HOUR


class Host:
    """The boot time of a host, and a server whose clock is `off` ms beside it. An answer takes `late` ms."""

    def __init__(self) -> None:
        self.boot = 1_000_000.0
        self.off = 0.0
        self.guard = ClockGuard(lambda: int(self.boot), boot="this boot")

    @property
    def right(self) -> float:
        """What the server's clock would say had it not jumped."""
        return BEGIN + self.boot

    def read(self, passed: float = 0, *, late: float = 0, where: float = 0.5) -> None:
        """Let time pass, then take a reading; the server reads its clock at that part of the way."""
        self.boot += passed
        before = int(self.boot)
        self.boot += late * where
        server = self.right + self.off
        self.boot += late * (1 - where)
        self.guard.observe(Reading(server, before, int(self.boot)))

    @property
    def believed(self) -> float:
        return self.guard.trusted_now(int(self.right + self.off))


def test_a_clock_that_advances_steadily_is_trusted() -> None:
    host = Host()
    for _ in range(5):
        host.read(1000)

        assert host.believed == host.right
        assert host.guard.jump_ms == 0


def test_a_jump_ahead_is_not_trusted_and_time_advances_as_expected() -> None:
    host = Host()
    host.read()
    host.off = HOUR
    host.read(1000)

    assert host.believed - host.right <= 2
    assert host.guard.is_ahead
    assert round(host.guard.jump_ms, -3) == HOUR
    host.read(DAY)
    assert host.believed - host.right <= 2


def test_before_a_jump_is_noticed_it_is_not_believed_either() -> None:
    host = Host()
    host.read()
    host.off = HOUR

    assert host.believed - host.right <= 1


def test_a_clock_that_came_back_is_believed_again() -> None:
    host = Host()
    host.read()
    host.off = HOUR
    host.read(1000)
    host.off = 0
    host.read(1000)

    assert host.believed == host.right
    assert host.guard.jump_ms == 0


def test_a_clock_set_back_is_shown_and_blocks_nothing() -> None:
    host = Host()
    host.read()
    host.off = -HOUR
    host.read(1000)

    assert host.believed == host.right - HOUR
    assert round(host.guard.jump_ms, -3) == -HOUR
    assert not host.guard.is_ahead
    host.off = 0
    host.read(1000)
    assert host.guard.jump_ms == 0
    assert host.believed == host.right


def test_a_step_within_the_tolerance_is_absorbed_slowly() -> None:
    host = Host()
    host.read()
    host.off = 4000
    behind = []
    for _ in range(3 * HOUR // 1000):
        host.read(1000)
        behind.append(host.right + host.off - host.believed)
        assert host.guard.jump_ms == 0
    assert 3990 <= behind[0] <= 4000
    assert behind[-1] == 0
    # What is believed goes on by at most so much more than the time that passes.
    assert all(before - after <= 1000 * DRIFT + 1 for before, after in pairwise(behind))


def test_a_late_answer_is_not_a_jump() -> None:
    for where in (0.0, 0.5, 1.0):
        host = Host()
        host.read()
        host.read(1000, late=30_000, where=where)
        assert host.guard.jump_ms == 0
        host.read(1000)
        assert host.guard.jump_ms == 0
        assert host.right - host.believed <= 1


def test_a_jump_behind_a_late_answer_is_not_believed() -> None:
    host = Host()
    host.read()
    host.off = 15_000
    host.read(1000, late=30_000, where=0.0)
    assert host.believed - host.right <= 20  # by drift
    host.read(1000)
    assert host.guard.is_ahead


def test_an_accepted_clock_is_believed_and_the_next_jump_is_not() -> None:
    host = Host()
    host.read()
    host.off = 15_000
    host.read(1000)
    server = host.right + host.off
    host.guard.accept(Reading(server, int(host.boot), int(host.boot)))

    assert host.believed == server
    host.off += 15_000
    host.read(1000)
    assert host.guard.is_ahead
    assert host.believed <= host.right + 15_000 + 1


def test_the_next_process_of_the_same_boot_compares_with_the_anchor() -> None:
    host = Host()
    host.read()
    anchor = host.guard.anchor
    assert anchor is not None
    host.off = 15_000
    host.boot += 60_000
    host.guard = ClockGuard(lambda: int(host.boot), anchor, boot="this boot")
    host.read()
    assert host.guard.is_ahead
    assert host.believed - host.right <= 1


def test_after_another_boot_the_anchor_says_nothing() -> None:
    host = Host()
    host.read()
    anchor = host.guard.anchor
    host.off = HOUR
    host.guard = ClockGuard(lambda: int(host.boot), anchor, boot="another boot")
    host.read()
    assert host.guard.jump_ms == 0
    assert host.believed == host.right + HOUR


_EVENTS = st.lists(
    st.fixed_dictionaries(
        {
            "passed": st.one_of(st.integers(0, 5_000), st.integers(0, 3 * DAY)),  # the long ones are suspensions
            "late": st.one_of(st.integers(0, 20), st.integers(0, 30_000)),
            "where": st.floats(0, 1),
            "jump": st.one_of(st.none(), st.integers(-2 * DAY, 2 * DAY), st.integers(-20_000, 20_000), st.just("back")),
        }
    ),
    max_size=40,
)


@given(events=_EVENTS, late=st.integers(0, 50))
def test_what_is_believed_never_runs_ahead_by_more_than_the_first_round_trip_and_the_drift(
    events: list[dict[str, Any]], late: int
) -> None:
    host = Host()
    host.read(late=late)
    first = host.boot
    for event in events:
        if event["jump"] is not None:
            host.off = 0.0 if event["jump"] == "back" else host.off + event["jump"]
        host.read(event["passed"], late=event["late"], where=event["where"])
        ahead = host.believed - host.right
        assert ahead <= late + 2 + DRIFT * (host.boot - first), event


@given(
    ppm=st.integers(-450, 450),
    passed=st.lists(st.tuples(st.integers(0, 2_000), st.integers(0, 50), st.floats(0, 1)), max_size=100),
)
def test_a_clock_that_drifts_as_real_ones_do_is_followed(ppm: int, passed: list[tuple[int, int, float]]) -> None:
    host = Host()
    host.read()
    begin = host.boot
    for ms, late, where in passed:
        host.off = (host.boot - begin) * ppm / 1e6
        host.read(ms, late=late, where=where)

        assert host.guard.jump_ms == 0
        assert host.right + host.off - host.believed <= 55 + 2
