"""Processes under measurement: a server on one core, the daemon on another, and what they weigh.

Everything started here ends with the block that started it, and with this process should that be killed.
"""

import asyncio
import contextlib
import ctypes
import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from witnd.store.keys import Keys
from witnd.store.server.embedded import server_binary

ROOT = Path(__file__).resolve().parent.parent
SERVER_CORE, CLIENT_CORE = 0, 1
KEYS = Keys("witn", 0)
START_SECONDS = 120.0
END_SECONDS = 30.0
ALONE_SECONDS = 3600.0
_PR_SET_PDEATHSIG = 1
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)

# Runs in the daemon's place where a profile is wanted: the same command under the deterministic profiler.
_PROFILED = """
import cProfile, sys
from witnd.cli.main import main
profile = cProfile.Profile()
target, sys.argv = sys.argv[1], ["witnd", *sys.argv[2:]]
try:
    profile.runcall(main)
finally:
    profile.dump_stats(target)
"""


class Died(Exception):  # noqa: N818 - what happened, not what was wrong
    """A process under measurement ended by itself, or did not do in time what was waited for."""


def pin(core: int) -> None:
    """Move this process to a core, where the machine has it."""
    if core in os.sched_getaffinity(0) or core < (os.cpu_count() or 1):
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, {core})


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """One measurement at a time on this machine: two would measure each other. Told to stop, it cleans up."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with (Path(tempfile.gettempdir()) / "witnd-bench.lock").open("w") as lock:

        def free() -> bool:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            return False

        if not free():
            print("another measurement is running; waiting for its end", file=sys.stderr, flush=True)
            until(free, "the other measurement ends", seconds=ALONE_SECONDS, every=0.5)
        yield


@contextlib.contextmanager
def process(
    line: Sequence[str], core: int | None, *, log: Path, output: Path | None = None, **options: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """A child on one core, or on all for None. It is asked to end, then made to."""

    def before() -> None:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if core is not None:
            pin(core)

    with contextlib.ExitStack() as files:
        errors = files.enter_context(log.open("ab"))
        out = files.enter_context(output.open("wb")) if output else errors
        child = subprocess.Popen(
            line, stdin=subprocess.DEVNULL, stdout=out, stderr=errors, preexec_fn=before, **options
        )
        try:
            yield child
        finally:
            end(child)


def end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


@contextlib.contextmanager
def halted(child: subprocess.Popen[bytes]) -> Iterator[None]:
    """The child stands still meanwhile. Shorter than its lease, or it has to take that again."""
    child.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        child.send_signal(signal.SIGCONT)


def until(
    holds: Callable[[], bool], what: str, *, seconds: float, every: float = 0.01,
    alive: Sequence[subprocess.Popen[bytes]] = (),
) -> None:  # fmt: skip
    """Wait for a condition; a process that ended meanwhile, or the time limit, ends the measurement."""
    limit = time.monotonic() + seconds
    while not holds():
        for child in alive:
            if child.poll() is not None:
                raise Died(f"{child.args!r} ended with status {child.returncode} before {what}")
        if time.monotonic() > limit:
            raise Died(f"waited {seconds:g} s in vain: {what}")
        time.sleep(every)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


class Server:
    """A server with a TCP port and its own directory; `restart` keeps the data."""

    def __init__(self, directory: Path, binary: Path | None = None, core: int | None = SERVER_CORE) -> None:
        self.directory = directory
        self._core = core
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client = redis.Redis(port=self.port, retry=Retry(NoBackoff(), 0), protocol=2, socket_timeout=120)
        self.line = [
            str(binary or server_binary()), "--port", str(self.port), "--bind", "127.0.0.1",
            "--dir", str(directory), "--save", "", "--appendonly", "yes",
            "--appendfsync", "everysec", "--auto-aof-rewrite-percentage", "0",
        ]  # fmt: skip
        self.process: subprocess.Popen[bytes] | None = None

    @contextlib.contextmanager
    def running(self) -> Iterator["Server"]:
        log = self.directory / "server.log"
        with process(self.line, self._core, log=log, cwd=self.directory) as self.process:
            until(self._answers, "the server answers", seconds=START_SECONDS, alive=[self.process])
            try:
                yield self
            finally:
                self.client.close()

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            return False

    def used_memory(self) -> int:
        return int(self.client.info("memory")["used_memory"])


@contextlib.contextmanager
def fresh_server(binary: Path | None = None, *, pinned: bool = True) -> Iterator[Server]:
    with (
        tempfile.TemporaryDirectory(prefix="witnd-bench-") as folder,
        Server(Path(folder), binary, SERVER_CORE if pinned else None).running() as server,
    ):
        yield server


class Daemon:
    """`witnd run` as an operator starts it, seen from outside only."""

    def __init__(self, server: Server, **settings: object) -> None:
        self.server = server
        self.config = server.directory / "witnd.toml"
        self.log = server.directory / "witnd.log"
        lines = [
            "[redis]", f'url = "{server.url}"',
            "[http]", 'bind = "127.0.0.1:0"',
            "[webhooks]", 'allow_networks = ["127.0.0.0/8"]',
            "[daemon]", f'state_dir = "{server.directory / "state"}"', 'log_format = "json"',
        ]  # fmt: skip
        lines += [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
        self.config.write_text("\n".join(lines) + "\n")

    def apply(self, catalogue: str) -> None:
        apply(self.server.directory, catalogue)

    @contextlib.contextmanager
    def running(self, profile: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
        line = [*witnd(), "run", "--config", str(self.config)]
        if profile is not None:
            line = [sys.executable, "-c", _PROFILED, str(profile), *line[line.index("run") :]]
        with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as self._told:
            # What systemd would listen to: it says when the daemon is ready.
            address = self.server.directory / "notify.sock"
            address.unlink(missing_ok=True)
            self._told.bind(str(address))
            environment = os.environ | {"NOTIFY_SOCKET": str(address)}
            with process(line, CLIENT_CORE, log=self.log, cwd=ROOT, env=environment) as child:
                yield child

    def wait_ready(self, child: subprocess.Popen[bytes], *, seconds: float = START_SECONDS) -> None:
        """Wait until the daemon says that it is ready."""
        self._told.setblocking(False)

        def ready() -> bool:
            with contextlib.suppress(BlockingIOError):
                return b"READY=1" in self._told.recv(4096)
            return False

        self._until(ready, "the daemon is ready", seconds, child, 0.002)

    def wait_for(
        self, last: bytes, child: subprocess.Popen[bytes], *, seconds: float, every: float = 0.005
    ) -> list[tuple[float, int]]:
        """Watch until the entry `last` is committed. Answers (time, events committed) at every change."""
        seen: list[tuple[float, int]] = []
        pipe = self.server.client

        def reached() -> bool:
            cursor, applied = pipe.hmget(KEYS.state, "cursor", "applied")
            count = int(applied or 0)
            if count and (not seen or seen[-1][1] != count):
                seen.append((time.perf_counter(), count))
            return cursor == last

        self._until(reached, "the backlog is applied", seconds, child, every)
        return seen

    def _until(
        self, holds: Callable[[], bool], what: str, seconds: float,
        child: subprocess.Popen[bytes], every: float,
    ) -> None:  # fmt: skip
        try:
            until(holds, what, seconds=seconds, every=every, alive=[child])
        except Died as died:
            raise Died(f"{died}\n{self.log.read_text(errors='replace')[-2000:]}") from None


def witnd() -> list[str]:
    return [str(Path(sys.executable).with_name("witnd"))]


def apply(folder: Path, catalogue: str) -> None:
    """Put a catalogue into effect, with the configuration `witnd.toml` in a folder."""
    file = folder / "catalogue.toml"
    file.write_text(catalogue)
    line = [*witnd(), "apply", str(file), "--config", str(folder / "witnd.toml")]
    subprocess.run(line, check=True, stdout=subprocess.DEVNULL, timeout=START_SECONDS, cwd=ROOT)


def reference(name: str, own: str) -> list[str]:
    """The script to compare with: the shared one where this checkout lies beside it, else bench's own."""
    script = ROOT.parent / "shared" / "bench" / name
    return [sys.executable, str(script)] if script.exists() else [sys.executable, "-m", own]


def run_reference(line: Sequence[str], server: Server, *, seconds: float) -> dict[str, Any]:
    """Run a comparison on the client's core; answers its JSON line."""
    output = server.directory / "reference.json"
    log = server.directory / "reference.log"
    with process(line, CLIENT_CORE, log=log, output=output, cwd=ROOT) as child:
        try:
            child.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Died(f"{line} did not end within {seconds:g} s") from None
    lines = output.read_text().splitlines()
    if child.returncode or not lines:
        raise Died(f"{line} ended with {child.returncode}: {log.read_text()[-2000:]}")
    found: dict[str, Any] = json.loads(lines[-1])
    return found


class Webhooks(asyncio.Protocol):
    """Answers each webhook at once, after `note` got its body and when it came. Understands what it needs of HTTP."""

    def __init__(self, note: Callable[[bytes, float], None]) -> None:
        self._note = note
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        now_ms = time.time() * 1000
        self._rest += data
        while (head := self._rest.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self._rest, 0, head)
            whole = head + 4 + (int(length[1]) if length else 0)
            if len(self._rest) < whole:
                return
            self._note(self._rest[head:whole], now_ms)
            self._rest = self._rest[whole:]
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
