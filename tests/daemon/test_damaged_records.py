"""A damaged record of something else than an outcome concerns its owner alone."""

from pathlib import Path

import pytest

from tests.support.deployment import Deployment
from tests.support.server import Server
from witnd.domain.webhooks.notification import rule_id
from witnd.store.keys import GlobalKeys, Keys

KEYS, SHARED = Keys("witn", 0), GlobalKeys("witn")
RULE = rule_id("crm")


@pytest.fixture
def deployment(session_server: Server, redis_url: str, tmp_path: Path) -> Deployment:
    """Two billed outcomes, whose messages no endpoint takes."""
    made = Deployment(session_server, tmp_path)
    made.apply()
    made.event("ticket-0001", "replied")
    made.event("ticket-0002", "replied", 1)
    made.work(lambda client: client.hlen(KEYS.attempts) == 2)
    return made


def due_now(deployment: Deployment) -> None:
    for id_ in deployment.call("HKEYS", KEYS.deliveries):
        deployment.call("ZADD", KEYS.outbox(RULE), 0, id_)


@pytest.mark.parametrize("name", [KEYS.deliveries, KEYS.attempts])
def test_a_damaged_delivery_is_set_aside_and_the_others_are_sent(deployment: Deployment, name: str) -> None:
    damaged, sound = sorted(deployment.call("HKEYS", KEYS.deliveries))
    before = deployment.call("HGET", KEYS.attempts, sound)
    deployment.call("HSET", name, damaged, "xxxx")
    due_now(deployment)

    deployment.work(
        lambda client: client.hget(KEYS.attempts, sound) != before and client.hget(KEYS.attempts, damaged) != b"xxxx"
    )
    assert deployment.call("HGET", KEYS.attempts, sound) != before
    listed = {one["id"]: one for one in deployment.json("deliveries")["data"]}
    assert sound.decode() in listed


def test_a_damaged_state_of_an_endpoint_counts_as_healthy(deployment: Deployment) -> None:
    deployment.call("HSET", SHARED.endpoints, RULE, "xxxx")
    before = deployment.call("HVALS", KEYS.attempts)
    due_now(deployment)

    deployment.work(lambda client: client.hvals(KEYS.attempts) != before)
    assert deployment.call("HGET", SHARED.endpoints, RULE) != b"xxxx"


def test_a_damaged_token_is_refused_and_others_work(deployment: Deployment) -> None:
    deployment.witnd("tokens", "create", "one", "--scope", "read")
    deployment.witnd("tokens", "create", "two", "--scope", "read")
    damaged = next(name for name in deployment.call("HKEYS", SHARED.tokens) if name != b"revision")
    deployment.call("HSET", SHARED.tokens, damaged, "xxxx")

    assert len(deployment.json("tokens", "list")["data"]) == 1
    found = deployment.json("doctor")["checks"]
    assert [one["found"] for one in found if one["name"] == "tokens" and damaged.decode() in one["found"]]


def test_a_damaged_fate_is_shown_as_that(deployment: Deployment) -> None:
    late = deployment.event("ticket-0001", "replied", at="*")
    deployment.work()
    deployment.call("HSET", KEYS.fates, late, "xxxx")

    assert "unreadable" in deployment.json("events", late)["message"]
    deployment.event("ticket-0003", "replied", at="*")
    deployment.work()
