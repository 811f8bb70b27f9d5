"""What `witnd doctor` makes of the host: a unit told by a `systemctl` of ours, a daemon that answers or does not."""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.support.deployment import Deployment
from tests.support.processes import until
from tests.support.server import free_port
from witnd.config import Config, DaemonConfig, HttpConfig, RedisConfig, load
from witnd.doctor import clock as doctor_clock
from witnd.doctor import machine as host
from witnd.doctor.check import Check
from witnd.doctor.host import check_daemon, check_unit, keeps_journal
from witnd.doctor.probe import Server
from witnd.doctor.redis import check_server
from witnd.settings import Address
from witnd.store.server.safety import Health

ROOT = Path(__file__).parents[2]
GOOD = {
    "LoadState": "loaded", "ActiveState": "active", "SubState": "running", "UnitFileState": "enabled",
    "Result": "success", "StatusText": "1 of 1 partitions running, 0 on standby", "NRestarts": "0", "Type": "notify",
    "Restart": "always", "TimeoutStopUSec": "1min", "WatchdogUSec": "1min", "LimitNOFILE": "16384",
    "StateDirectory": "witnd", "LoadCredential": "redis-password:/etc/witnd/redis-password", "MemoryMax": "infinity",
    "MemoryHigh": "infinity", "ExecStart": "{ path=/opt/witnd/.venv/bin/witnd ; argv[]=/opt/witnd/.venv/bin/witnd run "
    "--config /etc/witnd/witnd.toml ; ignore_errors=no }",
}  # fmt: skip
SYSTEMCTL = """#!/bin/sh
test "$1 $2" = "show witnd.service" || exit 64
cat {answer}
exit {code}
"""

Unit = Callable[..., None]


