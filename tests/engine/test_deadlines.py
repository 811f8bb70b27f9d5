"""The heap of deadlines and the keys in memory: what is due, what may be forgotten, what must be written first."""

import pytest

from tests.engine.model import catalogue_of
from tests.oracle.oracle import Change
from witnd.domain.catalogue.routing import Terms, opening_terms
from witnd.fold.actor import Actor, Held
from witnd.fold.actor_cache import ActorCache
from witnd.fold.deadlines import Deadlines

CATALOGUE = catalogue_of(
    [
        Change("agent", "support", 0, False, {"condition": [], "settlement_period": 60}),
        Change(
            "rate_card",
            "standard",
            0,
            False,
            {"currency": "EUR", "entries": [{"agent": "support", "price_per_unit": "1"}]},
        ),
        Change("customer", "acme", 0, False, {"rate_card": "standard"}),
    ]
)


def actor(key: str, settles_at: int) -> Actor:
    terms = opening_terms(CATALOGUE, action="opened", agent_key=None, customer_key="acme", at=1)
    assert isinstance(terms, Terms)
    made = Actor(key, "acme", terms.contract, terms.price, 1)
    made.settles_at = settles_at
    return made


@pytest.fixture
def known() -> dict[str, Actor | Held]:
    return {}


@pytest.fixture
def deadlines(known: dict[str, Actor | Held]) -> Deadlines:
    return Deadlines(known)


def test_of_equal_instants_the_lesser_key_is_due_first(deadlines: Deadlines, known: dict[str, Actor | Held]) -> None:
    for key in ("b", "a", "\U00010000", "\uffff"):
        known[key] = one = actor(key, 10)
        deadlines.arm(one)
    found = []
    while (due := deadlines.peek()) is not None:
        found.append(due[1])
        deadlines.pop()
    assert found == sorted(found, key=str.encode)


def test_a_deadline_that_moved_on_is_due_at_its_new_instant_only(
    deadlines: Deadlines, known: dict[str, Actor | Held]
) -> None:
    known["a"], known["b"] = one, other = actor("a", 10), actor("b", 20)
    deadlines.arm(one)
    deadlines.arm(other)
    one.settles_at = 30
    assert deadlines.peek() == (20, "b")
    deadlines.pop()
    assert deadlines.peek() == (30, "a")
    assert len(deadlines) == 1


def test_a_deadline_that_got_earlier_is_due_once(deadlines: Deadlines, known: dict[str, Actor | Held]) -> None:
    known["a"] = one = actor("a", 30)
    deadlines.arm(one)
    one.settles_at = 10
    deadlines.arm(one)
    assert deadlines.peek() == (10, "a")
    deadlines.pop()
    one.slot = None  # as settling leaves it
    assert deadlines.peek() is None


def test_a_stored_bound_of_a_key_out_of_memory_is_answered_and_one_in_memory_is_not(
    deadlines: Deadlines, known: dict[str, Actor | Held]
) -> None:
    known["there"] = one = actor("there", 50)
    deadlines.arm(one)
    deadlines.add_stored(5, "there")
    deadlines.add_stored(7, "cold")
    assert deadlines.peek() == (7, "cold")
    assert deadlines.unloaded(100, 10) == ["cold"]
    assert deadlines.unloaded(6, 10) == []
    assert deadlines.peek() == (7, "cold"), "asking takes nothing away"


def test_compacting_keeps_what_counts(deadlines: Deadlines, known: dict[str, Actor | Held]) -> None:
    deadlines.horizon = 100
    known["a"] = one = actor("a", 300)
    deadlines.arm(one)
    for settles_at in (200, 150, 120):
        one.settles_at = settles_at
        deadlines.arm(one)
    deadlines.add_stored(90, "cold")
    deadlines.add_stored(110, "beyond the horizon")
    deadlines.compact()
    assert sorted(deadlines.heap) == [(90, "cold"), (120, "a")]


def install(cache: ActorCache, key: str, settles_at: int, batch: int, indexed_deadline: int | None = None) -> Actor:
    one = actor(key, settles_at)
    one.indexed_deadline = settles_at if indexed_deadline is None else indexed_deadline
    cache.install([one], batch)
    return one


def test_only_what_is_committed_is_forgotten_and_the_oldest_first() -> None:
    cache = ActorCache()
    for number in range(20):
        install(cache, f"key-{number:02}", 1000, batch=number)
    cache.passivate(10, 14, [])
    assert set(cache.known) == {f"key-{number:02}" for number in range(11, 20)}
    cache.passivate(1, 14, [])
    assert set(cache.known) == {f"key-{number:02}" for number in range(15, 20)}


def test_a_key_that_is_on_its_way_here_is_not_forgotten() -> None:
    cache = ActorCache()
    for number in range(4):
        install(cache, f"key-{number}", 1000, batch=1)
    cache.passivate(0, 1, [["key-2"]])
    assert set(cache.known) == {"key-2"}


def test_an_actor_whose_stored_bound_was_read_already_is_written_before_it_is_forgotten() -> None:
    """The bound will not be read again: forgotten as it is, the outcome would never be settled."""
    cache = ActorCache()
    one = install(cache, "key-1", 1000, batch=1, indexed_deadline=400)
    cache.deadlines.horizon = 500
    cache.passivate(0, 1, [])
    assert "key-1" in cache.known
    assert cache.take_stale() == [one]
    one.indexed_deadline, one.is_stale = 1000, False  # as the commit leaves it
    cache.passivate(0, 1, [])
    assert not cache.known


def test_what_came_into_memory_meanwhile_stays_as_it_is() -> None:
    cache = ActorCache()
    newer = install(cache, "key-1", 2000, batch=3)
    install(cache, "key-1", 1000, batch=5)
    assert cache.known["key-1"] is newer
    assert newer.touched == 5
