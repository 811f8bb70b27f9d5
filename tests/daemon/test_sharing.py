"""Several daemons of one deployment share its partitions."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.daemon import SECONDS, Daemon
from tests.support.processes import until
from tests.support.server import Server
from witnd.domain.outcomes.partitioning import partition_of
from witnd.store.keys import BillingKeys, Keys

StartServer = Callable[..., Server]
PARTITIONS = 6
LEASE = 1.0


class Group:
    """Daemons beside one server."""

    def __init__(self, server: Server, directory: Path, stack: ExitStack) -> None:
        self.server = server
        self._directory = directory
        self._stack = stack
        self._started = 0

    def daemon(self, name: str, *, partitions: int = PARTITIONS, lease: float = LEASE) -> Daemon:
        self._started += 1
        return self._stack.enter_context(
            Daemon(
                self.server,
                self._directory / f"{name}-{self._started}",
                daemon__instance=name,
                daemon__lease=str(lease),
                redis__partitions=str(partitions),
            )
        )

    def owners(self, partitions: int = PARTITIONS) -> list[str]:
        """The instance that has the lease of each partition, '' for none."""
        values = [self.server.call("GET", Keys("witn", number).owner) for number in range(partitions)]
        return [value.decode().rpartition(":")[2] if isinstance(value, bytes) else "" for value in values]

    def counts(self, partitions: int = PARTITIONS) -> dict[str, int]:
        owners = self.owners(partitions)
        return {name: owners.count(name) for name in sorted(set(owners))}


@pytest.fixture
def group(server: StartServer, short_dir: Path) -> Iterator[Group]:
    with ExitStack() as stack:
        yield Group(server(), short_dir, stack)


def shared(group: Group, **counts: int) -> None:
    until(lambda: group.counts() == counts, f"the partitions are shared {counts}", seconds=SECONDS)


def test_daemons_that_join_and_stop_share_the_partitions_with_the_fewest_moves(group: Group) -> None:
    first = group.daemon("a")
    shared(group, a=6)
    second = group.daemon("b")
    shared(group, a=3, b=3)
    kept = [number for number, owner in enumerate(group.owners()) if owner == "a"]
    group.daemon("c")
    shared(group, a=2, b=2, c=2)
    assert [number for number, owner in enumerate(group.owners()) if owner == "a"] == kept[:2]
    assert first.terminate() == 0
    shared(group, b=3, c=3)
    assert second.terminate() == 0
    shared(group, c=6)


def test_an_orderly_stop_hands_the_partitions_over_within_a_second(group: Group) -> None:
    first = group.daemon("a")
    first.begins()
    second = group.daemon("b")
    shared(group, a=3, b=3)
    second.says("partition.running", times=3)
    first.process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    second.says("partition.running", times=6)
    handed_over = time.monotonic() - began
    assert first.exit_code() == 0
    assert "lease.expired" not in second.log
    # Not a measurement: a lease that nobody had released would last longer.
    assert handed_over < SECONDS


def test_the_partitions_of_a_killed_daemon_settle_again_on_the_others(group: Group) -> None:
    first = group.daemon("a")
    first.begins()
    second = group.daemon("b")
    shared(group, a=3, b=3)
    first.kill()
    shared(group, b=6)
    key = "outcome-0001"
    number = partition_of(key, PARTITIONS)
    second.send(key, number)
    second.settles(1, number)


@pytest.mark.slow
def test_a_daemon_that_hangs_loses_its_partitions_and_gets_some_back_when_it_wakes_up(group: Group) -> None:
    first = group.daemon("a")
    first.begins()
    second = group.daemon("b")
    shared(group, a=3, b=3)
    os.kill(first.process.pid, signal.SIGSTOP)
    shared(group, b=6)
    os.kill(first.process.pid, signal.SIGCONT)
    shared(group, a=3, b=3)
    assert [one.process.poll() for one in (first, second)] == [None, None]
    assert first.lines("lease.lost")


def test_one_daemon_makes_the_invoices(group: Group) -> None:
    for name in ("a", "b"):
        group.daemon(name)
    shared(group, a=3, b=3)
    owner = BillingKeys("witn").owner
    until(lambda: group.server.call("EXISTS", owner) == 1, "one of them makes the invoices", seconds=SECONDS)


def test_a_second_daemon_with_the_same_name_ends_and_the_first_continues(group: Group) -> None:
    first = group.daemon("a")
    shared(group, a=6)
    again = group.daemon("a")
    assert again.exit_code() == 4
    assert "another daemon runs with the instance name 'a'; give each daemon its own daemon.instance" in again.log
    assert first.process.poll() is None
    shared(group, a=6)


def test_a_daemon_whose_name_was_taken_while_it_hung_ends(group: Group) -> None:
    first = group.daemon("a")
    shared(group, a=6)
    os.kill(first.process.pid, signal.SIGSTOP)
    again = group.daemon("a")
    again.says("partition.running", times=6)
    os.kill(first.process.pid, signal.SIGCONT)
    assert first.exit_code() == 4
    assert again.process.poll() is None


def test_a_daemon_that_is_killed_and_started_again_takes_its_name_at_once(group: Group) -> None:
    long = 60.0
    first = group.daemon("a", lease=long)
    shared(group, a=6)
    first.kill()
    again = group.daemon("a", lease=long)
    again.says("partition.running", times=6)


def test_records_of_another_program_do_not_disturb_the_daemons(group: Group) -> None:
    group.server.call("HSET", "witn:{shared}:daemons", "a", "garbage", "x", "more garbage", "y", 'z {"v": "?"}')
    group.daemon("a")
    group.daemon("b")
    shared(group, a=3, b=3)


def test_more_daemons_than_partitions_wait_and_are_ready(group: Group) -> None:
    for name in ("a", "b", "c"):
        one = group.daemon(name, partitions=2)
        one.says("daemon.ready")
    until(lambda: group.counts(2) in ({"a": 1, "b": 1}, {"a": 1, "c": 1}), "two of them have one each", seconds=SECONDS)
