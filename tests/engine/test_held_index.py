"""A change of the catalogue looks at the held keys that it can place, and only at those that wait for what changed."""

from hypothesis import given
from hypothesis import strategies as st

from tests.engine.model import catalogue_of
from tests.oracle.oracle import Change
from witnd.domain.catalogue.routing import Terms, needs, needs_met_by, opening_terms
from witnd.fold.held_index import HeldIndex

CUSTOMERS, AGENTS, CARDS, ACTIONS = ("acme", "zeta"), ("support", "sales"), ("standard", "other"), ("opened", "closed")


@st.composite
def changes(draw: st.DrawFn) -> list[Change]:
    """Versions of everything, each at an instant of its own."""
    found = []
    for at in range(1, draw(st.integers(1, 9))):
        kind = draw(st.sampled_from(("customer", "agent", "rate_card")))
        if kind == "customer":
            card = draw(st.sampled_from((None, *CARDS)))
            content: dict[str, object] = {} if card is None else {"rate_card": card}
            if card is not None and draw(st.booleans()):
                content["entries"] = [{"agent": draw(st.sampled_from(AGENTS)), "price_per_unit": "2"}]
            if draw(st.booleans()):
                own = [{"fact": draw(st.sampled_from(ACTIONS)), "operator": "seen"}]
                content["agents"] = [{"agent": draw(st.sampled_from(AGENTS)), "condition": own}]
            found.append(Change(kind, draw(st.sampled_from(CUSTOMERS)), at * 10, draw(st.booleans()), content))
        elif kind == "agent":
            condition = [{"fact": draw(st.sampled_from(ACTIONS)), "operator": "seen"}]
            content = {"condition": condition, "settlement_period": 60}
            found.append(Change(kind, draw(st.sampled_from(AGENTS)), at * 10, draw(st.booleans()), content))
        else:
            sold = draw(st.lists(st.sampled_from(AGENTS), unique=True))
            content = {"currency": "EUR", "entries": [{"agent": one, "price_per_unit": "1"} for one in sold]}
            found.append(Change(kind, draw(st.sampled_from(CARDS)), at * 10, draw(st.booleans()), content))
    return found


@given(
    changes(),
    st.sampled_from(CUSTOMERS),
    st.sampled_from((None, *AGENTS)),
    st.sampled_from(ACTIONS),
    st.integers(0, 95),
    st.integers(0, 95),
)
def test_an_event_becomes_placeable_only_by_a_change_of_what_it_waits_for(
    versions: list[Change], customer: str, agent: str | None, action: str, one: int, other: int
) -> None:
    catalogue = catalogue_of(versions)
    early, late = sorted((one, other))
    before = opening_terms(catalogue, action=action, agent_key=agent, customer_key=customer, at=early)
    after = opening_terms(catalogue, action=action, agent_key=agent, customer_key=customer, at=late)
    if isinstance(before, Terms) or not isinstance(after, Terms):
        return
    met = {need for change in catalogue.changes_between(early, late) for need in needs_met_by(*change)}
    assert needs(catalogue, agent_key=agent, customer_key=customer, at=early) & met


def test_the_changes_of_a_stretch_are_those_behind_its_start_up_to_its_end() -> None:
    card = {"currency": "EUR", "entries": []}
    catalogue = catalogue_of([Change("rate_card", f"card-{at}", at, False, card) for at in (30, 10, 20, 40)])
    assert catalogue.changes_between(10, 30) == {("rate_card", "card-20"), ("rate_card", "card-30")}
    assert catalogue.changes_between(-1, 9) == set()
    assert catalogue.changes_between(40, 99) == set()


def test_a_change_of_a_rule_places_nothing() -> None:
    assert needs_met_by("notification_rule", "crm") == ()


def test_a_key_is_taken_by_any_of_its_needs_and_only_from_there() -> None:
    index = HeldIndex()
    index.add("one", {("customer", "acme"), ("agent", "")})
    index.add("two", {("customer", "zeta")})
    index.add("two", {("customer", "zeta")})
    assert len(index) == 3
    assert index.take([("customer", "acme"), ("customer", "nobody")]) == ["one"]
    assert index.take([("customer", "acme")]) == []
    assert index.take([("agent", "")]) == ["one"]
    assert len(index) == 1


def test_keys_are_taken_in_the_order_in_which_they_came() -> None:
    index = HeldIndex()
    keys = [f"key-{number * 7 % 100}" for number in range(100)]
    for key in keys:
        index.add(key, {("customer", "acme"), ("agent", "")})
    assert index.take([("customer", "acme")]) == keys
    assert index.take([("agent", "")]) == keys


def test_beyond_its_bound_it_says_that_it_is_lost_until_it_begins_anew() -> None:
    index = HeldIndex(most=3)
    for number in range(4):
        index.add(f"key-{number}", {("customer", "acme")})
    assert index.is_lost
    assert len(index) == 0
    index.add("key-9", {("customer", "acme")})
    assert index.take([("customer", "acme")]) == []
    index.clear()
    index.add("key-9", {("customer", "acme")})
    assert (index.is_lost, len(index)) == (False, 1)