@pytest.fixture
def unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Unit:
    """Makes `systemctl show` answer with GOOD, changed by what is given."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def make(*, code: int = 0, **changes: str) -> None:
        (folder / "answer").write_text("".join(f"{name}={value}\n" for name, value in (GOOD | changes).items()))
        (folder / "systemctl").write_text(SYSTEMCTL.format(answer=folder / "answer", code=code))
        (folder / "systemctl").chmod(0o755)

    return make


def of_unit(config: Config) -> dict[str, list[Check]]:
    found: dict[str, list[Check]] = {}
    for one in check_unit(config, host.unit()):
        found.setdefault(one.name, []).append(one)
    return found


def states(config: Config) -> dict[str, list[str]]:
    return {name: [one.state for one in checks] for name, checks in of_unit(config).items()}


# -- the unit ---------------------------------------------------------------------------------------------------------


def test_the_unit_that_is_shipped_is_all_right(unit: Unit) -> None:
    unit()
    found = states(
        Config(file=Path("/etc/witnd/witnd.toml"), redis=RedisConfig(password_file="credential:redis-password"))
    )
    assert found == {name: ["ok"] for name in found}
    assert set(found) == {
        "configuration", "state directory", "systemd", "supervision", "open files", "credential", "memory",
    }  # fmt: skip


def test_the_shipped_unit_has_what_is_asked_for() -> None:
    """GOOD is what systemd makes of it."""
    text = (ROOT / "systemd/witnd.service").read_text()
    for line in ("Type=notify", "Restart=always", "WatchdogSec=60", "TimeoutStopSec=60", "LimitNOFILE=16384",
                 "StateDirectory=witnd", "--config /etc/witnd/witnd.toml"):  # fmt: skip
        assert line in text


@pytest.mark.parametrize(
    ("changes", "name", "state", "remedy"),
    [
        ({"Type": "simple"}, "supervision", "warning", "Type=notify"),
        ({"Restart": "no"}, "supervision", "warning", "Restart=always"),
        ({"WatchdogUSec": "0"}, "supervision", "note", "WatchdogSec=60"),
        ({"WatchdogUSec": "infinity"}, "supervision", "note", "WatchdogSec=60"),
        ({"WatchdogUSec": "2s"}, "supervision", "warning", "WatchdogSec=60"),
        ({"TimeoutStopUSec": "10s"}, "supervision", "warning", "TimeoutStopSec=30"),
        (
            {"ExecStart": "witnd run --embedded", "TimeoutStopUSec": "45s"},
            "supervision",
            "warning",
            "TimeoutStopSec=60",
        ),
        ({"LimitNOFILE": "1024"}, "open files", "warning", "LimitNOFILE=16384"),
        ({"LoadCredential": ""}, "credential", "problem", "LoadCredential=redis-password:/path"),
        ({"LoadCredential": "my-redis-password:/x"}, "credential", "problem", "LoadCredential=redis-password:/path"),
        ({"MemoryMax": str(256 << 20)}, "memory", "warning", "actors_in_memory"),
        ({"ActiveState": "failed", "Result": "exit-code"}, "systemd", "warning", "journalctl -u witnd"),
        ({"UnitFileState": "disabled"}, "systemd", "note", "systemctl enable"),
        ({"LoadState": "not-found"}, "systemd", "note", "run-in-production"),
        ({"ExecStart": "witnd run --config /elsewhere.toml"}, "configuration", "note", "--config /elsewhere.toml"),
    ],
)
def test_what_is_wrong_with_it_is_told_with_the_remedy(
    unit: Unit, changes: dict[str, str], name: str, state: str, remedy: str
) -> None:
    unit(**changes)
    config = Config(file=Path("/etc/witnd/witnd.toml"), redis=RedisConfig(password_file="credential:redis-password"))
    [one] = [one for one in of_unit(config)[name] if one.state != "ok"]
    assert (one.state, one.exit_code) == (state, 2 if state == "problem" else 0)
    assert one.remedy is not None
    assert remedy in one.remedy


def test_without_systemd_that_is_a_note(unit: Unit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unit(code=1)  # "System has not been booted with systemd"
    assert states(Config())["systemd"] == ["note"]
    monkeypatch.setenv("PATH", str(tmp_path))
    assert host.unit() is None


def test_a_systemctl_that_hangs_is_given_up(unit: Unit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unit()
    (tmp_path / "bin/systemctl").write_text("#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr(host, "SECONDS", 0.2)
    began = time.monotonic()
    assert host.unit() is None
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1min", 60), ("1min 30s", 90), ("2h 5min 500ms", 7500.5), ("infinity", None), ("", None), ("0", 0), ("x", None)],
)
def test_lengths_of_time_are_read_as_systemd_writes_them(text: str, seconds: float | None) -> None:
    assert host.seconds(text) == seconds


def test_a_state_directory_is_asked_whether_it_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "unit", lambda: None)
    there = Config(daemon=DaemonConfig(state_dir=tmp_path), state_dir_explicit=True)
    assert states(there)["state directory"] == ["ok"]
    new = Config(daemon=DaemonConfig(state_dir=tmp_path / "a/b"), state_dir_explicit=True)
    assert "not created yet" in of_unit(new)["state directory"][0].found
    (tmp_path / "file").touch()
    wrong = Config(daemon=DaemonConfig(state_dir=tmp_path / "file/b"), state_dir_explicit=True)
    assert states(wrong)["state directory"] == ["warning"]
    assert states(Config())["state directory"] == ["note"]


def test_the_journal_counts_where_a_daemon_of_this_host_keeps_it(unit: Unit) -> None:
    unit()
    usual = Config(daemon=DaemonConfig(state_dir=Path("/var/lib/witnd")))
    assert keeps_journal(usual, host.unit(), private=False)
    assert not keeps_journal(usual, None, private=False)
    elsewhere = Config(daemon=DaemonConfig(state_dir=Path("/home/me/.local/state/witnd")))
    assert not keeps_journal(elsewhere, host.unit(), private=False)
    assert keeps_journal(elsewhere, host.unit(), private=True)


def test_the_configuration_in_use_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "unit", lambda: None)
    file = tmp_path / "witnd.toml"
    file.write_text("[redis]\n")
    [one] = of_unit(load(file, {}))["configuration"]
    assert (one.state, one.found) == ("ok", str(file))


# -- a daemon on this host --------------------------------------------------------------------------------------------


@contextmanager
def answering(answers: dict[str, tuple[int, object]]) -> Iterator[Config]:
    """Something that answers over HTTP, and the configuration that names it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers.get(self.path, (404, {}))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            """Not here."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield Config(http=HttpConfig(bind=Address("0.0.0.0", server.server_port)))
        finally:
            server.shutdown()
            thread.join()


def not_ready(*reasons: str, **partitions: int) -> tuple[int, object]:
    """The answer of `/readyz` with these reasons, and how many partitions have each state."""
    details = [
        *({"path": "", "message": reason} for reason in reasons),
        *({"path": f"partitions.{state}", "message": str(count)} for state, count in partitions.items()),
    ]
    return 503, {"error": {"code": "UNAVAILABLE", "message": "; ".join(reasons), "details": details}}


@pytest.mark.parametrize(
    ("ready", "state", "found"),
    [
        ((200, {"status": "ok", "partitions": {"running": 1}, "lag": 7}), "ok", "7 behind"),
        (not_ready("partition 0 is standby", "partition 1 is standby", standby=2), "note", "standby"),
        (not_ready("partition 0 is standby", "Redis is away", standby=1), "warning", "Redis is away"),
        (not_ready("partition 0 is standby", "an entry is ahead", standby=1, running=1), "warning", "is ahead"),
        (not_ready("entry 5-0 is 99 s ahead of the server's clock", running=1), "warning", "99 s ahead"),
        ((500, "?"), "warning", "status 500"),
    ],
)
def test_a_daemon_here_is_asked_how_it_is(ready: tuple[int, object], state: str, found: str) -> None:
    with answering({"/healthz": (200, {"status": "ok"}), "/readyz": ready}) as config:
        alive, one = check_daemon(config, private=False)
    assert alive.state == "ok"
    assert (one.state, found in one.found) == (state, True)


def test_something_else_at_its_address_is_a_warning() -> None:
    with answering({}) as config:
        [one] = check_daemon(config, private=False)
    assert (one.state, "another program" in one.found) == ("warning", True)


def test_nobody_there_is_a_note() -> None:
    [one] = check_daemon(Config(http=HttpConfig(bind=Address("127.0.0.1", 9))), private=False)
    assert (one.state, one.remedy is not None) == ("note", True)
    [one] = check_daemon(Config(http=HttpConfig(bind=Address("127.0.0.1", 0))), private=False)
    assert one.state == "note"


def test_a_real_daemon_with_a_server_of_its_own_is_found(short_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As an operator would: `witnd run --embedded` in one terminal, `witnd doctor` in another."""
    import subprocess
    import sys

    port = free_port()
    environ = os.environ | {"WITND_HTTP__BIND": f"127.0.0.1:{port}", "WITND_DAEMON__STATE_DIR": str(short_dir)}
    witnd = (sys.executable, "-m", "witnd")
    with (short_dir / "log").open("wb") as log:
        daemon = subprocess.Popen([*witnd, "run", "--embedded"], env=environ, stderr=log, cwd=short_dir)
        try:
            until(lambda: b"daemon.ready" in (short_dir / "log").read_bytes(), "the daemon is ready")
            until(lambda: b"http.listening" in (short_dir / "log").read_bytes(), "the daemon listens")
            done = subprocess.run([*witnd, "doctor", "--json"], env=environ, capture_output=True, cwd=short_dir)
        finally:
            daemon.terminate()
            daemon.wait(60)
    assert done.returncode == 0, done.stderr.decode() + done.stdout.decode()
    checks = {one["name"]: one for one in json.loads(done.stdout)["checks"]}
    for name in ("reachable", "deployment", "partition 0", "invoices", "embedded server", "http", "ready"):
        assert checks[name]["state"] == "ok", checks[name]


