"""The real daemon places held events after a change of the catalogue: soon, and without looking at others."""

import json
from collections.abc import Callable
from typing import Any

from tests.support.daemon import CATALOGUE, Daemon
from tests.support.processes import until
from tests.support.server import Server

LOG, STATE = "witn:{0}:events", "witn:{0}:state"


def hold(redis: Server, customer: str, many: int) -> None:
    with redis.sync() as client, client.pipeline(transaction=False) as block:
        for number in range(many):
            event = {"key": f"{customer}-{number:05}", "action": "resolved", "customer_key": customer}
            block.execute_command("XADD", LOG, "*", "data", json.dumps(event))
        block.execute()


def count(redis: Server, name: str) -> int:
    found: Any = redis.call("HGET", STATE, name)
    return int(found or 0)


def with_customers(*customers: str) -> str:
    rows = ", ".join(f'{{ key = "{key}", rate_card = "standard" }}' for key in ["acme", *customers])
    return CATALOGUE.replace('customers = [{ key = "acme", rate_card = "standard" }]', f"customers = [{rows}]")


def test_a_new_customer_has_only_its_own_held_keys_looked_at(
    server: Callable[[], Server], daemon: Callable[..., Daemon]
) -> None:
    redis = server()
    one = daemon(redis)
    one.begins()
    hold(redis, "early", 700)
    hold(redis, "later", 300)
    until(lambda: count(redis, "held") == 1000, "all are held")
    one.apply(with_customers("early"))
    one.settles(700)
    until(lambda: bool(one.lines("held.retried")), "the daemon says what it did")
    # The first change after the start may look at everything; the next one must not.
    one.apply(with_customers("early", "other"))
    hold(redis, "third", 50)
    until(lambda: count(redis, "held") == 350, "more are held")
    one.apply(with_customers("early", "other", "third"))
    one.settles(750)
    until(lambda: sum(line["retried"] for line in one.lines("held.retried")) == 750, "all are counted")
    assert one.lines("held.retried")[-1]["looked_at"] == 50

    # A daemon that was away meanwhile looks at all of them when it starts.
    assert one.terminate() == 0
    one.apply(with_customers("early", "other", "third", "later"))
    daemon(redis).settles(1050)
    assert count(redis, "held") == 0


def test_a_customer_that_comes_before_its_rate_card_is_looked_at_again_when_that_comes(
    server: Callable[[], Server], daemon: Callable[..., Daemon]
) -> None:
    redis = server()
    one = daemon(redis)
    one.begins()
    hold(redis, "early", 5)
    until(lambda: count(redis, "held") == 5, "all are held")
    one.apply('[[customers]]\nkey = "early"\n')
    one.apply('[[customers]]\nkey = "early"\nrate_card = "gold"\n' + GOLD.format(entries=""))
    assert count(redis, "held") == 5
    one.apply(GOLD.format(entries='{ agent = "support", price_per_unit = "2" }'))
    one.settles(5)


GOLD = """
[[rate_cards]]
key = "gold"
currency = "EUR"
entries = [{entries}]
"""
