"""What happens to Redis under a running daemon: it is waited out, and every outcome is settled exactly once."""

import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import Daemon
from tests.support.processes import until
from tests.support.resp import FakeServer, Words, error
from tests.support.server import Server, free_port
from tests.support.stall import StallingProxy

StartServer = Callable[..., Server]
RESOLUTIONS = "witn:{0}:resolutions"
# What servers reply that did not execute a command.
REFUSALS = [
    "READONLY You can't write against a read only replica.",
    "LOADING Redis is loading the dataset in memory",
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "NOAUTH Authentication required.",
    "NOPERM User default has no permissions to run the 'evalsha' command",
    "CLUSTERDOWN The cluster is down",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "TRYAGAIN Multiple keys request during rehashing of slot",
    "MOVED 3999 127.0.0.1:6381",
    "OOM command not allowed when used memory > 'maxmemory'.",
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
    "NOREPLICAS Not enough good replicas to write.",
    "ERR max number of clients reached",
]


def ready(daemon: Daemon, status: int) -> None:
    until(lambda: daemon.get("/readyz")[0] == status, f"/readyz answers {status}", seconds=60)


@contextmanager
def beside_fake(redis: Server, directory: Path) -> Iterator[tuple[FakeServer, Daemon]]:
    """A daemon that reaches the server through a proxy."""
    with (
        FakeServer(redis.socket, directory / "fake.sock") as fake,
        Daemon(redis, directory / "state", redis__url=fake.url) as daemon,
    ):
        yield fake, daemon


@pytest.mark.slow
@pytest.mark.parametrize("reply", REFUSALS, ids=lambda text: text.split()[0])
def test_a_reply_that_refuses_is_waited_out_by_every_part(server: StartServer, short_dir: Path, reply: str) -> None:
    redis = server()
    with beside_fake(redis, short_dir) as (fake, daemon):
        daemon.begins()
        token = daemon.token()
        assert daemon.post_event("ticket-1", token)[0] == 202
        daemon.settles(1)
        refused = threading.Event()

        def answer(words: Words) -> bytes | None:
            if words[0].upper() in (b"XADD", b"EVALSHA", b"EVAL", b"XREAD"):
                refused.set()
                return error(reply)
            return None

        fake.answer = answer
        status, body = daemon.post_event("ticket-2", token)
        assert status == 503, body
        assert refused.wait(20)
        daemon.says("redis.waiting")
        lines = len(daemon.lines())
        daemon.send("ticket-3")
        fake.answer = lambda words: None
        assert daemon.post_event("ticket-2", token)[0] == 202
        daemon.settles(3)
        ready(daemon, 200)
        assert lines < 60
        assert "Traceback" not in daemon.log
        assert daemon.process.poll() is None


@pytest.mark.slow
def test_a_server_that_hangs_refuses_events_and_nothing_is_written_twice(server: StartServer, short_dir: Path) -> None:
    redis = server()
    with Daemon(redis, short_dir / "state", daemon__lease="5") as daemon:
        daemon.begins()
        token = daemon.token()
        redis.pause()
        status, _ = daemon.post_event("ticket-1", token)
        assert status == 503
        ready(daemon, 503)
        # A read waits 6 s, so the lease of 5 s has expired.
        daemon.says("redis.waiting", doing="reading the log")
        assert daemon.get("/healthz")[0] == 200
        redis.resume()
        until(lambda: daemon.post_event("ticket-1", token)[0] == 202, "it is accepted", seconds=60)
        daemon.settles(1)
        ready(daemon, 200)
        assert daemon.witnd("audit").returncode == 0


def test_a_lease_that_expires_while_a_read_is_repeated_leaves_the_daemon_ready(
    server: StartServer, short_dir: Path
) -> None:
    """The read is cancelled with the lease. What it waited for must not stay in `/readyz`."""
    redis = server()
    owner = "witn:{0}:owner"
    with beside_fake(redis, short_dir) as (fake, daemon):
        daemon.begins()
        ready(daemon, 200)
        first = redis.call("GET", owner)

        def answer(words: Words) -> bytes | None:
            if words[0].upper() == b"XREAD" and redis.call("GET", owner) in (first, None):
                return error(REFUSALS[1])
            return None

        fake.answer = answer
        daemon.send("ticket-1")
        ready(daemon, 503)
        redis.call("DEL", owner)
        until(lambda: redis.call("GET", owner) not in (first, None), "the lease is taken again", seconds=60)
        daemon.settles(1)
        ready(daemon, 200)


def newest(server: Server) -> Path:
    """The append-only file that is written at the moment."""
    return max((server.dir / "appendonlydir").glob("*.incr.aof"), key=lambda file: file.stat().st_mtime)


