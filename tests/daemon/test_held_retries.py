"""The real daemon places held events after a change of the catalogue: soon, and without looking at others."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.daemon.test_unsafe import CATALOGUE, Life, begin, life, resolved  # noqa: F401
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


def apply(one: Life, directory: Path, customers: list[str]) -> None:
    rows = ", ".join(f'{{ key = "{key}", rate_card = "standard" }}' for key in ["acme", *customers])
    file = directory / "catalogue.toml"
    file.write_text(
        CATALOGUE.replace('customers = [{ key = "acme", rate_card = "standard" }]', f"customers = [{rows}]")
    )
    done = one.witnd("apply", str(file))
    assert done.returncode == 0, done.stderr


def retried(one: Life) -> Iterator[dict[str, Any]]:
    for line in one.log.splitlines():
        if '"held.retried"' in line:
            yield json.loads(line)


def test_a_new_customer_has_only_its_own_held_keys_looked_at(
    server: Callable[[], Server],
    life: Callable[[Server], Life],  # noqa: F811
    short_dir: Path,
) -> None:
    redis, one = begin(server, life, short_dir)
    hold(redis, "early", 700)
    hold(redis, "later", 300)
    until(lambda: count(redis, "held") == 1000, "all are held")
    apply(one, short_dir, ["early"])
    until(lambda: resolved(redis) == 700, "those of the new customer are placed and settled")
    until(lambda: any(retried(one)), "the daemon says what it did")
    # The first change after the start may look at everything; the next one must not.
    apply(one, short_dir, ["early", "other"])
    hold(redis, "third", 50)
    until(lambda: count(redis, "held") == 350, "more are held")
    apply(one, short_dir, ["early", "other", "third"])
    until(lambda: resolved(redis) == 750, "those are placed and settled too")
    until(lambda: sum(line["retried"] for line in retried(one)) == 750, "all are counted")
    assert list(retried(one))[-1]["looked_at"] == 50

    # A daemon that was away meanwhile looks at all of them when it starts.
    one.process.terminate()
    assert one.exit_code() == 0
    apply(one, short_dir, ["early", "other", "third", "later"])
    life(redis)
    until(lambda: resolved(redis) == 1050, "what was held is placed after the start")
    assert count(redis, "held") == 0


def test_a_customer_that_comes_before_its_rate_card_is_looked_at_again_when_that_comes(
    server: Callable[[], Server],
    life: Callable[[Server], Life],  # noqa: F811
    short_dir: Path,
) -> None:
    redis, one = begin(server, life, short_dir)
    hold(redis, "early", 5)
    until(lambda: count(redis, "held") == 5, "all are held")
    file = short_dir / "catalogue.toml"
    file.write_text('[[customers]]\nkey = "early"\n')
    assert one.witnd("apply", str(file)).returncode == 0
    file.write_text('[[customers]]\nkey = "early"\nrate_card = "gold"\n' + GOLD.format(entries=""))
    assert one.witnd("apply", str(file)).returncode == 0
    assert count(redis, "held") == 5
    file.write_text(GOLD.format(entries='{ agent = "support", price_per_unit = "2" }'))
    done = one.witnd("apply", str(file))
    assert done.returncode == 0, done.stderr
    until(lambda: resolved(redis) == 5, "they are placed and settled")


GOLD = """
[[rate_cards]]
key = "gold"
currency = "EUR"
entries = [{entries}]
"""
