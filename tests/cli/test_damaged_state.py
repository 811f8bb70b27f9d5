"""A damaged state, counter, lease or series ends the daemon and the commands that need it with exit code 3, by name."""

from pathlib import Path

import pytest

from tests.support.daemon import Daemon
from tests.support.deployment import Deployment

STATE, BILLING = "witn:{0}:state", "witn:{shared}:billing:state"
SERIES, OWNER = "witn:{shared}:billing:series", "witn:{0}:owner"
READERS = ("run", "audit", "doctor", "repair journal")


def field(key: str, name: str, value: str, *commands: str) -> object:
    return pytest.param(("HSET", key, name, value), (f"the field {name} of {key} is damaged",), commands)


def other_type(key: str, *commands: str) -> object:
    return pytest.param(("RPUSH", key, "x"), (key, "holds a"), commands)


@pytest.mark.parametrize(
    ("damage", "words", "commands"),
    [
        field(STATE, "seq", "abc", *READERS),
        field(STATE, "cursor", "xyz", "run", "audit", "doctor", "repair gap"),
        field(STATE, "read", "-5", "run", "audit", "doctor", "repair gap"),
        field(STATE, "applied", "text", "run", "audit", "doctor"),
        field(STATE, "open", "-5", "run", "audit", "doctor"),
        field(STATE, "catalogue", "zz", "run", "audit"),
        field(STATE, "lost", "x", "audit"),
        field(STATE, "epoch", "abc", "run"),
        field(BILLING, "seq", "abc", "audit", "doctor", "repair journal"),
        field(BILLING, "read:0", "xyz", "audit", "doctor"),
        field(BILLING, "read:x", "0-0", "audit", "doctor"),
        field(BILLING, "closed_to", "-1", "audit"),
        field(BILLING, "calendar", "abc", "audit"),
        field(SERIES, "2026", "abc", "audit", "repair journal"),
        other_type(STATE, "run", "audit", "doctor"),
        other_type(OWNER, "run", "doctor"),
        other_type(BILLING, "audit", "doctor"),
        other_type(SERIES, "audit"),
        other_type("witn:meta", "run", "audit", "doctor"),
    ],
)
def test_damage_is_named_with_exit_code_3(
    deployment: Deployment, tmp_path: Path, damage: tuple[str, ...], words: tuple[str, ...], commands: tuple[str, ...]
) -> None:
    deployment.environ |= {"WITND_DAEMON__STATE_DIR": str(tmp_path / "state"), "WITND_HTTP__BIND": "127.0.0.1:0"}
    deployment.apply()
    deployment.event("ticket-0001", "replied")
    deployment.work()
    if damage[0] == "RPUSH":
        deployment.call("DEL", damage[1])
    deployment.call(*damage)
    for command in commands:
        if command == "run":
            with Daemon(deployment.server, tmp_path / "state") as daemon:
                code, text = daemon.exit_code(), daemon.log
            assert "Traceback" not in text, text
        else:
            result = deployment.witnd(*command.split(), *(["--json"] if command == "doctor" else []))
            assert result.exception is None or isinstance(result.exception, SystemExit), (command, result.exception)
            code, text = result.exit_code, result.output
        assert code == 3, (command, text)
        for word in words:
            assert word in text, (command, text)
