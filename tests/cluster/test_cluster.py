"""witnd on a cluster: partitions are on several primaries, which may fail and whose slots may move."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from tests.cluster.deployed import PARTITIONS, Deployed, deployed
from tests.cluster.servers import Cluster, Node, cluster
from tests.daemon.test_acl import ROUTING, denied, documented_line
from tests.support.daemon import Daemon, event
from tests.support.processes import until
from witnd.client import RedisSender
from witnd.domain.outcomes.partitioning import partition_of

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


@pytest.mark.parametrize("move", [Cluster.move_slot, Cluster.move_slot_at_once])
@pytest.mark.parametrize("key", ["witn:{0}:state", "witn:{shared}", "witn:meta"])
def test_a_slot_may_move_while_the_daemon_works(
    run: Deployed, servers: Cluster, key: str, move: Callable[[Cluster, str, Node], None]
) -> None:
    token = run.daemon.token()
    target = next(node for node in servers.primaries if node is not servers.owner(key))
    with run.under_load(token):
        run.acknowledges(30)
        move(servers, key, target)
        run.acknowledges(30)
    run.settles()
    run.notifies()
    run.bills(token)
    run.passes_audit()


@pytest.mark.parametrize("key", ["witn:{0}:state", "witn:{shared}"])
def test_the_daemon_leaves_a_primary_that_became_a_replica(run: Deployed, servers: Cluster, key: str) -> None:
    """The old primary lives on and answers reads, so no connection is lost."""
    token = run.daemon.token()
    with run.under_load(token):
        run.acknowledges(30)
        servers.fail_over(key)
        run.acknowledges(30)
        until(servers.is_synced, "the old primary is a replica")
        servers.fail_over(key)
        run.acknowledges(30)
    run.settles()
    run.notifies()
    run.bills(token)
    run.passes_audit()
    assert not run.daemon.lines("partition.paused")


def test_without_a_replica_only_events_of_that_primary_are_refused(run: Deployed, servers: Cluster) -> None:
    """`WAIT` is sent to the primary of each log."""
    token = run.daemon.token()
    alone = servers.owner("witn:{0}:events")
    assert servers.owner("witn:{1}:events") is not alone
    servers.replica_of(alone).kill()
    until(lambda: alone.info("replication")["connected_slaves"] == 0, "the replica is gone")
    statuses: dict[Node, set[int]] = {}
    for _ in range(12):
        key = run.new_key()
        node = servers.owner(f"witn:{{{partition_of(key, PARTITIONS)}}}:events")
        statuses.setdefault(node, set()).add(run.daemon.post_event(key, token)[0])
    assert statuses.pop(alone) == {503}
    assert set(map(tuple, statuses.values())) == {(202,)}


def test_a_user_without_config_and_info_is_warned_about_what_was_not_checked(servers: Cluster, short_dir: Path) -> None:
    for node in servers.nodes:
        node.call("ACL", "SETUSER", "witnd", "on", ">secret", "~witn:*", "&witn:*", "+@all", "-config", "-info")
    with Daemon(servers.url.replace("://", "://witnd:secret@"), short_dir / "state") as daemon:
        daemon.says("daemon.ready")
        reasons = [line["reason"] for line in daemon.lines("redis.risk")]
        assert sum("may not run INFO and CONFIG" in reason for reason in reasons) == 2  # partition 0, the shared keys


def test_the_documented_rights_suffice_on_a_cluster(servers: Cluster, short_dir: Path) -> None:
    line = documented_line("witnd").replace("PASSWORD", "secret").split()
    rights = [f"+{one}" for one in sorted(ROUTING)]
    for node in servers.nodes:
        node.call(*line, *rights)
        node.call("ACL", "LOG", "RESET")
    url = servers.url.replace("://", "://witnd:secret@")
    with deployed(url, short_dir, servers.owner, redis__durability="replica") as run:
        token = run.daemon.token()
        run.add()
        assert run.post(token) == 202
        run.settles()
        run.notifies()
        run.bills(token)
        run.passes_audit()
    assert [entry for node in servers.nodes for entry in denied(node)] == []


def test_the_client_sends_events_with_a_client_for_clusters(run: Deployed, servers: Cluster) -> None:
    host = redis.RedisCluster("127.0.0.1", servers.nodes[0].port)
    with RedisSender(host) as sender:
        events = [event(run.new_key()) for _ in range(8)]
        assert {one.partition for one in sender.send_batch(events)} == set(range(PARTITIONS))
    host.close()
    run.acknowledged += [str(one["key"]) for one in events]
    run.settles()
    with pytest.raises(ValueError, match=r"redis\.RedisCluster"):
        RedisSender(servers.url)
