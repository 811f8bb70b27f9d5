"""The deliveries of an outcome with many rules are committed with it, and queued behind the commit."""

from pathlib import Path

import msgspec
import pytest
from redis import Redis

from tests.support.deployment import CATALOGUE, Deployment
from tests.support.server import Server
from witnd.domain.webhooks.fan_out import MAX_SEPARATE
from witnd.store.deliveries.fan_out_codec import FORMAT
from witnd.store.keys import Keys

KEYS = Keys("witn", 0)
RULES = MAX_SEPARATE + 8
MANY = "\n".join(
    f'[[notification_rules]]\nname = "many-{number:03}"\nsource = "both"\nurl = "http://127.0.0.1:9/{number}"\n'
    'secret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="'
    for number in range(RULES)
)


def are_tried(client: Redis) -> bool:
    return bool(client.hlen(KEYS.attempts) >= RULES and not client.exists(KEYS.unqueued))


@pytest.fixture
def deployment(session_server: Server, redis_url: str, tmp_path: Path) -> Deployment:
    return Deployment(session_server, tmp_path)


def rows_of(deployment: Deployment) -> dict[bytes, bytes]:
    with deployment.server.sync() as client:
        return client.hgetall(KEYS.deliveries)


def test_a_daemon_that_dies_behind_the_commit_queues_the_deliveries_after_its_restart(deployment: Deployment) -> None:
    deployment.apply(CATALOGUE + "\n" + MANY)
    deployment.event("confirmed-01", "replied")
    deployment.work(are_tried)
    rows = rows_of(deployment)
    assert len(rows) >= RULES
    assert deployment.json("audit")["clean"]
    before = deployment.json("explain", "confirmed-01")["deliveries"]

    # As the commit left it: what the messages share and the rules, and nothing made of them.
    rules = [msgspec.msgpack.decode(row)[1] for row in rows.values()]
    queued = deployment.call("KEYS", "witn:{0}:outbox:*")
    deployment.call("DEL", KEYS.deliveries, KEYS.attempts, KEYS.dead, KEYS.delivered, *queued)
    deployment.call("HSET", KEYS.unqueued, "confirmed-01", msgspec.msgpack.encode((FORMAT, rules)))
    assert deployment.json("audit")["clean"]
    after = deployment.json("explain", "confirmed-01")["deliveries"]
    assert {one["id"] for one in after} == {one["id"] for one in before}
    assert {one["standing"] for one in after} == {"pending"}

    deployment.work(are_tried)
    assert rows_of(deployment) == rows
    assert deployment.json("audit")["clean"]
