"""witnd behind Sentinels: it works on the primary that they name, and follows them to the next one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.deployed import Deployed, deployed
from tests.cluster.servers import Watched, watched
from tests.support.processes import until

pytestmark = pytest.mark.slow


@pytest.fixture
def servers(short_dir: Path) -> Iterator[Watched]:
    with watched(short_dir, sentinels=3) as found:
        yield found


@pytest.fixture
def run(servers: Watched, short_dir: Path) -> Iterator[Deployed]:
    with deployed(servers.url, short_dir, lambda _: servers.primary, redis__durability="replica") as found:
        yield found


def test_events_are_settled_billed_and_sent(run: Deployed) -> None:
    token = run.daemon.token()
    for _ in range(5):
        run.add()
        assert run.post(token) == 202
    run.settles()
    run.notifies()
    run.bills(token)
    run.passes_audit()


def test_the_daemon_follows_a_failover_and_loses_nothing(run: Deployed, servers: Watched) -> None:
    token = run.daemon.token()
    for _ in range(20):
        run.post_until_taken(token)
    killed = servers.primary
    killed.kill()
    until(lambda: servers.named_port() != killed.port, "the Sentinels name another primary", seconds=60)
    killed.start()
    until(killed.is_synced, "the old primary is a replica", seconds=60)
    for _ in range(20):
        run.post_until_taken(token)
    run.settles()
    run.notifies()
    run.bills(token)
    run.passes_audit()
    assert run.daemon.process.poll() is None, run.daemon.log
