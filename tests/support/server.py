"""A real server for tests and benchmarks: what `--embedded` starts, and it can be hurt.

Start it from the main thread: the kernel ends it together with the thread that started it.
"""

import os
import signal
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support.processes import DEADLINE, until
from witnd.store.server.embedded import Fsync, command

DEBUG = ("--enable-debug-command", "local")
# So many commands, loaded this slowly, take more than a minute: no test may depend on how fast it looks.
_LOADED_COMMANDS = 100_000
LOAD_DELAY = ("--key-load-delay", "300")


class Server:
    """Every `start` finds the data of the run before, whether that ended by `stop` or `kill`."""

    def __init__(
        self,
        directory: Path,
        *,
        fsync: Fsync = "everysec",
        extra: tuple[str, ...] = (),
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.dir = directory
        self.socket = directory / "redis.sock"
        self.url = f"unix://{self.socket}"
        self._fsync = fsync
        self._extra = extra
        self._environ = None if environ is None else {**os.environ, **environ}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the server where it still runs."""
        if self._process is not None:
            self.kill()

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server is not running"
        return self._process.pid

    @property
    def log(self) -> str:
        return (self.dir / "server.log").read_text(errors="replace")

    def start(self, *, extra: tuple[str, ...] = (), wait: bool = True) -> None:
        """`extra` holds for this run only; `wait=False` for a server that will not answer PING."""
        assert self._process is None, "the server is running"
        line = command(self.dir, self.socket, self._fsync, (*DEBUG, *self._extra, *extra))
        with (self.dir / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                line,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if wait:
            until(self._answers, "the server answers")

    def stop(self) -> None:
        """An orderly end: everything is written and synced."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Connections stay open and nothing answers, as after a network cut."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def file_sizes(self) -> dict[Path, int]:
        """The files of the append-only log with their sizes."""
        return {file: file.stat().st_size for file in (self.dir / "appendonlydir").iterdir()}

    def cut(self, sizes: Mapping[Path, int]) -> None:
        """Lose what was appended since. The server must not run."""
        assert self._process is None, "the server is running"
        for file, size in sizes.items():
            os.truncate(file, size)

    def call(self, *command_and_arguments: str | bytes | int) -> object:
        """One command over a connection of its own."""
        with self.sync() as client:
            return client.execute_command(*command_and_arguments)

    def sync(self, password: str | None = None) -> redis.Redis:
        """A blocking client that never repeats a command; the caller closes it."""
        return redis.Redis(
            unix_socket_path=str(self.socket),
            password=password,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            socket_timeout=5,
        )

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"the server has ended:\n{self.log}"
        try:
            return self.call("PING") in (True, b"PONG")
        except redis.RedisError:
            return False

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        assert process is not None, "the server is not running"
        process.send_signal(how)
        process.wait(DEADLINE)


def fill(server: Server, commands: int) -> None:
    """Write so many commands to the append-only file."""
    with server.sync() as client, client.pipeline(transaction=False) as pipeline:
        for _ in range(commands):
            pipeline.execute_command("SET", "filler", "1")
        pipeline.execute()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def start_loading(server: Server) -> None:
    """Restart the server so that it is busy loading its data until `finish_loading`."""
    fill(server, _LOADED_COMMANDS)
    server.stop()
    server.start(extra=LOAD_DELAY, wait=False)
    until(server.socket.exists, "the server listens")


def finish_loading(server: Server) -> None:
    """Let the server load the rest of its data without a pause. It answers once a second while it loads."""
    server.call("CONFIG", "SET", "key-load-delay", "0")
