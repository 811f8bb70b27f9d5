"""The clients with a real daemon."""

import asyncio
import json

import pytest
from msgspec.structs import fields

from tests.support.processes import until
from tests.web.api_server import ApiServer
from witnd.app.outcomes.view import Explained as ApiExplained
from witnd.app.outcomes.view import Listed
from witnd.client import (
    AsyncClient,
    Client,
    Event,
    Fate,
    NotAllowedError,
    NotFoundError,
    Outcome,
    OutcomeDetail,
    Page,
    RedisSender,
    ValidationError,
)  # fmt: skip
from witnd.store.query.fates import Fate as ApiFate
from witnd.web.api.outcomes import OutcomePage


def test_answers_have_the_members_of_the_api() -> None:
    for ours, theirs in ((Outcome, Listed), (OutcomeDetail, ApiExplained), (Page, OutcomePage)):
        assert [field.name for field in fields(ours)] == [field.name for field in fields(theirs)]
    assert {field.name for field in fields(Fate)} == {field.name for field in fields(ApiFate)} - {"fields"}


def test_outcomes_and_fates_are_read_as_the_daemon_tells_them(api: ApiServer) -> None:
    api.deployment.apply()
    with Client(base(api), api.tokens["admin"]) as client:
        keys = [f"ticket-{n:04}" for n in range(120)]
        client.send_batch(
            {"key": key, "action": "rated", "customer_key": "acme", "agent_key": "patient"} for key in keys
        )
        sent = client.send(keys[0], "rated", "acme", value=5)
        assert sent.partition is not None
        until(lambda: client.fate(sent.partition or 0, sent.id).fate == "applied", "the last event is applied")
        assert sorted(one.key for one in client.outcomes(status="OPEN,PENDING")) == keys
        assert [one.key for one in client.outcomes(customer_key="acme", status="PENDING")] == keys[:1]
        assert [one.key for one in client.outcomes(prefix="ticket-001")] == keys[10:20]
        first = client.page(limit=7, prefix="ticket-")
        assert [one.key for one in client.page(limit=7, prefix="ticket-", after=first.next_cursor).data] == keys[7:14]
        told = client.outcome(keys[0])
        assert told.outcome is not None
        assert (told.outcome.status, told.outcome.events_count) == ("PENDING", 2)
        assert told.story is not None
        assert len(told.story["events"]) == 2
        with pytest.raises(NotFoundError):
            client.outcome("ticket-none")

    async def asynchronous() -> None:
        async with AsyncClient(base(api), api.tokens["read"]) as client:
            assert sorted([one.key async for one in client.outcomes()]) == keys
            assert (await client.outcome(keys[0])).outcome == told.outcome

    asyncio.run(asynchronous())


def base(api: ApiServer) -> str:
    host, port = api.address
    return f"http://{host}:{port}"


def log(api: ApiServer) -> list[str]:
    entries = api.deployment.call("XRANGE", "witn:{0}:events", "-", "+")
    return [json.loads(fields[b"data"])["idempotency_key"] for _, fields in entries if b"data" in fields]


def test_what_both_clients_and_the_sender_send_is_in_the_log(api: ApiServer) -> None:
    async def asynchronous() -> list[str]:
        async with AsyncClient(base(api), api.tokens["ingest"]) as client:
            one = await client.send("ticket-4711", "a", "acme")
            more = await client.send_batch([Event(key="ticket-4711", action="a", customer_key="acme")])
            return [one.idempotency_key, more[0].idempotency_key]

    with Client(base(api), api.tokens["ingest"]) as client:
        sent = [client.send("ticket-4711", "a", "acme").idempotency_key]
        batch = [Event(key="ticket-4711", action="a", customer_key="acme") for _ in range(501)]
        sent += [one.idempotency_key for one in client.send_batch(batch)]
    sent += asyncio.run(asynchronous())
    with RedisSender(api.deployment.server.url) as sender:
        sent.append(sender.send("ticket-4711", "a", "acme").idempotency_key)
    assert log(api) == sent


def test_refusals_of_the_daemon_are_typed(api: ApiServer) -> None:
    with Client(base(api), api.tokens["ingest"]) as client, pytest.raises(ValidationError) as wrong:
        client.send_batch([{"key": "ticket-4711", "action": "a", "customer_key": "c", "timestamp": "soon"}])
    assert [detail.path for detail in wrong.value.details] == ["events[0].timestamp"]
    assert wrong.value.request_id
    with Client(base(api), "wn_0123456789ab_x") as client, pytest.raises(NotAllowedError) as unknown:
        client.send("ticket-4711", "a", "acme")
    assert unknown.value.code == "TOKEN_INVALID"


def test_a_batch_is_sent_at_the_rate_of_its_token(api: ApiServer) -> None:
    token = api.token("slow", "ingest", rate=2)
    until(lambda: api.ask("GET", "/v1/outcomes", token=token).status == 403, "the token is known")
    events = [{"key": f"ticket-{n:04}", "action": "rated", "customer_key": "acme"} for n in range(2100)]
    with Client(base(api), token) as client:
        assert len(client.send_batch(events)) == 2100
