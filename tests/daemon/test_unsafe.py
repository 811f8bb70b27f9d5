"""The real daemon beside a Redis that must not be billed from, or that cannot write for a while."""

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import SECONDS, Daemon, event
from tests.support.processes import until
from tests.support.server import Server, finish_loading, start_loading
from witnd.config import Config, DaemonConfig, RedisConfig
from witnd.daemon import assembly
from witnd.daemon.process.systemd import Systemd
from witnd.endpoint import endpoint

StartServer = Callable[..., Server]
StartDaemon = Callable[..., Daemon]


def begin(server: StartServer, daemon: StartDaemon) -> tuple[Server, Daemon]:
    """A server with a daemon beside it that is ready, and a catalogue in force."""
    redis = server()
    one = daemon(redis)
    one.begins()
    return redis, one


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        (("--appendonly", "no"), "stores nothing on disk"),
        (("--maxmemory-policy", "allkeys-lru"), "evicts keys"),
        (("--replicaof", "127.0.0.1 1"), "replica"),
    ],
)
def test_a_redis_that_must_not_be_billed_from_is_refused_with_the_remedy(server, daemon, setting, says) -> None:
    refused = daemon(server(extra=setting))

    assert refused.exit_code() == 3
    assert says in refused.log
    assert "daemon.ready" not in refused.log


def test_a_full_redis_is_waited_out(server, daemon) -> None:
    redis, one = begin(server, daemon)
    one.send("ticket-0001")
    redis.call("CONFIG", "SET", "maxmemory", "1")
    one.says("redis.waiting")
    redis.call("CONFIG", "SET", "maxmemory", "0")

    one.settles(1)
    assert "memory limit" in one.log
    assert one.process.poll() is None


def test_eviction_switched_on_pauses_and_switched_off_goes_on(server, daemon) -> None:
    redis, one = begin(server, daemon)
    redis.call("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    one.says("partition.paused")
    one.send("ticket-0001")
    redis.call("CONFIG", "SET", "maxmemory-policy", "noeviction")
    one.says("partition.resumed")

    one.settles(1)


def test_a_primary_made_a_replica_is_waited_for(server, daemon) -> None:
    redis, one = begin(server, daemon)
    one.send("ticket-0001")
    redis.call("REPLICAOF", "127.0.0.1", "1")
    one.says("partition.paused")
    # The lease lapses meanwhile: it is taken again, and everything is read anew.
    until(lambda: redis.call("EXISTS", "witn:{0}:owner") == 0, "the lease lapses")
    redis.call("REPLICAOF", "NO", "ONE")

    one.settles(1)
    assert one.process.poll() is None


def test_a_redis_that_lost_everything_ends_the_daemon_and_is_refused_by_the_next(server, daemon) -> None:
    redis, one = begin(server, daemon)
    one.send("ticket-0001")
    one.settles(1)
    until(lambda: any('"0":' in file.read_text() for file in one.state_dir.glob("journal-*.json")), "the journal")
    redis.call("FLUSHALL")

    assert one.exit_code() == 3
    assert "lost" in one.log
    redis.call("FLUSHALL")  # the dying daemon may have written a key
    one.send("ticket-0002")  # applications continue to send
    following = daemon(redis)
    assert following.exit_code() == 3
    assert "Redis is empty" in following.log
    redis.call("HSET", "witn:{0}:state", "applied", "1-0")
    following = daemon(redis)
    assert following.exit_code() == 3
    assert "witn:meta is lost" in following.log


def test_a_redis_restored_from_an_older_copy_is_refused(server, daemon) -> None:
    redis, one = begin(server, daemon)
    one.send("ticket-0001")
    one.settles(1)
    assert one.terminate() == 0
    redis.stop()
    copy = redis.dir / "copy"
    shutil.copytree(redis.dir / "appendonlydir", copy)
    redis.start()
    one.send("ticket-0002")
    following = daemon(redis)
    following.settles(2)
    assert following.terminate() == 0
    redis.stop()
    shutil.rmtree(redis.dir / "appendonlydir")
    copy.rename(redis.dir / "appendonlydir")
    redis.start()

    refused = daemon(redis)
    assert refused.exit_code() == 3
    assert "Redis lost data" in refused.log
    assert one.resolved() == 1


@pytest.mark.parametrize("how", [("XTRIM", "MAXLEN", "1"), ("XDEL",)])
def test_entries_that_vanish_unread_stop_the_daemon(server, daemon, how) -> None:
    redis, one = begin(server, daemon)
    one.send("ticket-0001")
    one.settles(1)
    assert one.terminate() == 0
    for number in range(2, 5):
        one.send(f"ticket-000{number}")
    entries: Any = redis.call("XRANGE", "witn:{0}:events", "-", "+")
    last = entries[-2][0] if how == ("XDEL",) else None
    redis.call(how[0], "witn:{0}:events", *([last] if last else how[1:]))

    stopped = daemon(redis)
    assert stopped.exit_code() == 3
    assert "events are missing" in stopped.log
    accepted = stopped.witnd("repair", "gap", "--yes")
    assert accepted.returncode == 0, accepted.stderr
    going_on = daemon(redis)
    going_on.settles(2 if how[0] == "XTRIM" else 3)
    assert going_on.process.poll() is None


def test_an_entry_far_ahead_of_the_clock_stops_the_log_until_it_is_repaired(server, daemon) -> None:
    redis, one = begin(server, daemon)
    redis.call("XADD", "witn:{0}:events", "9999999999999-0", "data", json.dumps(event("ticket-0001")))
    one.says("log.blocked")
    assert one.resolved() == 0
    repaired = one.witnd("repair", "ahead", "--yes")
    assert repaired.returncode == 0, repaired.stderr
    one.send("ticket-0002")

    one.settles(2)
    assert "log.unblocked" in one.log


def test_a_server_that_is_still_loading_is_waited_for(server: StartServer, daemon: StartDaemon) -> None:
    # Without snapshots, as witnd's own servers run: while it loads, it says that it has no append-only file either.
    redis = server(extra=("--save", ""))
    start_loading(redis)
    one = daemon(redis)
    one.says("redis.loading")
    finish_loading(redis)
    one.says("daemon.ready")


@pytest.mark.anyio
async def test_who_is_told_to_stop_before_it_began_stops(redis_url: str, short_dir: Path) -> None:
    config = Config(redis=RedisConfig(url=redis_url), daemon=DaemonConfig(instance="hasty", state_dir=short_dir))
    hasty = assembly.Daemon(config, Systemd(), remember=False)
    hasty.stop()
    async with asyncio.timeout(SECONDS):
        await hasty.run(endpoint(redis_url))
