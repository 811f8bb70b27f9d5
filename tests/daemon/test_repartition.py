"""`witnd repartition` and forwarded events, with processes that are killed."""

import asyncio
import json
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.daemon import Daemon
from tests.support.deployment import CATALOGUE, Deployment
from tests.support.processes import until
from tests.support.repartition import facts, forwarded, use
from tests.support.server import Server
from witnd.clock import Clock
from witnd.store.keys import GlobalKeys, Keys
from witnd.store.meta import finish_repartition
from witnd.store.repartition.leases import Leases
from witnd.store.server.connection import connect

MANY = 1000  # as many as one page of outcomes has


def fill(deployment: Deployment, keys: range) -> None:
    with deployment.server.sync() as client, client.pipeline(transaction=False) as pipeline:
        for number in keys:
            event = {"key": f"patient-{number:05}", "action": "rated", "customer_key": "acme", "agent_key": "patient"}
            pipeline.xadd(deployment.keys(str(event["key"])).events, {"data": json.dumps(event)})
        pipeline.execute()


def begin(deployment: Deployment, running: subprocess.Popen[bytes]) -> None:
    """Wait until the command has a lease, or has ended."""
    mine = f".{running.pid}:".encode()

    def begun() -> bool:
        return running.poll() is not None or mine in (deployment.call("GET", Keys("witn", 0).owner) or b"")

    until(begun, "it has a lease")


def start(deployment: Deployment, number: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "witnd", "repartition", str(number)],
        env={"PATH": "", "WITND_CONFIG": "/dev/null"} | deployment.environ,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )


def test_killed_again_and_again_the_command_still_finishes(server: Callable[..., Server], short_dir: Path) -> None:
    deployment = Deployment(server(), short_dir)
    deployment.apply()
    fill(deployment, range(MANY))
    deployment.work()
    expected = facts(deployment)["outcomes"]
    chance, kills = random.Random(7), 0
    while True:
        running = start(deployment, 8)
        begin(deployment, running)
        try:
            assert running.wait(0.01 + chance.random() * 0.03 * (kills + 1)) == 0
            break
        except subprocess.TimeoutExpired:
            running.send_signal(signal.SIGKILL)
            running.wait()
            kills += 1
    assert kills > 2
    use(deployment, 8)
    assert deployment.json("audit")["clean"]
    deployment.work()
    assert facts(deployment)["outcomes"] == expected
    assert [deployment.call("ZCARD", Keys("witn", number).keys) > 0 for number in range(8)] == [True] * 8


def test_killed_while_it_forwards_the_daemon_forwards_each_event_once(
    server: Callable[..., Server], daemon: Callable[..., Daemon], short_dir: Path
) -> None:
    redis = server()
    deployment = Deployment(redis, short_dir)
    deployment.apply()
    fill(deployment, range(200))
    deployment.work()
    assert deployment.witnd("repartition", "4").exit_code == 0
    chance = random.Random(3)
    for _ in range(6):
        running = daemon(redis, redis__partitions="4")
        use(deployment, 1)
        fill(deployment, range(200))  # without idempotency keys: each counts
        use(deployment, 4)
        until(lambda: deployment.call("EXISTS", *logs(4)) or chance.random() < 0.01, "events are forwarded")
        assert not running.lines("outcomes.reindexing")
        assert not running.lines("deadlines.rebuilding")
        running.kill()
    deployment.work(forwarded(deployment))
    assert deployment.json("audit")["clean"]
    for number in range(0, 200, 20):
        assert deployment.json("explain", f"patient-{number:05}")["outcome"]["events_count"] == 7


def logs(partitions: int) -> list[str]:
    return [Keys("witn", number).forwarded for number in range(1, partitions)]


def test_a_daemon_that_waited_with_the_old_number_ends(
    server: Callable[..., Server], daemon: Callable[..., Daemon], short_dir: Path
) -> None:
    redis = server()
    deployment = Deployment(redis, short_dir)
    deployment.apply(CATALOGUE)
    deployment.work()
    found: list[Any] = []

    async def main() -> None:
        async with connect(redis.url) as client, Leases(client, "witn", 2, 3000, Clock().now_ms).held():
            waiting = daemon(redis)
            found.append(waiting)
            await asyncio.to_thread(waiting.says, "partition.standby")
            await finish_repartition(client, GlobalKeys("witn"), 2)
        assert await asyncio.to_thread(waiting.exit_code) == 2

    asyncio.run(main())
    assert "only `witnd repartition` changes the number" in found[0].log
