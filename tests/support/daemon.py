"""The real daemon in a process of its own, with any settings, standard streams and clock, and its HTTP side."""

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from tests.support.processes import until
from tests.support.server import Server

SECONDS = 60.0
CATALOGUE = """
customers = [{ key = "acme", rate_card = "standard" }]
[[agents]]
key = "support"
settlement_period = 1
condition = [{ fact = "resolved", operator = "seen" }]
[[rate_cards]]
key = "standard"
currency = "EUR"
entries = [{ agent = "support", price_per_unit = "1" }]
"""


def rule(url: str, name: str = "hook") -> str:
    """A notification rule to add to a catalogue."""
    return f'[[notification_rules]]\nname = "{name}"\nsource = "both"\nurl = "{url}"\n'


def event(key: str) -> dict[str, object]:
    """An event after which the outcome `key` is due in a second, under `CATALOGUE`."""
    return {"key": key, "action": "resolved", "customer_key": "acme", "idempotency_key": key}


class Daemon:
    """`witnd run` beside a server or at an address, started by the program `through`.

    Settings are written as for the environment: `redis__durability="fsync"`. Its log is a file beside the state
    directory, unless `stderr` is given. Started again, it appends to the same file.
    `module` is what Python runs: another one is witnd with something changed.
    """

    process: subprocess.Popen[bytes]

    def __init__(
        self,
        server: Server | str,
        state_dir: Path,
        *,
        stdout: int | None = None,
        stderr: int | None = None,
        through: Path | None = None,
        module: str = "witnd",
        environ: Mapping[str, str] | None = None,
        **settings: str,
    ) -> None:
        self.server = server
        self.state_dir = state_dir
        self._log = state_dir.parent / f"{state_dir.name}-{len(list(state_dir.parent.glob('*.log')))}.log"
        self._log.touch()
        self._streams = (stdout, stderr)
        self._through = [] if through is None else [str(through)]
        self._witnd = [sys.executable, "-m", module]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("WITND_")}
        given = {
            "config": os.devnull,
            "redis__url": server if isinstance(server, str) else server.url,
            "daemon__state_dir": str(state_dir),
            "http__bind": "127.0.0.1:0",
        } | settings
        self.environ = kept | dict(environ or {}) | {f"WITND_{name.upper()}": value for name, value in given.items()}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        stdout, stderr = self._streams
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self._through, *self._witnd, "run"],
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=log if stderr is None else stderr,
            )

    def terminate(self) -> int:
        """SIGTERM. The exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.exit_code()

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait(SECONDS)

    def exit_code(self) -> int:
        return self.process.wait(SECONDS)

    def witnd(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command with the settings of the daemon."""
        return subprocess.run(
            [*self._witnd, *words],
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    def apply(self, catalogue: str = CATALOGUE) -> None:
        file = self._log.with_suffix(".toml")
        file.write_text(catalogue)
        done = self.witnd("apply", str(file))
        assert done.returncode == 0, done.stderr

    def token(self, scope: str = "admin") -> str:
        done = self.witnd("tokens", "create", "test", "--scope", scope, "--json")
        assert done.returncode == 0, done.stderr
        return str(json.loads(done.stdout)["token"])

    # -- its log

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def lines(self, event: str | None = None, /, **fields: object) -> list[dict[str, Any]]:
        """The lines of the log about an event and with these fields, or all lines."""
        found = (json.loads(line) for line in self.log.splitlines() if line.startswith("{") and line.endswith("}"))
        return [
            line
            for line in found
            if event in (None, line["event"]) and all(line.get(name) == value for name, value in fields.items())
        ]

    def says(self, event: str, /, *, times: int = 1, **fields: object) -> dict[str, Any]:
        """Wait until the log has so many lines about an event; the last of these."""
        until(
            lambda: len(self.lines(event, **fields)) >= times or self.process.poll() is not None,
            f"{event} in {self._log.name}",
            seconds=SECONDS,
        )
        found = self.lines(event, **fields)
        assert len(found) >= times, self.log
        return found[times - 1]

    def begins(self, catalogue: str = CATALOGUE) -> None:
        """Wait until it is ready, and put a catalogue into effect."""
        self.says("daemon.ready")
        self.apply(catalogue)

    # -- what it makes of events

    def send(self, key: str, partition: int = 0) -> None:
        assert isinstance(self.server, Server)
        self.server.call("XADD", f"witn:{{{partition}}}:events", "*", "data", json.dumps(event(key)))

    def resolved(self, partition: int = 0) -> int:
        assert isinstance(self.server, Server)
        found: Any = self.server.call("XLEN", f"witn:{{{partition}}}:resolutions")
        return int(found)

    def settles(self, count: int, partition: int = 0) -> None:
        """Wait until so many outcomes are settled, and no more."""
        until(lambda: self.resolved(partition) >= count, f"{count} outcomes are settled", seconds=SECONDS)
        assert self.resolved(partition) == count

    # -- its HTTP side

    @property
    def port(self) -> int:
        self.says("http.listening")
        return int(self.lines("http.listening")[-1]["address"].rpartition(":")[2])

    def request(self, method: str, path: str, body: object = None, token: str = "") -> tuple[int, Any]:
        """One request over a connection of its own: the status, and the JSON or text of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        try:
            headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            text = response.read().decode()
            is_json = response.headers.get("content-type", "").startswith("application/json")
            return response.status, json.loads(text) if is_json else text
        finally:
            connection.close()

    def post_event(self, key: str, token: str) -> tuple[int, Any]:
        return self.request("POST", "/v1/events", event(key), token)

    def get(self, path: str, token: str = "") -> tuple[int, Any]:
        return self.request("GET", path, token=token)
