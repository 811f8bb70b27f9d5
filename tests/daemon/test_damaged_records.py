"""A damaged record of something else than an outcome concerns its owner alone."""

from pathlib import Path

import pytest

from tests.support.server import Server
from tests.support.workshop import Workshop
from witnd.domain.webhooks.notification import rule_id
from witnd.store.keys import GlobalKeys, Keys

KEYS, SHARED = Keys("witn", 0), GlobalKeys("witn")
RULE = rule_id("crm")


@pytest.fixture
def shop(session_server: Server, redis_url: str, tmp_path: Path) -> Workshop:
    """Two billed outcomes, whose messages no endpoint takes."""
    made = Workshop(session_server, tmp_path)
    made.apply()
    made.event("ticket-0001", "replied")
    made.event("ticket-0002", "replied", 1)
    made.work(lambda client: client.hlen(KEYS.attempts) == 2)
    return made


def due_now(shop: Workshop) -> None:
    for id_ in shop.call("HKEYS", KEYS.deliveries):
        shop.call("ZADD", KEYS.outbox(RULE), 0, id_)


@pytest.mark.parametrize("name", [KEYS.deliveries, KEYS.attempts])
def test_a_damaged_delivery_is_set_aside_and_the_others_are_sent(shop: Workshop, name: str) -> None:
    damaged, sound = sorted(shop.call("HKEYS", KEYS.deliveries))
    before = shop.call("HGET", KEYS.attempts, sound)
    shop.call("HSET", name, damaged, "xxxx")
    due_now(shop)

    shop.work(
        lambda client: client.hget(KEYS.attempts, sound) != before and client.hget(KEYS.attempts, damaged) != b"xxxx"
    )
    assert shop.call("HGET", KEYS.attempts, sound) != before
    listed = {one["id"]: one for one in shop.json("deliveries")["data"]}
    assert sound.decode() in listed


def test_a_damaged_state_of_an_endpoint_counts_as_healthy(shop: Workshop) -> None:
    shop.call("HSET", SHARED.endpoints, RULE, "xxxx")
    before = shop.call("HVALS", KEYS.attempts)
    due_now(shop)

    shop.work(lambda client: client.hvals(KEYS.attempts) != before)
    assert shop.call("HGET", SHARED.endpoints, RULE) != b"xxxx"


def test_a_damaged_token_is_refused_and_others_work(shop: Workshop) -> None:
    shop.witnd("tokens", "create", "one", "--scope", "read")
    shop.witnd("tokens", "create", "two", "--scope", "read")
    damaged = next(name for name in shop.call("HKEYS", SHARED.tokens) if name != b"revision")
    shop.call("HSET", SHARED.tokens, damaged, "xxxx")

    assert len(shop.json("tokens", "list")["data"]) == 1
    found = shop.json("doctor")["checks"]
    assert [one["found"] for one in found if one["name"] == "tokens" and damaged.decode() in one["found"]]


def test_a_damaged_fate_is_shown_as_that(shop: Workshop) -> None:
    late = shop.event("ticket-0001", "replied", at="*")
    shop.work()
    shop.call("HSET", KEYS.fates, late, "xxxx")

    assert "unreadable" in shop.json("events", late)["message"]
    shop.event("ticket-0003", "replied", at="*")
    shop.work()
