"""Lost data of one partition stops that partition, on every daemon, and nothing else."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.daemon import SECONDS, Daemon
from tests.support.processes import until
from tests.support.server import Server
from witnd.store.keys import Keys

StartServer = Callable[..., Server]
FIRST, SECOND = Keys("witn", 0), Keys("witn", 1)
# Keys of outcomes in each partition.
IN_FIRST, IN_SECOND = ("outcome-0001", "outcome-0002"), ("outcome-0004", "outcome-0005")


@pytest.fixture
def redis(server: StartServer) -> Server:
    return server()


@pytest.fixture
def start(redis: Server, short_dir: Path) -> Iterator[Callable[[str], Daemon]]:
    with ExitStack() as stack:

        def begin(name: str) -> Daemon:
            settings = {"daemon__instance": name, "daemon__lease": "1", "redis__partitions": "2"}
            return stack.enter_context(Daemon(redis, short_dir / name, **settings))

        yield begin


def owner(redis: Server, keys: Keys) -> bytes:
    found = redis.call("GET", keys.owner)
    return found.rpartition(b":")[2] if isinstance(found, bytes) else b""


def test_a_partition_that_lost_steps_stops_and_no_daemon_takes_it(
    redis: Server, start: Callable[[str], Daemon]
) -> None:
    first = start("a")
    first.begins()
    first.send(IN_FIRST[0], 0)
    first.settles(1, 0)
    redis.call("HINCRBY", FIRST.state, "seq", -1)
    first.send(IN_FIRST[1], 0)
    stopped = first.says("partition.stopped", partition=0)
    assert "Redis lost data" in stopped["reason"]
    assert stopped["remedy"]
    status, body = first.get("/readyz")
    assert status == 503
    assert "partition 0 has stopped" in body["error"]["message"]

    first.send(IN_SECOND[0], 1)
    first.settles(1, 1)
    # The second daemon does not know of the loss. It gets the other partition, as an even share.
    second = start("b")
    until(lambda: owner(redis, SECOND) == b"b", "the other partition moves", seconds=SECONDS)
    second.send(IN_SECOND[1], 1)
    second.settles(2, 1)
    assert owner(redis, FIRST) == b"a"
    assert redis.call("XLEN", FIRST.resolutions) == 1
    assert [one.process.poll() for one in (first, second)] == [None, None]
    assert first.terminate() == 3
    assert "Redis lost data" in first.log


def test_a_daemon_that_has_lost_all_its_partitions_ends(redis: Server, start: Callable[[str], Daemon]) -> None:
    one = start("a")
    one.begins()
    for number, keys in enumerate((IN_FIRST, IN_SECOND)):
        one.send(keys[0], number)
        one.settles(1, number)
    for number, keys in enumerate((FIRST, SECOND)):
        redis.call("HINCRBY", keys.state, "seq", -1)
        one.send((IN_FIRST, IN_SECOND)[number][1], number)
    assert one.exit_code() == 3
    assert "Redis lost data" in one.log
