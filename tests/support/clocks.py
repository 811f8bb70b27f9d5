"""A real server whose clock the test moves, and real daemons beside it; by libfaketime, a Debian package."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.daemon import Daemon
from tests.support.server import Server

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


def faked_clock(file: Path) -> dict[str, str]:
    """The environment of a server whose clock is ahead by the seconds in a file."""
    return _preload(FAKETIME_TIMESTAMP_FILE=str(file), FAKETIME_NO_CACHE="1")


class ClockedServer:
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
        self.server = Server(directory, environ=faked_clock(self._clock))

    @property
    def now_ms(self) -> float:
        """The right time."""
        return (time.time() + self._base_s) * 1000

    def jump(self, seconds: float) -> None:
        """Set the server's clock to that much ahead of the right time."""
        draft = self._clock.with_suffix(".draft")
        draft.write_text(f"{self._base_s + seconds:+.3f}")
        draft.replace(self._clock)

    def daemon(self, name: str, clock: Path | None = None) -> Daemon:
        """A daemon of the host `name`, whose clock is right or shows what the file `clock` says."""
        one = Daemon(
            self.server,
            self.directory / name,
            environ=_preload(FAKETIME=f"{self._base_s:+.3f}") if clock is None else faked_clock(clock),
            billing__period="day",
            billing__grace="0",
            daemon__instance=name,
            daemon__lease=str(self._lease),
        )
        one.start()
        self.daemons.append(one)
        return one

    def close(self) -> None:
        for one in self.daemons:
            one.kill()
        self.server.close()


@contextmanager
def clocked_server(*, lease: float = 1, base_s: float = 0) -> Iterator[ClockedServer]:
    with ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="witnd-")))
        made = stack.enter_context(closing(ClockedServer(directory, base_s, lease)))
        made.server.start()
        yield made


def before_midnight(seconds: float) -> float:
    """The `base_s` of a world in which midnight (UTC) comes in so many seconds."""
    return (DAY_MS - time.time() * 1000 % DAY_MS) / 1000 - seconds
