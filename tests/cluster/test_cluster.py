"""witnd on a cluster: partitions are on several primaries, which may fail and whose slots may move."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.deployed import PARTITIONS, Deployed, deployed
from tests.cluster.servers import Cluster, cluster
from tests.support.processes import until

pytestmark = pytest.mark.slow


@pytest.fixture
def servers(short_dir: Path) -> Iterator[Cluster]:
    with cluster(short_dir) as found:
        yield found


@pytest.fixture
def run(servers: Cluster, short_dir: Path) -> Iterator[Deployed]:
    with deployed(servers.url, short_dir, servers.owner, redis__durability="replica") as found:
        yield found


def partition_keys() -> list[str]:
    return [f"witn:{{{number}}}:state" for number in range(PARTITIONS)]


def test_events_are_settled_billed_and_sent(run: Deployed, servers: Cluster) -> None:
    assert len({servers.owner(key).port for key in [*partition_keys(), "witn:{shared}"]}) == 3
    token = run.daemon.token()
    for _ in range(10):
        run.add()
        assert run.post(token) == 202
    run.settles()
    run.notifies()
    run.bills(token)
    run.passes_audit()


def test_commands_and_pages_read_all_partitions(run: Deployed) -> None:
    token = run.daemon.token()
    for _ in range(10):
        assert run.post(token) == 202
    run.settles()
    for path in ("/v1/outcomes", "/v1/events?fate=held", "/v1/invoices", "/v1/deliveries", "/v1/problems", "/metrics"):
        status, found = run.daemon.get(path, token)
        assert status == 200, (path, found)
    for words in (("outcomes",), ("doctor",), ("deliveries",), ("invoices",), ("audit",)):
        done = run.daemon.witnd(*words)
        assert done.returncode == 0, (words, done.stdout, done.stderr)


@pytest.mark.parametrize("key", ["witn:{0}:state", "witn:{shared}"])
def test_the_daemon_follows_a_failover_under_load_and_loses_nothing(run: Deployed, servers: Cluster, key: str) -> None:
    token = run.daemon.token()
    killed = servers.owner(key)
    with run.under_load(token):
        run.acknowledges(50)
        killed.kill()
        until(lambda: servers.owner(key) is not killed, "a replica was promoted", seconds=60)
        until(servers.is_healthy, "the cluster is healthy", seconds=60)
        killed.start()
        until(killed.is_synced, "the old primary is a replica", seconds=60)
        run.acknowledges(50)
    run.settles()
    run.notifies()
    run.bills(token)
    run.passes_audit()
    assert run.daemon.process.poll() is None, run.daemon.log


@pytest.mark.parametrize("key", ["witn:{0}:state", "witn:{shared}", "witn:meta"])
def test_a_slot_may_move_while_the_daemon_works(run: Deployed, servers: Cluster, key: str) -> None:
    token = run.daemon.token()
    target = next(node for node in servers.primaries if node is not servers.owner(key))
    with run.under_load(token):
        run.acknowledges(30)
        servers.move_slot(key, target)
        run.acknowledges(30)
    run.settles()
    run.notifies()
    run.bills(token)
    run.passes_audit()
