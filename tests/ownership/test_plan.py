"""Which daemon should have which partition, and which daemons run."""

from hypothesis import given
from hypothesis import strategies as st

from witnd.daemon.sharing.liveness import OBSERVATIONS_MIN, Liveness
from witnd.daemon.sharing.plan import plan

Given = tuple[int, dict[str, dict[int, int]]]
NAMES = st.text("abc", min_size=1, max_size=3)


@st.composite
def ownerships(draw: st.DrawFn) -> Given:
    """A number of partitions, and daemons of which each has some. No partition has two owners."""
    partitions = draw(st.integers(1, 40))
    names = draw(st.lists(NAMES, min_size=1, max_size=8, unique=True))
    owners = draw(st.lists(st.sampled_from([*names, None]), min_size=partitions, max_size=partitions))
    epochs = draw(st.lists(st.integers(1, 9), min_size=partitions, max_size=partitions))
    return partitions, {name: {at: epochs[at] for at, owner in enumerate(owners) if owner == name} for name in names}


@given(ownerships())
def test_every_partition_goes_to_one_daemon_and_the_counts_differ_by_at_most_one(
    given: Given,
) -> None:
    partitions, owned = given
    found = plan(partitions, owned)
    assert found.keys() == owned.keys()
    assert sorted(number for some in found.values() for number in some) == list(range(partitions))
    counts = [len(some) for some in found.values()]
    assert max(counts) - min(counts) <= 1


@given(ownerships())
def test_no_plan_with_even_shares_moves_fewer_partitions(given: Given) -> None:
    partitions, owned = given
    found = plan(partitions, owned)
    kept = sum(len(set(found[name]) & set(owned[name])) for name in owned)
    # At best, the daemons with most partitions get the larger shares, and each keeps as many as it may have.
    least, larger = divmod(partitions, len(owned))
    most = sorted((len(some) for some in owned.values()), reverse=True)
    assert kept == sum(min(count, least + (place < larger)) for place, count in enumerate(most))


@given(ownerships())
def test_a_plan_that_is_carried_out_stays(given: Given) -> None:
    partitions, owned = given
    found = plan(partitions, owned)
    assert plan(partitions, {name: dict.fromkeys(some, 1) for name, some in found.items()}) == found


@given(ownerships(), st.data())
def test_a_plan_that_is_carried_out_in_part_moves_nothing_that_arrived(given: Given, data: st.DataObject) -> None:
    """The daemons carry a plan out one partition at a time, and plan again meanwhile."""
    partitions, owned = given
    current = {name: dict(some) for name, some in owned.items()}
    for _ in range(3 * partitions):
        target = plan(partitions, current)
        for name, some in current.items():
            for number in some.keys() - set(target[name]):
                del some[number]  # given up at once
        moving = [(name, number) for name, some in target.items() for number in some if number not in current[name]]
        if not moving:
            break
        name, number = data.draw(st.sampled_from(moving))
        current[name][number] = 1
    assert plan(partitions, current) == {name: sorted(some) for name, some in current.items()}


def test_of_two_claims_to_one_partition_the_later_lease_counts() -> None:
    assert plan(2, {"b": {0: 5, 1: 5}, "a": {0: 6}}) == {"a": [0], "b": [1]}
    assert plan(2, {"b": {0: 5, 1: 5}, "a": {0: 4}}) == {"a": [1], "b": [0]}


def test_nobody_runs_and_nobody_gets_anything() -> None:
    assert plan(4, {}) == {}


def test_a_daemon_runs_until_its_heartbeat_has_not_changed_for_long() -> None:
    liveness = Liveness(8)
    for now in range(8):
        liveness.observe({"a": ("n", now), "b": ("n", 0)}, float(now))
        assert sorted(liveness.running()) == ["a", "b"]
    liveness.observe({"a": ("n", 8), "b": ("n", 0)}, 8.0)
    assert liveness.running() == ["a"]
    liveness.observe({"a": ("n", 9), "b": ("other", 0)}, 9.0)
    assert sorted(liveness.running()) == ["a", "b"]


def test_an_outage_of_redis_ends_no_daemon() -> None:
    liveness = Liveness(8)
    liveness.observe({"a": ("n", 1), "b": ("n", 1)}, 0.0)
    liveness.observe({"a": ("n", 2), "b": ("n", 1)}, 100.0)
    assert sorted(liveness.running()) == ["a", "b"]
    for now in range(101, 107):
        liveness.observe({"a": ("n", now), "b": ("n", 1)}, float(now))
    assert liveness.running() == ["a"]


def test_a_daemon_that_observes_rarely_needs_several_observations() -> None:
    liveness = Liveness(0.5)
    for beat in range(OBSERVATIONS_MIN):
        liveness.observe({"b": ("n", 0)}, float(beat))
        assert liveness.running() == ["b"]
    liveness.observe({"b": ("n", 0)}, float(OBSERVATIONS_MIN))
    assert liveness.running() == []
