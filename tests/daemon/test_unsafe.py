"""The real daemon beside a Redis that must not be billed from, or that cannot write for a while."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import until
from tests.support.server import Server, finish_loading, start_loading
from witnd.config import Config, DaemonConfig, RedisConfig
from witnd.daemon.assembly import Daemon
from witnd.daemon.systemd import Systemd
from witnd.endpoint import endpoint

SECONDS = 20.0
CATALOGUE = """
customers = [{ key = "acme", rate_card = "standard" }]
[[agents]]
key = "support"
settlement_period = 1
condition = [{ fact = "resolved", operator = "seen" }]
[[rate_cards]]
key = "standard"
currency = "EUR"
entries = [{ agent = "support", price_per_unit = "1" }]
"""


class Life:
    """A daemon's process. `log` is what it said so far."""

    def __init__(self, server: Server, state_dir: Path, number: int) -> None:
        self._log = state_dir / f"log-{number}"
        self._environ = {name: value for name, value in os.environ.items() if not name.startswith("WITND_")} | {
            "WITND_CONFIG": os.devnull,
            "WITND_REDIS__URL": server.url,
            "WITND_DAEMON__STATE_DIR": str(state_dir),
            "WITND_DAEMON__LEASE": "2",
        }
        with self._log.open("wb") as out:
            self.process = subprocess.Popen(
                self._command("run"), env=self._environ, stderr=out, stdin=subprocess.DEVNULL
            )

    def _command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "witnd", *words]

    def witnd(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._command(*words), env=self._environ, capture_output=True, text=True, timeout=SECONDS, check=False
        )

    @property
    def log(self) -> str:
        return self._log.read_text()

    def says(self, event: str) -> None:
        until(lambda: f'"{event}"' in self.log or self.process.poll() is not None, f"{event} in the log")
        assert f'"{event}"' in self.log, self.log

    def exit_code(self) -> int:
        return self.process.wait(SECONDS)


@pytest.fixture
def life(short_dir: Path) -> Iterator[Callable[[Server], Life]]:
    with ExitStack() as stack:
        lives: list[Life] = []

        def start(server: Server) -> Life:
            one = Life(server, short_dir, len(lives))
            lives.append(one)
            stack.callback(one.process.kill)
            return one

        yield start
        for one in lives:
            one.process.kill()
            one.process.wait(SECONDS)


def apply(life: Life, directory: Path) -> None:
    file = directory / "catalogue.toml"
    file.write_text(CATALOGUE)
    done = life.witnd("apply", str(file))
    assert done.returncode == 0, done.stderr


def begin(server: Callable[[], Server], life: Callable[[Server], Life], directory: Path) -> tuple[Server, Life]:
    """A server with a daemon beside it that is ready, and a catalogue in force."""
    redis = server()
    one = life(redis)
    one.says("daemon.ready")
    apply(one, directory)
    return redis, one


def send(server: Server, key: str) -> None:
    event = {"key": key, "action": "resolved", "customer_key": "acme", "idempotency_key": key}
    server.call("XADD", "witn:{0}:events", "*", "data", json.dumps(event))


def resolved(server: Server) -> int:
    found: Any = server.call("XLEN", "witn:{0}:resolutions")
    return int(found)


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        (("--appendonly", "no"), "keeps nothing on disk"),
        (("--maxmemory-policy", "allkeys-lru"), "evicts keys"),
        (("--replicaof", "127.0.0.1 1"), "replica"),
    ],
)
def test_a_redis_that_must_not_be_billed_from_is_refused_with_the_remedy(server, life, setting, says) -> None:
    refused = life(server(extra=setting))

    assert refused.exit_code() == 3
    assert says in refused.log
    assert "daemon.ready" not in refused.log


def test_a_full_redis_is_waited_out(server, life, short_dir) -> None:
    redis, one = begin(server, life, short_dir)
    send(redis, "ticket-0001")
    redis.call("CONFIG", "SET", "maxmemory", "1")
    one.says("redis.waiting")
    redis.call("CONFIG", "SET", "maxmemory", "0")

    until(lambda: resolved(redis) == 1, "the outcome is settled")
    assert "memory limit" in one.log
    assert one.process.poll() is None


