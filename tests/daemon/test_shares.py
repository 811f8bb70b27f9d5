"""Each kind of work has its own share of connections, so that none uses up what the others need."""

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.daemon import CATALOGUE, Daemon, event, rule
from tests.support.server import Server

RULES = 120
OUTCOMES = 25


@pytest.mark.slow
def test_deliveries_of_many_rules_leave_the_api_and_the_lease_their_connections(
    server: Callable[..., Server], short_dir: Path
) -> None:
    """All rules go to a closed port, so each delivery is looked up, put on record and judged again and again."""
    redis = server()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
        rules = "".join(rule(f"{address}/{number}", f"r{number}") for number in range(RULES))
        settings = {"webhooks__allow_networks": "127.0.0.0/8", "webhooks__schedule": "1,1,1", "daemon__lease": "10"}
        with Daemon(redis, short_dir / "state", **settings) as daemon:
            daemon.begins(CATALOGUE + rules)
            token = daemon.token()
            for number in range(OUTCOMES):
                daemon.send(f"ticket-{number:04}")
            daemon.says("delivery.attempted")

            def call(number: int) -> int:
                if number % 2:
                    return daemon.get("/v1/outcomes", token)[0]
                return daemon.request("POST", "/v1/events", event(f"request-{number:04}"), token=token)[0]

            with ThreadPoolExecutor(8) as threads:
                statuses = list(threads.map(call, range(120)))
            assert set(statuses) == {200, 202}, statuses
            assert not daemon.lines("lease.expired")
            assert not daemon.lines("relay.store_lost")
            left = redis.call("PTTL", "witn:{0}:owner")
            assert isinstance(left, int)
            assert left > 0
