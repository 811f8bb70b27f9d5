"""The documented users of Redis have the rights they need: everything runs under exactly them."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.daemon import Daemon
from tests.support.processes import until
from tests.support.server import Server
from witnd.client import RedisSender

ROOT = Path(__file__).parents[2]
PASSWORD = "sesame"
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
[[notification_rules]]
name = "hook"
source = "both"
url = "http://127.0.0.1:9/hook"
"""


def documented_user(server: Server, name: str) -> str:
    """The address of the server for a user with exactly the rights that the documentation gives it."""
    text = (ROOT / "docs/how-to/run-in-production.md").read_text()
    found = re.search(rf"^(ACL SETUSER {name} .*)$", text, re.MULTILINE)
    assert found is not None
    server.call(*found[1].replace("PASSWORD", PASSWORD).split())
    return f"unix://{name}:{PASSWORD}@{server.socket}"


def denied(server: Server) -> list[Any]:
    """What the server has denied to anybody, but for the question of `witnd doctor` what it may do."""
    log: Any = server.call("ACL", "LOG")
    entries = [dict(zip(one[::2], one[1::2], strict=True)) for one in log]
    return [one for one in entries if not one[b"object"].startswith(b"acl")]


def test_the_documented_rights_of_the_daemon_suffice(server: Callable[..., Server], short_dir: Path) -> None:
    redis = server()
    url = documented_user(redis, "witnd")
    with Daemon(url, short_dir, billing__period="day", webhooks__allow_networks="127.0.0.0/8") as daemon:
        daemon.says("daemon.ready")
        file = short_dir / "catalogue.toml"
        file.write_text(CATALOGUE)
        assert daemon.witnd("apply", str(file)).returncode == 0
        token = daemon.token()
        event = {"key": "ticket-0001", "action": "resolved", "customer_key": "acme", "idempotency_key": "e"}
        assert daemon.request("POST", "/v1/events", event, token)[0] == 202
        assert (
            daemon.request("POST", "/v1/events/batch", {"events": [event | {"customer_key": "new"}]}, token)[0] == 202
        )
        assert daemon.request("POST", "/v1/customers", {"key": "new", "rate_card": "standard"}, token)[0] == 201
        assert daemon.request("POST", "/v1/tokens", {"name": "t", "scopes": ["read"]}, token)[0] == 201
        until(lambda: redis.call("XLEN", "witn:{0}:resolutions") == 1, "the outcome is settled", seconds=60)
        until(lambda: len(daemon.of("delivery.attempted")) > 0, "a delivery is tried", seconds=60)
        for path in ("outcomes", "events?fate=applied", "deliveries", "invoices", "changes", "problems", "overview"):
            status, body = daemon.request("GET", f"/v1/{path}", token=token)
            assert status in (200, 400), (path, body)
        for words in (("audit",), ("outcomes",), ("invoices",), ("deliveries",), ("tokens", "list"), ("events",)):
            done = daemon.witnd(*words)
            assert done.returncode == 0, (words, done.stdout, done.stderr)
        daemon.witnd("doctor")
        assert daemon.request("GET", "/metrics")[0] == 200
        assert denied(redis) == []
        assert "NOPERM" not in daemon.log


def test_the_documented_rights_of_an_application_suffice(server: Callable[..., Server], short_dir: Path) -> None:
    redis = server()
    with Daemon(redis, short_dir, redis__partitions="3") as daemon:
        daemon.says("daemon.ready")
        with RedisSender(documented_user(redis, "app")) as sender:
            sent = sender.send_batch({"key": f"ticket-{n}", "action": "a", "customer_key": "c"} for n in range(20))
        assert {one.partition for one in sent} == {0, 1, 2}
    assert denied(redis) == []
