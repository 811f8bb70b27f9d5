"""A server's clock that is ahead gets into no log by a request of a command."""

import pytest

from tests.cli.test_change_requests import remove, repair_outcome, retry, retry_all
from tests.support.deployment import Deployment
from witnd.clock import Clock
from witnd.store.keys import GlobalKeys

COMMANDS = [retry, retry_all, remove, repair_outcome]


@pytest.mark.parametrize("prepare", COMMANDS)
def test_nothing_is_appended_while_the_servers_clock_is_more_than_a_minute_ahead(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, prepare: object
) -> None:
    assert callable(prepare)
    command = prepare(deployment)
    entries = deployment.call("XLEN", "witn:{0}:events")
    now_ms = Clock.now_ms
    monkeypatch.setattr(Clock, "now_ms", lambda clock: now_ms(clock) - 90_000)
    done = deployment.witnd(*command)
    assert done.exit_code == 3
    assert "the clock of the Redis server is more than 60 s ahead of this host's" in done.stderr
    assert deployment.call("XLEN", "witn:{0}:events") == entries
    assert not deployment.call("EXISTS", "witn:{0}:removals", "witn:{0}:repair:ticket-0001")


@pytest.mark.parametrize("prepare", COMMANDS)
def test_nothing_is_appended_while_the_owner_sees_that_the_clock_jumped_ahead(
    deployment: Deployment, prepare: object
) -> None:
    assert callable(prepare)
    command = prepare(deployment)
    entries = deployment.call("XLEN", "witn:{0}:events")
    deployment.call("SET", "witn:{0}:owner", "7:nonce:daemon-a")
    deployment.call("HSET", GlobalKeys("witn").clock, "jump:daemon-a", "15000")
    done = deployment.witnd(*command)
    assert done.exit_code == 3
    assert "the clock of the Redis server jumped by +15 s" in done.stderr
    assert deployment.call("XLEN", "witn:{0}:events") == entries
    deployment.call("HSET", GlobalKeys("witn").clock, "jump:daemon-a", "-15000")
    assert deployment.witnd(*command).exit_code == 0, "a clock that fell back gives no id ahead"
    assert deployment.call("XLEN", "witn:{0}:events") == entries + 1


def test_the_recorded_jump_of_a_dead_daemon_stops_no_other(deployment: Deployment) -> None:
    command = retry(deployment)
    deployment.call("HSET", GlobalKeys("witn").clock, "jump:daemon-a", "15000")
    assert deployment.witnd(*command).exit_code == 0
