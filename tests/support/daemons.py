"""The daemon as a process of its own, with any standard streams and settings."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

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


class Daemon:
    """`witnd run` beside a server, started by the program `through`. Without `stderr` its log is a file."""

    def __init__(
        self,
        server: Server,
        state_dir: Path,
        *,
        stderr: Any = None,
        stdout: Any = None,
        through: Path | None = None,
        **settings: str,
    ) -> None:
        self.server = server
        self.state_dir = state_dir
        self.environ = {name: value for name, value in os.environ.items() if not name.startswith("WITND_")} | {
            "WITND_CONFIG": os.devnull,
            "WITND_REDIS__URL": server.url,
            "WITND_DAEMON__STATE_DIR": str(state_dir),
            "WITND_DAEMON__LEASE": "2",
            "WITND_HTTP__BIND": "127.0.0.1:0",
            **settings,
        }
        state_dir.mkdir(parents=True, exist_ok=True)
        self._log = state_dir.parent / f"{state_dir.name}-{len(list(state_dir.parent.glob('*.log')))}.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [*([] if through is None else [str(through)]), sys.executable, "-m", "witnd", "run"],
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=log if stderr is None else stderr,
            )

    def witnd(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "witnd", *words],
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

    @property
    def log(self) -> str:
        return self._log.read_text()

    def lines(self, event: str) -> list[dict[str, Any]]:
        """The lines of the log about an event."""
        found = (json.loads(line) for line in self.log.splitlines() if line.startswith("{") and line.endswith("}"))
        return [line for line in found if line["event"] == event]

    def says(self, event: str) -> dict[str, Any]:
        until(
            lambda: bool(self.lines(event)) or self.process.poll() is not None, f"{event} in the log", seconds=SECONDS
        )
        assert self.lines(event), self.log
        return self.lines(event)[0]

    def send(self, key: str, partition: int = 0, **fields: object) -> None:
        event = {"key": key, "action": "resolved", "customer_key": "acme", "idempotency_key": key, **fields}
        self.server.call("XADD", f"witn:{{{partition}}}:events", "*", "data", json.dumps(event))

    def resolved(self, partition: int = 0) -> int:
        found: Any = self.server.call("XLEN", f"witn:{{{partition}}}:resolutions")
        return int(found)

    def settles(self, count: int, partition: int = 0) -> None:
        until(lambda: self.resolved(partition) >= count, f"{count} outcomes are settled", seconds=SECONDS)

    def get(self, path: str) -> tuple[int, Any]:
        """Status and body of a GET."""
        address = self.says("http.listening")["address"]
        try:
            with urllib.request.urlopen(f"{address}{path}", timeout=SECONDS) as answer:
                status, body = answer.status, answer.read()
        except urllib.error.HTTPError as refused:
            status, body = refused.code, refused.read()
        return status, json.loads(body) if body[:1] in b"{[" else body.decode()

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.exit_code()

    def exit_code(self) -> int:
        return self.process.wait(SECONDS)

    def end(self) -> None:
        self.process.kill()
        self.process.wait(SECONDS)
