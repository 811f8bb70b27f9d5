"""Each primary has its own clock. A wrong one settles nothing early, and delays only the partitions of that primary."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.deployed import PARTITIONS, Deployed, deployed
from tests.cluster.servers import Cluster, cluster
from tests.support.clocks import faked_clock
from tests.support.daemon import event
from tests.support.processes import until
from witnd.domain.outcomes.partitioning import partition_of

pytestmark = pytest.mark.slow
SETTLEMENT_SECONDS = 15
STATE = "witn:{0}:state"


@pytest.fixture
def clock(short_dir: Path) -> Path:
    """The clock of the replicas: how many seconds it is ahead."""
    file = short_dir / "clock"
    file.write_text("+0.000")
    return file


@pytest.fixture
def servers(short_dir: Path, clock: Path) -> Iterator[Cluster]:
    with cluster(short_dir, environ=faked_clock(clock)) as found:
        yield found


@pytest.fixture
def run(servers: Cluster, short_dir: Path) -> Iterator[Deployed]:
    with deployed(servers.url, short_dir, servers.owner, settlement=SETTLEMENT_SECONDS) as found:
        yield found


def add_to(run: Deployed, partition: int) -> tuple[str, int]:
    """Append an event for a partition. Its outcome, and the instant at which that is due."""
    key = next(key for _ in range(1000) if partition_of(key := run.new_key(), PARTITIONS) == partition)
    stream = f"witn:{{{partition}}}:events"
    entry = run.call("XADD", stream, "*", "data", json.dumps(event(key)), key=stream)
    run.acknowledged.append(key)
    return key, int(entry.partition(b"-")[0]) + SETTLEMENT_SECONDS * 1000


@pytest.mark.parametrize("seconds", [40, -40])
def test_a_new_primary_with_a_wrong_clock_settles_nothing_early(
    run: Deployed, servers: Cluster, clock: Path, seconds: int
) -> None:
    other = next(n for n in range(1, PARTITIONS) if servers.owner(f"witn:{{{n}}}:state") is not servers.owner(STATE))
    clock.write_text(f"{seconds:+.3f}")
    key, due_ms = add_to(run, 0)
    undisturbed, _ = add_to(run, other)
    servers.fail_over(STATE)
    jump = run.daemon.says("clock.jumped")
    assert round(jump["jump_ms"] / 1000) == pytest.approx(seconds, abs=3)

    until(lambda: undisturbed in run.resolved(), "the other partition settles", seconds=60)
    assert key not in run.resolved()
    if seconds < 0:
        assert time.time() * 1000 > due_ms  # it is due, and waits for the clock

    clock.write_text("+0.000")
    run.daemon.says("clock.recovered")
    run.settles()
    assert time.time() * 1000 >= due_ms
    run.notifies()
    run.passes_audit()
