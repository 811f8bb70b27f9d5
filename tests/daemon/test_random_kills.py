"""The server and two daemons are killed, paused and started again at random. No daemon ends by itself."""

import json
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.support.daemon import Daemon, event
from tests.support.processes import until
from tests.support.server import Server
from witnd.store.keys import Keys

KEYS = Keys("witn", 0)
SECONDS = 90.0


class Chaos:
    """One server and two daemons without a supervisor. `sent` are the keys of events that Redis acknowledged."""

    def __init__(self, server: Server, directory: Path, seed: int) -> None:
        self.server = server
        self.sent: list[str] = []
        self._directory = directory
        self._random = random.Random(seed)
        self.daemons = {name: self._start(name) for name in "ab"}

    def _start(self, name: str) -> Daemon:
        state_dir = self._directory / f"state-{name}"
        one = Daemon(self.server, state_dir, daemon__instance=name, daemon__lease="1")
        one.start()
        return one

    def send(self) -> None:
        """Append a few events. One whose reply is lost may be there or not: it is sent again under the same key."""
        for _ in range(self._random.randint(1, 5)):
            key = f"outcome-{len(self.sent):05}"

            def is_taken(key: str = key) -> bool:
                try:
                    self.server.call("XADD", KEYS.events, "*", "data", json.dumps(event(key)))
                except redis.RedisError:
                    return False
                return True

            until(is_taken, "the event is taken", seconds=SECONDS)
            self.sent.append(key)

    def act(self) -> None:
        """Hurt something, and start it again where it was killed."""
        actions: list[Callable[[], None]] = [
            self._kill_server,
            self._pause_server,
            self._kill_daemon,
            self._pause_daemon,
            self._cut_connections,
        ]
        self._random.choice(actions)()
        time.sleep(self._random.random())

    def _kill_server(self) -> None:
        self.server.kill()
        time.sleep(self._random.random() * 2)
        self.server.start()

    def _pause_server(self) -> None:
        self.server.pause()
        time.sleep(self._random.random() * 2)
        self.server.resume()

    def _kill_daemon(self) -> None:
        name = self._random.choice("ab")
        self.daemons[name].kill()
        self.daemons[name] = self._start(name)

    def _pause_daemon(self) -> None:
        process = self.daemons[self._random.choice("ab")].process
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(1 + self._random.random() * 2)
        os.kill(process.pid, signal.SIGCONT)

    def _cut_connections(self) -> None:
        self.server.call("CLIENT", "KILL", "TYPE", "normal")

    def all_alive(self) -> None:
        for name, one in self.daemons.items():
            assert one.process.poll() is None, f"daemon {name} ended with {one.process.poll()}:\n{one.log[-4000:]}"

    def resolved(self) -> list[str]:
        with self.server.sync() as client:
            entries: Any = client.xrange(KEYS.resolutions)
        return sorted(json.loads(fields[b"data"])["outcome_key"] for _, fields in entries)

    def close(self) -> None:
        for one in self.daemons.values():
            one.kill()


@pytest.mark.parametrize(
    ("seed", "rounds"),
    [
        (1, 6),
        *[pytest.param(seed, 25, marks=[pytest.mark.slow, pytest.mark.timeout(600)]) for seed in range(2, 6)],
    ],
)
def test_no_daemon_ends_by_itself_and_nothing_is_lost_or_doubled(
    server: Callable[..., Server], short_dir: Path, seed: int, rounds: int
) -> None:
    redis_server = server(fsync="always")
    chaos = Chaos(redis_server, short_dir, seed)
    try:
        until(lambda: bool(redis_server.call("EXISTS", "witn:meta")), "a daemon has begun", seconds=SECONDS)
        chaos.daemons["a"].apply()
        for _ in range(rounds):
            chaos.send()
            chaos.act()
            chaos.all_alive()
        chaos.send()
        until(lambda: len(chaos.resolved()) >= len(chaos.sent), "everything is settled", seconds=SECONDS)
        chaos.all_alive()
        assert chaos.resolved() == chaos.sent
        assert redis_server.call("XLEN", KEYS.lines) == len(chaos.sent)
        for one in chaos.daemons.values():
            one.says("daemon.ready")
            assert one.terminate() == 0, one.log[-3000:]
        audited = chaos.daemons["a"].witnd("audit")
        assert audited.returncode == 0, audited.stdout
    finally:
        chaos.close()