# -- servers and clocks that cannot be had here -----------------------------------------------------------------------


def server(*, off_ms: float = 0.0, round_trips: tuple[float, ...] = (0.1,), **info: str) -> Server:
    """A healthy server, but for what is given."""
    healthy = {"redis_version": "7.2.0", "role": "master", "aof_enabled": "1", "maxmemory_policy": "noeviction"}
    return Server(
        health=Health(healthy | info, {"save": "", "appendfsync": "everysec"}, 1_000_000_000_000),
        open_config=True,
        round_trips=round_trips,
        off_ms=off_ms,
        within_ms=1.0,
        user="default",
        refused=[],
        missing=[],
    )


@pytest.mark.parametrize(
    ("info", "name", "state"),
    [
        ({"redis_version": "6.2.14"}, "version", "problem"),
        ({"server_name": "dragonfly"}, "version", "note"),
        ({"redis_mode": "sentinel"}, "mode", "problem"),
        ({"loading": "1"}, "loading", "problem"),
        ({"aof_last_write_status": "err"}, "append-only file", "problem"),
        ({"aof_last_bgrewrite_status": "err"}, "append-only file", "warning"),
        ({"aof_rewrite_in_progress": "1"}, "append-only file", "note"),
        ({"rdb_last_bgsave_status": "err"}, "snapshots", "warning"),
        ({"used_memory": "95", "maxmemory": "100"}, "memory", "warning"),
        ({"used_memory": "95", "total_system_memory": "100"}, "memory", "warning"),
        ({"connected_clients": "9500", "maxclients": "10000"}, "clients", "warning"),
        ({"latest_fork_usec": "900000"}, "delays", "note"),
        ({"aof_delayed_fsync": "3"}, "delays", "note"),
        ({"errorstat_MISCONF": "count=4"}, "refusals", "note"),
    ],
)
def test_figures_of_a_server_are_judged(info: dict[str, str], name: str, state: str) -> None:
    found = [one.state for one in check_server(server(**info), Config()) if one.name == name]
    assert state in found
    healthy = [one for one in check_server(server(), Config()) if one.state != "ok"]
    assert healthy == []