def test_a_step_that_was_cut_in_the_append_only_file_is_made_again_as_a_whole(
    server: StartServer, short_dir: Path
) -> None:
    """By a daemon of another host, whose journal does not know of the step; the same host would refuse."""
    redis = server()
    with Daemon(redis, short_dir / "one", daemon__instance="one") as daemon:
        daemon.begins()
        daemon.send("ticket-1")
        daemon.settles(1)
    redis.kill()
    file = newest(redis)
    data = file.read_bytes()
    written = data.rindex(RESOLUTIONS.encode())
    begin = data.rindex(b"MULTI", 0, written)
    end = data.index(b"EXEC", written)
    file.write_bytes(data[: (max(begin, written) + end) // 2])
    redis.start()
    assert daemon.resolved() == 0
    with Daemon(redis, short_dir / "two", daemon__instance="two") as daemon:
        daemon.settles(1)
        audit = daemon.witnd("audit")
        assert audit.returncode == 0, audit.stdout


def test_a_damaged_append_only_file_is_waited_for_without_a_storm_of_lines(
    server: StartServer, short_dir: Path
) -> None:
    redis = server()
    with Daemon(redis, short_dir / "state") as daemon:
        daemon.begins()
        daemon.send("ticket-1")
        daemon.settles(1)
        redis.stop()
        file = newest(redis)
        sound = file.read_bytes()
        # The beginning of a command: bytes within a value would be read as another value.
        at = sound.index(b"\r\n*", len(sound) // 2) + 2
        file.write_bytes(sound[:at] + b"\xff\xff\xff" + sound[at + 3 :])
        with pytest.raises(AssertionError, match="the server has ended"):
            redis.start()
        redis.close()
        ready(daemon, 503)
        daemon.says("redis.waiting")
        assert daemon.process.poll() is None
        file.write_bytes(sound)
        redis.start()
        ready(daemon, 200)
        daemon.send("ticket-2")
        daemon.settles(2)
        # Each part waits up to 2 s between two tries, and says a reason once a minute.
        reasons = [(line["doing"], line["reason"]) for line in daemon.lines("redis.waiting")]
        assert len(reasons) == len(set(reasons))
        assert len(reasons) < 20


def _can_trace(pid: int) -> subprocess.Popen[bytes] | None:
    """Every fdatasync of the process fails from now on; None where that cannot be done here."""
    if shutil.which("strace") is None:
        return None
    tracer = subprocess.Popen(
        ["strace", "-f", "-p", str(pid), "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO"],
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )
    assert tracer.stderr is not None
    line = tracer.stderr.readline()
    if b"attached" in line:
        return tracer
    tracer.kill()
    tracer.wait()
    return None


def test_a_disk_that_cannot_sync_refuses_the_event_which_is_then_sent_again(
    server: StartServer, short_dir: Path
) -> None:
    """Under `appendfsync always` the server ends itself, and whether it has the event is unknown."""
    redis = server(fsync="always")
    with Daemon(redis, short_dir / "state", redis__durability="fsync") as daemon:
        daemon.begins()
        token = daemon.token()
        tracer = _can_trace(redis.pid)
        if tracer is None:
            pytest.skip("needs strace and the right to trace (ptrace)")
        try:
            status, body = daemon.post_event("ticket-1", token)
            assert status == 503, body
            until(lambda: "fsync" in redis.log, "the server says why it ends")
        finally:
            tracer.kill()
            tracer.wait()
            tracer.communicate()
        redis.close()
        redis.start()
        until(lambda: daemon.post_event("ticket-1", token)[0] == 202, "it is accepted", seconds=60)
        daemon.settles(1)


def test_a_replica_that_answers_and_gets_no_data_confirms_no_event(server: StartServer, short_dir: Path) -> None:
    """The asymmetric partition: acknowledgements of the replica arrive, the events do not reach it."""
    port = free_port()
    primary = server(extra=("--port", str(port), "--repl-diskless-sync-delay", "0"))
    with StallingProxy(port) as proxy:
        server(extra=("--replicaof", f"127.0.0.1 {proxy.port}"))

        def in_step() -> bool:
            with primary.sync() as client:
                info: Any = client.info("replication")
                return bool(info.get("slave0", {}).get("state") == "online")

        until(in_step, "the replica is in step")
        with Daemon(primary, short_dir / "state", redis__durability="replica") as daemon:
            daemon.says("daemon.ready")
            token = daemon.token()
            assert daemon.post_event("ticket-1", token)[0] == 202
            proxy.open.clear()
            status, body = daemon.post_event("ticket-2", token)
            assert status == 503
            assert "replicas" in body["error"]["message"]
            assert in_step()
            proxy.open.set()
            accepted = lambda: daemon.post_event("ticket-2", token)[0] == 202  # noqa: E731
            until(accepted, "events are accepted again", seconds=60)
