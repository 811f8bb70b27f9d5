"""The number of an invoice that a failover can undo is not told."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import SECONDS, Daemon
from tests.support.processes import until
from tests.support.server import Server, free_port

StartServer = Callable[..., Server]
LONG_AGO = "1700000000000-1"


@pytest.mark.slow
def test_a_request_to_issue_is_refused_again_until_the_number_is_confirmed(
    server: StartServer, short_dir: Path
) -> None:
    port = free_port()
    primary = server(extra=("--port", str(port), "--repl-diskless-sync-delay", "0"))
    replica = server(extra=("--replicaof", f"127.0.0.1 {port}"))
    until(lambda: bool(primary.call("WAIT", 1, 100)), "the replica is in step", seconds=SECONDS)
    settings = {"redis__durability": "replica", "billing__issue": "manual"}
    with Daemon(primary, short_dir / "a", **settings) as daemon:
        daemon.begins()
        token = daemon.token()
        outcome = {"key": "outcome-0001", "action": "resolved", "customer_key": "acme", "idempotency_key": "e1"}
        primary.call("XADD", "witn:{0}:events", LONG_AGO, "data", json.dumps(outcome))

        def closed() -> list[Any]:
            found = daemon.get("/v1/invoices", token)[1]["data"]
            return [one["id"] for one in found if one["closed"]]

        until(lambda: bool(closed()), "the draft is closed", seconds=SECONDS)
        path = f"/v1/invoices/{closed()[0]}/issue"
        replica.pause()
        try:
            answers = [daemon.request("POST", path, {}, token) for _ in range(2)]
        finally:
            replica.resume()
        assert [status for status, _ in answers] == [503, 503], answers
        until(lambda: daemon.request("POST", path, {}, token)[0] == 200, "the number is confirmed", seconds=SECONDS)
        assert daemon.request("POST", path, {}, token)[1]["number"] == "INV-000001"