@pytest.mark.parametrize(
    ("trips", "state"), [((0.2, 1.0), "ok"), ((8.0,), "note"), ((0.1, 0.1, 900.0), "note"), ((80.0,), "warning")]
)
def test_a_slow_server_is_told(trips: tuple[float, ...], state: str) -> None:
    assert [one.state for one in check_server(server(round_trips=trips), Config()) if one.name == "latency"] == [state]


@pytest.mark.parametrize(
    ("off_ms", "state"),
    [(0.5, "ok"), (-800, "ok"), (2_000, "note"), (-8_000, "warning"), (61_000, "problem"), (-90_000, "problem")],
)
def test_the_two_clocks_are_compared(off_ms: float, state: str) -> None:
    first = next(iter(doctor_clock.check_clocks(server(off_ms=off_ms), local=False)))
    assert (first.name, first.state) == ("server and host", state)


@pytest.mark.parametrize(
    ("kept", "local", "state"),
    [(True, True, "ok"), (False, True, "warning"), (False, False, "note"), (None, True, "note")],
)
def test_a_clock_that_nobody_keeps_matters_most_on_the_machine_of_the_server(
    monkeypatch: pytest.MonkeyPatch, kept: bool | None, local: bool, state: str
) -> None:
    monkeypatch.setattr(doctor_clock, "is_clock_synchronised", lambda: kept)
    [_, one] = doctor_clock.check_clocks(server(), local=local)
    assert (one.name, one.state) == ("host", state)


def test_the_kernel_is_asked_for_its_clock() -> None:
    assert host.is_clock_synchronised() in (True, False)


def test_a_journal_from_the_future_shows_a_clock_that_was_set_back(deployment: Deployment, tmp_path: Path) -> None:
    journal = tmp_path / "journal-witn.json"
    assert list(doctor_clock.check_journal_time(journal, 0)) == []
    journal.touch()
    written = int(journal.stat().st_mtime * 1000)
    assert list(doctor_clock.check_journal_time(journal, written)) == []
    [one] = doctor_clock.check_journal_time(journal, written - 3_600_000)
    assert (one.state, "set back" in one.found) == ("warning", True)
