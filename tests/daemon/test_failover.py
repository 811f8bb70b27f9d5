"""The primary dies and a replica behind it takes its place, at the same address."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import CATALOGUE, SECONDS, Daemon, rule
from tests.support.processes import until
from tests.support.receiver import Webhook, receiver
from tests.support.server import Server, free_port
from tests.support.stall import StallingProxy
from witnd.store.keys import Keys

pytestmark = pytest.mark.slow

KEYS = Keys("witn", 0)
StartServer = Callable[..., Server]


class Pair:
    """A primary and its replica. Daemons reach through `address` the one that is in charge."""

    def __init__(self, start: StartServer, directory: Path, stack: ExitStack) -> None:
        port = free_port()
        self.primary = start(extra=("--port", str(port), "--repl-diskless-sync-delay", "0"))
        self.proxy = stack.enter_context(StallingProxy(port))
        self.replica = start(extra=("--replicaof", f"127.0.0.1 {self.proxy.port}"))
        self.address = directory / "address.sock"
        self.address.symlink_to(self.primary.socket)
        self._directory = directory
        self._stack = stack

    def daemon(self, name: str, **more: str) -> Daemon:
        settings = {"redis__url": f"unix://{self.address}", "daemon__instance": name, "daemon__lease": "2"} | more
        return self._stack.enter_context(Daemon(self.primary, self._directory / f"state-{name}", **settings))

    def in_step(self) -> None:
        """Wait until the replica has all that the primary has."""

        def holds() -> bool:
            return bool(self.primary.call("WAIT", 1, 100))

        until(holds, "the replica is in step", seconds=SECONDS)

    def fail_over(self) -> None:
        self.primary.kill()
        self.take_over()

    def take_over(self) -> None:
        """Make the replica the primary in place of the dead one."""
        self.replica.call("REPLICAOF", "NO", "ONE")
        fresh = self.address.with_suffix(".new")
        fresh.symlink_to(self.replica.socket)
        fresh.replace(self.address)


@pytest.fixture
def pair(server: StartServer, short_dir: Path) -> Iterator[Pair]:
    with ExitStack() as stack:
        yield Pair(server, short_dir, stack)


def resolved(server: Server) -> list[str]:
    with server.sync() as client:
        entries: Any = client.xrange(KEYS.resolutions)
    return [json.loads(fields[b"data"])["outcome_key"] for _, fields in entries]


def begin(pair: Pair) -> tuple[Daemon, Daemon]:
    owner = pair.daemon("a")
    owner.begins()
    standby = pair.daemon("b")
    standby.says("partition.standby")
    owner.send("outcome-0001")
    owner.settles(1)
    return owner, standby


def test_a_failover_that_loses_steps_stops_both_daemons_and_bills_nothing_twice(pair: Pair) -> None:
    owner, standby = begin(pair)
    pair.in_step()
    pair.proxy.open.clear()
    owner.send("outcome-0002")
    owner.settles(2)
    sequence = int(str(pair.primary.call("HGET", KEYS.state, "seq"), "ascii"))  # type: ignore[arg-type]

    def is_noted() -> bool:
        noted = [json.loads(one.read_text()) for one in pair.address.parent.glob("state-*/journal-*.json")]
        return [one["sequences"].get("0", 0) >= sequence for one in noted] == [True, True]

    until(is_noted, "both daemons know of the step", seconds=SECONDS)
    pair.fail_over()

    assert owner.exit_code() == 3, owner.log
    assert standby.exit_code() == 3, standby.log
    for one in (owner, standby):
        assert "Redis lost data" in one.log
    assert resolved(pair.replica) == ["outcome-0001"]
    # Nor does one that is started anew bill on from there.
    again = pair.daemon("a")
    assert again.exit_code() == 3
    assert resolved(pair.replica) == ["outcome-0001"]


def test_a_failover_that_loses_the_lease_alone_is_survived_by_both_daemons(pair: Pair) -> None:
    """The number of the lease goes back, so the new lease may have the number of the lost one: the nonce differs."""
    owner, standby = begin(pair)
    pair.in_step()
    pair.proxy.open.clear()
    os.kill(owner.process.pid, signal.SIGSTOP)
    standby.says("partition.running")
    epoch = pair.primary.call("HGET", KEYS.state, "epoch")
    before = pair.primary.call("HGET", KEYS.state, "seq")
    assert before == pair.replica.call("HGET", KEYS.state, "seq"), "a step is lost, which this test is not about"
    pair.fail_over()
    os.kill(owner.process.pid, signal.SIGCONT)

    until(
        lambda: (
            pair.replica.call("HGET", KEYS.state, "epoch") == epoch and bool(pair.replica.call("EXISTS", KEYS.owner))
        ),
        "one of them takes the lease",
        seconds=SECONDS,
    )
    owner.server = pair.replica
    for number in (2, 3):
        owner.send(f"outcome-{number:04}")
    owner.settles(3)
    assert resolved(pair.replica) == ["outcome-0001", "outcome-0002", "outcome-0003"]
    assert [one.process.poll() for one in (owner, standby)] == [None, None]
    for one in (owner, standby):
        assert one.terminate() == 0
    audited = owner.witnd("audit")
    assert audited.returncode == 0, audited.stdout


def told(webhooks: list[Webhook]) -> list[str]:
    return [json.loads(one.body)["data"]["facts"]["outcomeKey"] for one in webhooks]


def test_steps_that_were_not_confirmed_are_decided_again_and_no_webhook_told_of_them(pair: Pair) -> None:
    with receiver() as (url, webhooks):
        undo_unconfirmed_steps(pair, url, webhooks)


def undo_unconfirmed_steps(pair: Pair, url: str, webhooks: list[Webhook]) -> None:
    owner = pair.daemon("a", redis__durability="replica", webhooks__allow_networks="127.0.0.0/8")
    owner.begins(CATALOGUE + rule(url))
    owner.send("outcome-0001")
    owner.settles(1)
    until(lambda: told(webhooks) == ["outcome-0001"], "the first webhook arrives", seconds=SECONDS)
    until(lambda: pair.primary.call("ZCARD", KEYS.delivered) == 1, "its answer is recorded", seconds=SECONDS)
    pair.in_step()
    pair.proxy.open.clear()
    owner.send("outcome-0002")
    owner.settles(2)
    owner.says("steps.unconfirmed")
    assert told(webhooks) == ["outcome-0001"]

    pair.fail_over()
    owner.server = pair.replica
    owner.says("partition.running", times=2)
    undone = owner.says("partition.undone")
    assert undone["written"] > undone["confirmed"]
    owner.send("outcome-0003")
    owner.settles(2)
    assert resolved(pair.replica) == ["outcome-0001", "outcome-0003"]
    assert told(webhooks) == ["outcome-0001"], "the new primary has no replica that could confirm"
    assert owner.process.poll() is None
    audited = owner.witnd("audit")
    assert audited.returncode == 0, audited.stdout


def test_a_new_primary_that_can_confirm_at_once_confirms_only_steps_that_it_has(
    pair: Pair, server: StartServer
) -> None:
    """The new primary has a replica of its own. The daemon looks at its log later than it repeats the confirmation."""
    with receiver() as (url, webhooks):
        port = free_port()
        until(lambda: pair.replica.call("CONFIG", "SET", "port", port) in (True, b"OK"), "the replica listens")
        chained = server(extra=("--replicaof", f"127.0.0.1 {port}"))
        until(lambda: b"up" in _link(chained), "the second replica is in step", seconds=SECONDS)
        owner = pair.daemon(
            "a", redis__durability="replica", webhooks__allow_networks="127.0.0.0/8", daemon__lease="30"
        )
        owner.begins(CATALOGUE + rule(url))
        owner.send("outcome-0001")
        owner.settles(1)
        until(lambda: told(webhooks) == ["outcome-0001"], "the first webhook arrives", seconds=SECONDS)
        until(lambda: pair.primary.call("ZCARD", KEYS.delivered) == 1, "its answer is recorded", seconds=SECONDS)
        pair.in_step()
        pair.proxy.open.clear()
        owner.send("outcome-0002")
        owner.settles(2)
        owner.says("steps.unconfirmed")
        pair.primary.stop()
        owner.says("redis.waiting", doing="reading the log")
        time.sleep(4)  # until the pauses between its attempts are long
        pair.take_over()
        owner.server = pair.replica
        owner.says("partition.undone")
        owner.says("steps.confirmed")
        owner.send("outcome-0003")
        owner.settles(2)
        until(lambda: len(webhooks) == 2, "the third outcome is told of", seconds=SECONDS)
        assert told(webhooks) == ["outcome-0001", "outcome-0003"]
        assert owner.process.poll() is None
        audited = owner.witnd("audit")
        assert audited.returncode == 0, audited.stdout


def _link(server: Server) -> bytes:
    with server.sync() as client:
        info: Any = client.info("replication")
    return str(info.get("master_link_status")).encode()
