"""The unit file, judged by systemd itself, and the messages that systemd gets."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from witnd.config import load
from witnd.daemon.process.systemd import Systemd

UNIT = Path("systemd/witnd.service")
TEMPLATE = Path("systemd/witnd@.service")
UNITS = pytest.mark.parametrize("unit", [UNIT, TEMPLATE], ids=lambda unit: unit.name)
needs_analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed here"
)


@contextmanager
def listening(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address.replace("@", "\0"))
        listener.settimeout(5)
        yield listener


@pytest.fixture(params=["file", "abstract"])
def address(request, short_dir: Path) -> str:
    return str(short_dir / "notify") if request.param == "file" else f"@witnd-test-{os.getpid()}"


def test_every_message_is_one_datagram(address: str) -> None:
    systemd = Systemd({"NOTIFY_SOCKET": address})
    with listening(address) as listener:
        systemd.ready("applying\nevents")
        assert listener.recv(1000) == b"READY=1\nSTATUS=applying events"
        systemd.status("1 behind")
        assert listener.recv(1000) == b"STATUS=1 behind"
        systemd.watchdog()
        assert listener.recv(1000) == b"WATCHDOG=1"
        systemd.extend(1.5)
        assert listener.recv(1000) == b"EXTEND_TIMEOUT_USEC=1500000"
        systemd.stopping("draining")
        assert listener.recv(1000) == b"STOPPING=1\nSTATUS=draining"


def test_without_systemd_nothing_happens() -> None:
    Systemd({}).ready("up")


def test_a_socket_that_is_gone_or_full_stops_nobody(short_dir: Path) -> None:
    Systemd({"NOTIFY_SOCKET": str(short_dir / "gone")}).watchdog()
    with listening(str(short_dir / "full")):
        for _ in range(5000):
            Systemd({"NOTIFY_SOCKET": str(short_dir / "full")}).watchdog()


def test_the_watchdog_is_that_of_this_process_only() -> None:
    here = str(os.getpid())
    assert Systemd({}).watchdog_seconds is None
    assert Systemd({"WATCHDOG_USEC": "60000000"}).watchdog_seconds == 60
    assert Systemd({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": here}).watchdog_seconds == 0.5
    assert Systemd({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}).watchdog_seconds is None
    assert Systemd({"WATCHDOG_USEC": "soon"}).watchdog_seconds is None


def settings() -> dict[str, str]:
    lines = (line for line in UNIT.read_text().splitlines() if "=" in line and line[0] != "#")
    return dict(line.split("=", 1) for line in lines)


@needs_analyze
@UNITS
def test_systemd_finds_no_fault_in_the_unit(tmp_path: Path, unit: Path) -> None:
    command = settings()["ExecStart"].split()[0]
    here = tmp_path / unit.name.replace("@", "@1")
    here.write_text(unit.read_text().replace(command, sys.executable))
    judged = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", here], capture_output=True, text=True, check=False
    )
    assert (judged.returncode, judged.stderr) == (0, "")


@needs_analyze
@UNITS
def test_the_unit_is_as_hardened_as_promised(unit: Path) -> None:
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    assert judged.returncode == 0, judged.stdout[-200:]


def test_the_unit_stops_restarting_after_mistakes_and_crash_loops() -> None:
    unit = settings()
    assert unit["Type"] == "notify"
    # "on-failure" leaves the daemon stopped after SIGHUP, SIGINT, SIGTERM and SIGPIPE, which systemd takes for clean.
    assert unit["Restart"] == "always"
    assert unit["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert unit["RestartPreventExitStatus"] == "2"
    assert int(unit["StartLimitBurst"]) * int(unit["RestartSec"]) < int(unit["StartLimitIntervalSec"])
    assert unit["ExecStart"].endswith("witnd run --config /etc/witnd/witnd.toml")


def test_the_template_differs_from_the_unit_in_what_each_daemon_needs_for_itself() -> None:
    names = {"Description", "Environment", "EnvironmentFile", "StateDirectory", "SyslogIdentifier"}

    def others(unit: Path) -> list[str]:
        lines = [line for line in unit.read_text().splitlines() if line and line[0] != "#"]
        return [line for line in lines if line.partition("=")[0] not in names]

    assert others(TEMPLATE) == others(UNIT)
    own = {line.partition("=")[0]: line.partition("=")[2] for line in TEMPLATE.read_text().splitlines()}
    assert own["StateDirectory"] == "witnd-%i"
    instance, bind = own["Environment"].replace("%H", "host").replace("%i", "3").split()
    given = dict(one.split("=", 1) for one in (instance, bind))
    config = load(None, {"WITND_CONFIG": os.devnull, **given})
    assert (config.daemon.instance, str(config.http.bind)) == ("host-3", "127.0.0.1:8703")
