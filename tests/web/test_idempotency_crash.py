"""The daemon is killed between carrying out a request and answering it: nothing is done twice without notice."""

import http.client
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import Daemon
from tests.support.receiver import receiver
from tests.support.server import Server


def post(daemon: Daemon, token: str, path: str, key: str) -> tuple[int, dict[str, str], Any]:
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=60)
    try:
        connection.request("POST", path, headers={"Authorization": f"Bearer {token}", "Idempotency-Key": key})
        answer = connection.getresponse()
        return answer.status, {name.lower(): text for name, text in answer.getheaders()}, json.loads(answer.read())
    finally:
        connection.close()


@pytest.mark.slow
def test_a_request_that_was_carried_out_and_not_answered_is_not_carried_out_again(
    server: Callable[..., Server], short_dir: Path
) -> None:
    deadly = True

    def arrived() -> None:
        if deadly:
            daemon.kill()

    settings = {"webhooks__allow_networks": "127.0.0.0/8", "daemon__lease": "2"}
    with receiver(arrived) as (url, received), Daemon(server(), short_dir / "state", **settings) as daemon:
        daemon.says("daemon.ready")
        token = daemon.token()
        status, rule = daemon.request(
            "POST", "/v1/notification-rules", {"name": "hook", "source": "both", "url": url}, token
        )
        assert status == 201, rule
        path = f"/v1/notification-rules/{rule['id']}/test"
        with suppress(OSError, http.client.HTTPException):
            post(daemon, token, path, "k-1")
        assert len(received) == 1
        deadly = False
        daemon.start()
        daemon.says("http.listening", times=2)
        status, headers, body = post(daemon, token, path, "k-1")
        assert (status, body["error"]["code"]) == (409, "CONFLICT")
        assert int(headers["retry-after"]) > 0, "it may still run, for all that is known"
        assert len(received) == 1
        status, _, body = post(daemon, token, path, "k-2")
        assert (status, body["delivered"]) == (200, True)
        assert len(received) == 2
