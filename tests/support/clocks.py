"""A real server whose clock the test moves, and real daemons beside it; by libfaketime, a Debian package."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.support.processes import until
from tests.support.server import Server

SECONDS = 60.0
DAY_MS = 86_400_000
_LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
# Timers of the event loop and of the server run as always.
_REAL_TIMERS = {"FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}


def needs_libfaketime() -> None:
    if _LIBRARY is None:
        pytest.skip("libfaketimeMT.so.1 is missing: install the package libfaketime")


def _preload(**settings: str) -> dict[str, str]:
    needs_libfaketime()
    return {"LD_PRELOAD": str(_LIBRARY), **_REAL_TIMERS, **settings}


class Daemon:
    """A daemon's process. `log` is what it said so far."""

    def __init__(self, world: "World", name: str, **settings: str) -> None:
        self.name = name
        self._world = world
        self._log = world.directory / f"{name}-{len(world.daemons)}.log"
        self._environ = world.environ(name) | settings
        if "FAKETIME_TIMESTAMP_FILE" in settings:
            del self._environ["FAKETIME"]  # it would win
        with self._log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "witnd", "run"], env=self._environ, stderr=out, stdin=subprocess.DEVNULL
            )

    def witnd(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "witnd", *words],
            env=self._environ,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.splitlines() if line.startswith("{") and line.endswith("}")]

    def said(self, event: str, **fields: object) -> int:
        """How often it logged an event with these fields."""
        return sum(
            line["event"] == event and all(line.get(name) == value for name, value in fields.items())
            for line in self.events
        )

    def says(self, event: str, *, times: int = 1, **fields: object) -> None:
        until(
            lambda: self.said(event, **fields) >= times or self.process.poll() is not None,
            f"{event} in the log of {self.name}\n{self.log[-3000:]}",
            seconds=SECONDS,
        )
        assert self.said(event, **fields) >= times, self.log

    def end(self) -> int:
        self.process.terminate()
        return self.process.wait(SECONDS)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(SECONDS)


class World:
    """One server whose clock can be moved, and hosts of daemons whose clock stays right.

    `base_s` is how far the right time of this world is from that of the machine that the test runs on.
    """

    def __init__(self, directory: Path, base_s: float, lease: float) -> None:
        self.directory = directory
        self.daemons: list[Daemon] = []
        self._base_s = base_s
        self._lease = lease
        self._clock = directory / "clock"
        self.jump(0)
        self.server = Server(
            directory, environ=_preload(FAKETIME_TIMESTAMP_FILE=str(self._clock), FAKETIME_NO_CACHE="1")
        )

    @property
    def now_ms(self) -> float:
        """The right time."""
        return (time.time() + self._base_s) * 1000

    def jump(self, seconds: float) -> None:
        """Set the server's clock to that much ahead of the right time."""
        draft = self._clock.with_suffix(".draft")
        draft.write_text(f"{self._base_s + seconds:+.3f}")
        draft.replace(self._clock)

    def environ(self, name: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("WITND_")}
        return (
            kept
            | _preload(FAKETIME=f"{self._base_s:+.3f}")
            | {
                "WITND_CONFIG": os.devnull,
                "WITND_REDIS__URL": self.server.url,
                "WITND_HTTP__BIND": "127.0.0.1:0",
                "WITND_BILLING__PERIOD": "day",
                "WITND_BILLING__GRACE": "0",
                "WITND_DAEMON__STATE_DIR": str(self.directory / f"state-{name}"),
                "WITND_DAEMON__INSTANCE": name,
                "WITND_DAEMON__LEASE": str(self._lease),
                "WITND_DAEMON__LOG_FORMAT": "json",
            }
        )

    def daemon(self, name: str, **settings: str) -> Daemon:
        one = Daemon(self, name, **settings)
        self.daemons.append(one)
        return one

    def close(self) -> None:
        for one in self.daemons:
            if one.process.poll() is None:
                one.kill()
        self.server.close()


@contextmanager
def world(*, lease: float = 1, base_s: float = 0) -> Iterator[World]:
    with ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="witnd-")))
        made = stack.enter_context(closing(World(directory, base_s, lease)))
        made.server.start()
        yield made


def before_midnight(seconds: float) -> float:
    """The `base_s` of a world in which midnight (UTC) comes in so many seconds."""
    return (DAY_MS - time.time() * 1000 % DAY_MS) / 1000 - seconds
