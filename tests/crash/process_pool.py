"""Where lives of the daemon begin: a process that has imported everything, and forks for each of them.

    python -m tests.crash.process_pool

A life is a process of its own and dies like any other. It only imports nothing again, which takes longer than what
most of them do. `ProcessPool` is the test's side; the two speak in lines of JSON.
"""

import gc
import os
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[2]
# What `run` imports when it is called.
AHEAD = (
    "tests.crash.ablations",
    "witnd.cli.start.run",
    "witnd.daemon.lifecycle",
    "witnd.daemon.assembly",
    "witnd.cli.main",
)


class Request(msgspec.Struct, kw_only=True):
    """A life to begin, or one to ask about."""

    arguments: list[str] = []
    log: str = ""
    pid: int = 0


class Child:
    """What is asked of a `Popen`, of a process that another process has started."""

    def __init__(self, process_pool: "ProcessPool", pid: int) -> None:
        self.pid = pid
        self._pool = process_pool
        self._code: int | None = None

    def poll(self) -> int | None:
        if self._code is None:
            self._code = self._pool.ask(Request(pid=self.pid))
        return self._code

    def wait(self, seconds: float) -> int:
        give_up = time.monotonic() + seconds
        while (code := self.poll()) is None:
            if time.monotonic() > give_up:
                raise subprocess.TimeoutExpired("a life of the daemon", seconds)
            time.sleep(0.005)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        # Its number is nobody else's as long as the nursery has not collected it.
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class ProcessPool:
    """Until it is closed, `begin` starts `python -m tests.crash.launcher` with these arguments."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.process_pool"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def ask(self, request: Request) -> int | None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(request) + b"\n")
        self._process.stdin.flush()
        return msgspec.json.decode(self._process.stdout.readline(), type=int | None)

    def begin(self, arguments: list[str], log: Path) -> Child:
        pid = self.ask(Request(arguments=arguments, log=str(log)))
        assert pid is not None
        return Child(self, pid)

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(10)


def _born() -> list[str] | None:
    """Serves requests. In a new life: its arguments; and nothing when no more requests come."""
    while line := sys.stdin.buffer.readline():
        request = msgspec.json.decode(line, type=Request)
        answer: int | None
        if request.pid:
            pid, status = os.waitpid(request.pid, os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        else:
            log = os.open(request.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            answer = os.fork()
            if answer == 0:
                _speak_into(log)
                return request.arguments
            os.close(log)
        sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
        sys.stdout.buffer.flush()
    return None


def _speak_into(log: int) -> None:
    """Input from nowhere, and all output into this file."""
    nowhere = os.open(os.devnull, os.O_RDONLY)
    for source, place in ((nowhere, 0), (log, 1), (log, 2)):
        os.dup2(source, place)
    os.close(nowhere)
    os.close(log)


def main() -> None:
    for module in AHEAD:
        import_module(module)
    from tests.crash import launcher

    gc.collect()
    gc.freeze()
    arguments = _born()
    if arguments is not None:
        launcher.main(arguments)


if __name__ == "__main__":
    main()
