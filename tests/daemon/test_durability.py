"""`redis.durability`: a 202 keeps its promise, or there is no 202 and no daemon."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.daemon import Daemon
from tests.support.processes import until
from tests.support.server import Server, free_port

StartServer = Callable[..., Server]
SNAPSHOTS = ("--appendonly", "no", "--save", "3600 1")


@pytest.mark.parametrize(
    ("durability", "extra", "says"),
    [
        ("fsync", (*SNAPSHOTS, "--appendfsync", "always"), "appendonly yes"),
        ("fsync", (*SNAPSHOTS, "--appendfsync", "everysec"), "appendonly yes"),
        ("fsync", ("--appendfsync", "no"), "appendfsync everysec"),
        ("replica:2", (), "0 of 2 replicas"),
    ],
)
def test_a_promise_that_the_server_cannot_keep_is_refused_at_start_and_by_doctor(
    server: StartServer, short_dir: Path, durability: str, extra: tuple[str, ...], says: str
) -> None:
    redis = server(extra=extra)
    with Daemon(redis, short_dir / "state", redis__durability=durability) as daemon:
        assert daemon.exit_code() == 3
        assert says in daemon.log
        assert "Traceback" not in daemon.log
        doctor = daemon.witnd("doctor")
        assert doctor.returncode == 3
        assert says in " ".join(doctor.stdout.split())


@pytest.mark.parametrize("fsync", [pytest.param("always", marks=pytest.mark.slow), "everysec"])
def test_an_append_only_file_switched_off_is_noticed_and_on_again_too(
    server: StartServer, short_dir: Path, fsync: str
) -> None:
    redis = server(extra=("--save", "3600 1"), fsync=fsync)
    with Daemon(redis, short_dir / "state", redis__durability="fsync") as daemon:
        daemon.says("daemon.ready")
        token = daemon.token()
        assert daemon.post_event("ticket-1", token)[0] == 202

        redis.call("CONFIG", "SET", "appendonly", "no")
        daemon.says("partition.paused")
        for number in (2, 3):
            status, body = daemon.post_event(f"ticket-{number}", token)
            assert status == 503
            assert "appendonly no" in body["error"]["message"]
        written = redis.call("XLEN", "witn:{0}:events")
        assert isinstance(written, int)
        assert written <= 2  # only the one that came first, before anybody knew

        redis.call("CONFIG", "SET", "appendonly", "yes")
        daemon.says("partition.resumed")
        until(
            lambda: daemon.post_event("ticket-4", token)[0] == 202,
            "events are accepted again",
        )
        daemon.says("ingest.resumed")


def test_syncing_left_to_the_system_while_it_runs_is_said_and_waited_for(server: StartServer, short_dir: Path) -> None:
    redis = server()
    with Daemon(redis, short_dir / "state", redis__durability="fsync") as daemon:
        daemon.says("daemon.ready")
        token = daemon.token()
        redis.call("CONFIG", "SET", "appendfsync", "no")
        daemon.says("partition.paused")
        answers = [daemon.post_event(f"ticket-{number}", token) for number in (1, 2)]
        assert [status for status, _ in answers] == [503, 503]
        assert "appendfsync no" in answers[1][1]["error"]["message"]
        redis.call("CONFIG", "SET", "appendfsync", "everysec")
        until(
            lambda: daemon.post_event("ticket-3", token)[0] == 202,
            "events are accepted again",
        )


def test_replicas_that_are_missing_refuse_events_until_they_are_back(server: StartServer, short_dir: Path) -> None:
    port = free_port()
    primary = server(extra=("--port", str(port), "--repl-diskless-sync-delay", "0"))
    replica = server(extra=("--replicaof", f"127.0.0.1 {port}"))
    until(lambda: b"state=online" in _info(primary), "the replica is in step")
    with Daemon(primary, short_dir / "state", redis__durability="replica") as daemon:
        daemon.says("daemon.ready")
        token = daemon.token()
        assert daemon.post_event("ticket-1", token)[0] == 202
        replica.kill()
        answers = [daemon.post_event(f"ticket-{number}", token) for number in (2, 3)]
        assert [status for status, _ in answers] == [503, 503]
        assert "replica" in answers[1][1]["error"]["message"]
        replica.start()
        until(lambda: b"state=online" in _info(primary), "the replica is back")
        until(
            lambda: daemon.post_event("ticket-4", token)[0] == 202,
            "events are accepted again",
        )


def _info(server: Server) -> bytes:
    with server.sync() as client:
        return str(client.execute_command("INFO", "replication")).replace("'state': 'online'", "state=online").encode()