def test_eviction_switched_on_pauses_and_switched_off_goes_on(server, life, short_dir) -> None:
    redis, one = begin(server, life, short_dir)
    redis.call("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    one.says("partition.paused")
    send(redis, "ticket-0001")
    redis.call("CONFIG", "SET", "maxmemory-policy", "noeviction")
    one.says("partition.resumed")

    until(lambda: resolved(redis) == 1, "the outcome is settled")


def test_a_primary_made_a_replica_is_waited_for(server, life, short_dir) -> None:
    redis, one = begin(server, life, short_dir)
    send(redis, "ticket-0001")
    redis.call("REPLICAOF", "127.0.0.1", "1")
    one.says("partition.paused")
    # The lease lapses meanwhile: it is taken again, and everything is read anew.
    until(lambda: redis.call("EXISTS", "witn:{0}:owner") == 0, "the lease lapses")
    redis.call("REPLICAOF", "NO", "ONE")

    until(lambda: resolved(redis) == 1, "the outcome is settled")
    assert one.process.poll() is None


def test_a_redis_that_lost_everything_ends_the_daemon_and_is_refused_by_the_next(server, life, short_dir) -> None:
    redis, one = begin(server, life, short_dir)
    send(redis, "ticket-0001")
    until(lambda: resolved(redis) == 1, "the outcome is settled")
    until(lambda: any('"0":' in one.read_text() for one in short_dir.glob("journal-*.json")), "the journal")
    redis.call("FLUSHALL")

    assert one.exit_code() == 3
    assert "lost" in one.log
    following = life(redis)
    assert following.exit_code() == 3
    assert "witn:meta is lost" in following.log


def test_a_redis_restored_from_an_older_copy_is_refused(server, life, short_dir) -> None:
    redis, one = begin(server, life, short_dir)
    send(redis, "ticket-0001")
    until(lambda: resolved(redis) == 1, "the first outcome is settled")
    one.process.terminate()
    assert one.exit_code() == 0
    redis.stop()
    copy = short_dir / "copy"
    shutil.copytree(redis.dir / "appendonlydir", copy)
    redis.start()
    send(redis, "ticket-0002")
    following = life(redis)
    until(lambda: resolved(redis) == 2, "the second outcome is settled")
    following.process.terminate()
    assert following.exit_code() == 0
    redis.stop()
    shutil.rmtree(redis.dir / "appendonlydir")
    copy.rename(redis.dir / "appendonlydir")
    redis.start()

    refused = life(redis)
    assert refused.exit_code() == 3
    assert "Redis lost data" in refused.log
    assert resolved(redis) == 1


@pytest.mark.parametrize("how", [("XTRIM", "MAXLEN", "1"), ("XDEL",)])
def test_entries_that_vanish_unread_stop_the_daemon(server, life, short_dir, how) -> None:
    redis, one = begin(server, life, short_dir)
    send(redis, "ticket-0001")
    until(lambda: resolved(redis) == 1, "the outcome is settled")
    one.process.terminate()
    assert one.exit_code() == 0
    for number in range(2, 5):
        send(redis, f"ticket-000{number}")
    entries: Any = redis.call("XRANGE", "witn:{0}:events", "-", "+")
    last = entries[-2][0] if how == ("XDEL",) else None
    redis.call(how[0], "witn:{0}:events", *([last] if last else how[1:]))

    stopped = life(redis)
    assert stopped.exit_code() == 3
    assert "events are missing" in stopped.log
    accepted = stopped.witnd("repair", "gap", "--yes")
    assert accepted.returncode == 0, accepted.stderr
    going_on = life(redis)
    until(lambda: resolved(redis) == (2 if how[0] == "XTRIM" else 3), "what is left is settled")
    assert going_on.process.poll() is None


def test_an_entry_far_ahead_of_the_clock_stops_the_log_until_it_is_repaired(server, life, short_dir) -> None:
    redis, one = begin(server, life, short_dir)
    event = {"key": "ticket-0001", "action": "resolved", "customer_key": "acme"}
    redis.call("XADD", "witn:{0}:events", "9999999999999-0", "data", json.dumps(event))
    one.says("log.blocked")
    assert resolved(redis) == 0
    repaired = one.witnd("repair", "ahead", "--yes")
    assert repaired.returncode == 0, repaired.stderr
    send(redis, "ticket-0002")

    until(lambda: resolved(redis) == 2, "both are settled")
    assert "log.unblocked" in one.log


def test_a_server_that_is_still_loading_is_waited_for(
    server: Callable[..., Server], life: Callable[[Server], Life], short_dir: Path
) -> None:
    # Without snapshots, as witnd's own servers run: while it loads, it says that it has no append-only file either.
    redis = server(extra=("--save", ""))
    start_loading(redis)
    one = life(redis)
    one.says("redis.loading")
    finish_loading(redis)
    one.says("daemon.ready")


@pytest.mark.anyio
async def test_who_is_told_to_stop_before_it_began_stops(redis_url: str, short_dir: Path) -> None:
    config = Config(redis=RedisConfig(url=redis_url), daemon=DaemonConfig(instance="hasty", state_dir=short_dir))
    daemon = Daemon(config, Systemd(), remember=False)
    daemon.stop()
    async with asyncio.timeout(SECONDS):
        await daemon.run(endpoint(redis_url))
