"""Each kind of work has its own share of connections, so that none uses up what the others need."""

import json
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.daemon import Daemon
from tests.support.processes import until
from tests.support.server import Server

RULES = 120
OUTCOMES = 25
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


def event(key: str) -> dict[str, object]:
    return {"key": key, "action": "resolved", "customer_key": "acme", "agent_key": "support", "idempotency_key": key}


@pytest.mark.slow
def test_deliveries_of_many_rules_leave_the_api_and_the_lease_their_connections(
    server: Callable[..., Server], short_dir: Path
) -> None:
    """All rules go to a closed port, so each delivery is looked up, put on record and judged again and again."""
    redis = server()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        rules = "".join(
            f'[[notification_rules]]\nname = "r{number}"\nsource = "both"\n'
            f'url = "http://127.0.0.1:{closed.getsockname()[1]}/{number}"\n'
            for number in range(RULES)
        )
        file = short_dir / "catalogue.toml"
        file.write_text(CATALOGUE + rules)
        settings = {"webhooks__allow_networks": "127.0.0.0/8", "webhooks__schedule": "1,1,1", "daemon__lease": "10"}
        with Daemon(redis, short_dir, **settings) as daemon:
            daemon.says("daemon.ready")
            done = daemon.witnd("apply", str(file))
            assert done.returncode == 0, done.stderr
            token = daemon.token()
            for number in range(OUTCOMES):
                redis.call("XADD", "witn:{0}:events", "*", "data", json.dumps(event(f"ticket-{number:04}")))
            until(lambda: len(daemon.of("delivery.attempted")) > 0, "the first delivery", seconds=60)

            def call(number: int) -> int:
                if number % 2:
                    return daemon.request("GET", "/v1/outcomes", token=token)[0]
                return daemon.request("POST", "/v1/events", event(f"request-{number:04}"), token=token)[0]

            with ThreadPoolExecutor(8) as threads:
                statuses = list(threads.map(call, range(120)))
            assert set(statuses) == {200, 202}, statuses
            assert not daemon.of("lease.expired")
            assert not daemon.of("relay.store_lost")
            left = redis.call("PTTL", "witn:{0}:owner")
            assert isinstance(left, int)
            assert left > 0
