"""The real daemon in a process of its own, with any settings, and its HTTP side."""

import http.client
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from tests.support.processes import until
from tests.support.server import Server

SECONDS = 40.0


class Daemon:
    """`witnd run` beside `server`. Settings are written as for the environment: `redis__durability="fsync"`."""

    def __init__(self, server: Server | str, directory: Path, *, file: Path | None = None, **settings: str) -> None:
        url = server if isinstance(server, str) else server.url
        self.directory = directory
        self._log = directory / f"log-{len(list(directory.glob('log-*')))}"
        self.environ = {name: value for name, value in os.environ.items() if not name.startswith("WITND_")} | {
            "WITND_CONFIG": os.devnull if file is None else str(file),
            "WITND_REDIS__URL": url,
            "WITND_DAEMON__STATE_DIR": str(directory),
            "WITND_HTTP__BIND": "127.0.0.1:0",
            **{f"WITND_{name.upper()}": value for name, value in settings.items()},
        }
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(SECONDS)

    def start(self) -> None:
        with self._log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "witnd", "run"], env=self.environ, stderr=out, stdin=subprocess.DEVNULL
            )

    def witnd(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "witnd", *words],
            env=self.environ | more,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]

    def of(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line.get("event") == event]

    def says(self, event: str, count: int = 1) -> None:
        process = self.process
        assert process is not None
        until(
            lambda: len(self.of(event)) >= count or process.poll() is not None, f"{event} in the log", seconds=SECONDS
        )
        assert len(self.of(event)) >= count, self.log

    def exit_code(self) -> int:
        assert self.process is not None
        return self.process.wait(SECONDS)

    @property
    def port(self) -> int:
        self.says("http.listening")
        found = re.search(r":(\d+)$", self.of("http.listening")[-1]["address"])
        assert found is not None
        return int(found[1])

    def token(self) -> str:
        done = self.witnd("tokens", "create", "test", "--scope", "admin")
        assert done.returncode == 0, done.stderr
        return done.stdout.strip().splitlines()[-1]

    def request(self, method: str, path: str, body: object = None, token: str = "") -> tuple[int, dict[str, Any]]:
        """One request over a connection of its own: status and JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        try:
            headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            text = response.read()
            is_json = response.headers.get("content-type", "").startswith("application/json")
            return response.status, json.loads(text) if is_json else {}
        finally:
            connection.close()
