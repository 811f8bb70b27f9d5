"""The fold and the naive oracle agree on every log, however the run is cut up."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.engine.model import drive
from tests.oracle import oracle
from tests.oracle.logs import cuts, logs
from tests.oracle.oracle import World
from tests.support.searches import examples

# What the oracle does not compute, and what it spells in its own way.
ASIDE = ("contract_hash", "price_hash", "rate_card")


def plain(world: World) -> dict[str, Any]:
    def clean(record: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in record.items() if name not in ASIDE}

    def without_nulls(node: Any) -> Any:
        if isinstance(node, dict):
            return {name: without_nulls(one) for name, one in node.items() if one is not None}
        return node

    return {
        "fates": world.fates,
        "outcomes": {
            key: {
                **{name: getattr(one, name) for name in one.__dataclass_fields__ if name not in ("contract", "price")},
                "whose price": one.price["customer"],
            }
            for key, one in world.outcomes.items()
        },
        "resolutions": [clean(one) for one in world.resolutions],
        "lines": [clean(one) for one in world.lines],
        "deliveries": sorted((without_nulls(one) for one in world.deliveries), key=lambda one: one["id"]),
        "held": world.held,
    }


QUIET = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@settings(QUIET, max_examples=examples(300))
@given(data=st.data(), log=logs())
def test_the_fold_agrees_with_the_oracle_however_the_run_is_cut(data, log):
    entries, changes = log
    cut = data.draw(cuts(len(entries)))

    assert plain(oracle.run(entries, changes)) == plain(drive(entries, changes, cut))


@settings(QUIET, max_examples=examples(100))
@given(log=logs(), partition=st.integers(0, 1))
def test_a_partition_of_two_rejects_what_belongs_to_the_other(log, partition):
    entries, changes = log
    shape = {"partition": partition, "partitions": 2}

    assert plain(oracle.run(entries, changes, **shape)) == plain(drive(entries, changes, **shape))


@settings(QUIET, max_examples=examples(100))
@given(data=st.data(), log=logs(), limit=st.integers(0, 3))
def test_held_events_beyond_the_limit_are_rejected(data, log, limit):
    entries, changes = log
    cut = data.draw(cuts(len(entries)))

    expected = plain(oracle.run(entries, changes, held_limit=limit))
    assert expected == plain(drive(entries, changes, cut, held_limit=limit))


@settings(QUIET, max_examples=examples(200))
@given(log=logs(ambiguous=True))
def test_readings_of_ambiguous_places_agree_too(log):
    entries, changes = log
    assert plain(oracle.run(entries, changes)) == plain(drive(entries, changes))
