"""A Redis whose disk is full: events are refused, nothing is lost, and work continues when there is room.

The limit for the size of files stands for the disk: a write beyond it ends early or fails, with EFBIG where a full disk
has ENOSPC. The server inherits from the Python process that starts it that SIGXFSZ is ignored.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.daemon.test_redis_faults import newest, ready
from tests.support.daemon import Daemon
from tests.support.processes import ended, until
from tests.support.server import Server, fill

if sys.platform != "linux":
    pytest.skip("needs prlimit, which changes the limit of a running process", allow_module_level=True)
from resource import RLIM_INFINITY, RLIMIT_FSIZE, prlimit

EVENTS = "witn:{0}:events"


def limit(server: Server, size: int) -> None:
    prlimit(server.pid, RLIMIT_FSIZE, (size, RLIM_INFINITY))


def take_room(server: Server) -> None:
    """Let the append-only file grow by no more than half of an event."""
    fill(server, 4000)  # so it is larger than the server's log, which may grow
    limit(server, newest(server).stat().st_size + 100)


def accepts(daemon: Daemon, number: int, token: str) -> bool:
    return daemon.post_event(f"ticket-{number}", token)[0] == 202


def test_a_full_disk_is_waited_out_and_no_accepted_event_is_lost(
    server: Callable[..., Server], short_dir: Path
) -> None:
    """Under `appendfsync everysec` the server keeps in memory what it took before it noticed, and refuses the rest."""
    redis = server()
    with Daemon(redis, short_dir / "state", daemon__lease="5") as daemon:
        daemon.begins()
        token = daemon.token()
        assert accepts(daemon, 1, token)
        daemon.settles(1)
        take_room(redis)
        refused = 2
        while accepts(daemon, refused, token):
            refused += 1
        assert int(redis.call("XLEN", EVENTS)) >= refused - 1
        ready(daemon, 503)
        assert "cannot write" in daemon.get("/readyz")[1]["error"]["message"]
        assert "writing to the AOF file" in redis.log
        # The lease cannot be prolonged. Until it has expired, the daemon writes nothing.
        written = daemon.resolved()
        until(lambda: redis.call("EXISTS", "witn:{0}:owner") == 0, "the lease expires", seconds=60)
        assert "append-only file" in daemon.says("partition.paused")["reason"]
        # Nothing has to be committed if a heartbeat took the room before the next event.
        assert refused == 2 or daemon.lines("redis.waiting")
        assert daemon.resolved() == written

        limit(redis, RLIM_INFINITY)
        until(lambda: accepts(daemon, refused, token), "events are accepted again", seconds=60)
        daemon.settles(refused)
        ready(daemon, 200)
        assert daemon.process.poll() is None
        # All of it is in the file, too.
        redis.kill()
        redis.start()
        ready(daemon, 200)
        daemon.settles(refused)
        audit = daemon.witnd("audit")
        assert audit.returncode == 0, audit.stdout


def test_a_full_disk_that_ends_the_server_refuses_the_event_which_is_then_sent_again(
    server: Callable[..., Server], short_dir: Path
) -> None:
    """Under `appendfsync always` the server ends at the first write that fails, in the middle of a command."""
    redis = server(fsync="always")
    with Daemon(redis, short_dir / "state", redis__durability="fsync") as daemon:
        daemon.begins()
        token = daemon.token()
        assert accepts(daemon, 1, token)
        daemon.settles(1)
        take_room(redis)
        status, body = daemon.post_event("ticket-2", token)
        assert status == 503, body
        until(lambda: ended(redis.pid), "the server ends")
        assert "writing to the AOF file" in redis.log
        ready(daemon, 503)
        redis.close()
        redis.start()
        until(lambda: accepts(daemon, 2, token), "events are accepted again", seconds=60)
        daemon.settles(2)
        ready(daemon, 200)
        assert daemon.process.poll() is None
        audit = daemon.witnd("audit")
        assert audit.returncode == 0, audit.stdout
