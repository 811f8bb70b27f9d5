"""Sending straight into the log."""

import json
from pathlib import Path

import pytest
import redis
from redis import exceptions

from tests.support.deployment import Deployment
from tests.support.server import Server
from witnd.client import Event, NoAnswerError, NotSentError, RedisSender, Retries, ValidationError, WitndError
from witnd.domain.outcomes.partitioning import partition_of
from witnd.store.keys import Keys

QUICK = Retries(attempts=3, first=0.001, most=0.01)


@pytest.fixture
def deployment(session_server: Server, redis_url: str, tmp_path: Path) -> Deployment:
    made = Deployment(session_server, tmp_path, partitions=2)
    made.create()
    return made


def keys(count: int) -> list[str]:
    return [f"tïcket-{n}" for n in range(count)]


def log(deployment: Deployment, partition: int) -> list[tuple[str, str]]:
    entries = deployment.call("XRANGE", Keys("witn", partition).events, "-", "+")
    return [(id_.decode(), json.loads(fields[b"data"])["key"]) for id_, fields in entries]


@pytest.mark.parametrize("given", ["url", "client"])
def test_events_go_into_the_partition_of_their_key(deployment: Deployment, given: str) -> None:
    server = (
        deployment.server.url if given == "url" else redis.Redis.from_url(deployment.server.url, decode_responses=True)
    )
    with RedisSender(server) as sender:
        sent = sender.send_batch([Event(key=key, action="a", customer_key="c") for key in keys(20)])
        one = sender.send("ticket-4711", "a", "c", value=1)
    if not isinstance(server, str):
        assert server.ping()  # the caller's client is still open
        server.close()
    assert {one.partition for one in sent} == {0, 1}
    assert one.partition == partition_of("ticket-4711", 2)
    for partition in (0, 1):
        expected = [(a.id, a.key) for a in (*sent, one) if a.partition == partition]
        assert log(deployment, partition) == expected
        assert all(partition_of(key, 2) == partition for _, key in expected)


def test_nothing_is_sent_where_one_event_is_wrong(deployment: Deployment) -> None:
    with RedisSender(deployment.server.url) as sender, pytest.raises(ValidationError) as caught:
        sender.send_batch(
            [{"key": "ticket-4711", "action": "a", "customer_key": "c"},
             {"key": "short", "action": "a", "customer_key": "c"},
             {"key": "ticket-4711", "action": "a", "customer_key": "c", "settles_at": "soon"}]
        )  # fmt: skip
    assert [detail.path for detail in caught.value.details] == ["events[1].key", "events[2].properties.settles_at"]
    assert log(deployment, 0) == log(deployment, 1) == []


def test_where_no_daemon_ever_was_nobody_knows_the_partitions(deployment: Deployment) -> None:
    deployment.call("FLUSHALL")
    with RedisSender(deployment.server.url) as sender, pytest.raises(WitndError, match="witn:meta") as caught:
        sender.send("ticket-4711", "a", "c")
    assert len(caught.value.events) == 1


def test_nobody_at_the_address_leaves_the_events_to_the_caller() -> None:
    with RedisSender("redis://127.0.0.1:9", retries=QUICK) as sender, pytest.raises(NoAnswerError) as caught:
        sender.send("ticket-4711", "a", "c", idempotency_key="e1")
    assert [event.idempotency_key for event in caught.value.events] == ["e1"]


def test_what_redis_refuses_for_now_is_sent_again_and_the_rest_is_not(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    appended: list[list[str]] = []
    with RedisSender(deployment.server.url, retries=QUICK) as sender:
        real = sender._append

        def flaky(entries: list[tuple[str, bytes]]) -> object:
            appended.append([key for key, _ in entries])
            if len(appended) == 1:
                raise exceptions.ConnectionError("cut")
            answers = real(entries[:1])
            return [*answers, *[(0, exceptions.ResponseError("LOADING soon"))] * (len(entries) - 1)]

        monkeypatch.setattr(sender, "_append", flaky)
        sender.send_batch([Event(key=key, action="a", customer_key="c") for key in keys(2)])
    assert appended == [keys(2), keys(2), keys(2)[1:]]


def test_what_redis_refuses_for_good_is_told(deployment: Deployment) -> None:
    deployment.call("SET", "witn:{0}:events", "no stream")
    deployment.call("SET", "witn:{1}:events", "no stream")
    with RedisSender(deployment.server.url, retries=QUICK) as sender, pytest.raises(NotSentError, match="WRONGTYPE"):
        sender.send("ticket-4711", "a", "c")


def test_a_server_that_refuses_to_tell_the_partitions_is_an_error_of_this_package(deployment: Deployment) -> None:
    deployment.call("DEL", "witn:meta")
    deployment.call("SET", "witn:meta", "no hash")
    with (
        RedisSender(deployment.server.url, retries=QUICK) as sender,
        pytest.raises(WitndError, match="WRONGTYPE") as caught,
    ):
        sender.send("ticket-4711", "a", "c")
    assert len(caught.value.events) == 1
