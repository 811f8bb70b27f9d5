"""What another program wrote in place of a mark or of a daemon's record."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.daemon import SECONDS, Daemon
from tests.support.processes import until
from tests.support.server import Server, free_port

StartServer = Callable[..., Server]


@pytest.mark.slow
@pytest.mark.parametrize("mark", ["abc", "999999999", b"\xff\xfe"])
def test_a_mark_of_another_program_does_not_keep_a_daemon_from_taking_over(
    server: StartServer, short_dir: Path, mark: str | bytes
) -> None:
    port = free_port()
    primary = server(extra=("--port", str(port), "--repl-diskless-sync-delay", "0"))
    server(extra=("--replicaof", f"127.0.0.1 {port}"))
    until(lambda: bool(primary.call("WAIT", 1, 100)), "the replica is in step", seconds=SECONDS)
    settings = {"redis__durability": "replica", "redis__partitions": "2", "daemon__lease": "2"}
    with (
        Daemon(primary, short_dir / "a", daemon__instance="a", **settings) as owner,
        Daemon(primary, short_dir / "b", daemon__instance="b", **settings) as other,
    ):
        owner.begins()
        other.says("partition.running")
        owner.kill()
        for number in (0, 1):
            primary.call("SET", f"witn:{{{number}}}:confirmed", mark)
        other.says("partition.running", times=2)
        assert not other.lines("task.failed")
        assert not other.lines("partition.stopped")


@pytest.mark.parametrize("record", ["abc {", b"\xff\xff \xfe", '{"a": 1} {"v": 1}'])
def test_a_record_of_another_program_under_the_name_of_a_daemon_is_replaced(
    server: StartServer, short_dir: Path, record: str | bytes
) -> None:
    redis = server()
    redis.call("HSET", "witn:{shared}:daemons", "a", record)
    with Daemon(redis, short_dir / "a", daemon__instance="a", daemon__lease="1") as daemon:
        daemon.says("partition.running")
        redis.call("HSET", "witn:{shared}:daemons", "a", record)
        until(lambda: redis.call("HGET", "witn:{shared}:daemons", "a") != record, "it is replaced", seconds=SECONDS)
        assert daemon.process.poll() is None
