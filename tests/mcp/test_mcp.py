"""`witnd mcp` as an agent meets it: the real process on standard input and output, the SDK's own client, a real
daemon behind it."""

import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import until
from tests.support.server import Server
from tests.web.api_server import ApiServer, api_server
from tests.web.invoices import put, rows

mcp = pytest.importorskip("mcp", reason="the extra is not installed: pip install 'witnd[mcp]'")

BILLING = {"find_invoices", "get_invoice", "get_invoice_lines", "get_balances", "get_ageing"}
READING = {"find_outcomes", "get_outcome", "explain_outcome", *BILLING}
PATIENT = {"customer_key": "acme", "agent_key": "patient"}


@pytest.fixture
def api(session_server: Server, redis_url: str, tmp_path: Path) -> Iterator[ApiServer]:
    with api_server(session_server, tmp_path) as opened:
        opened.deployment.apply()
        yield opened


@asynccontextmanager
async def agent(api: ApiServer, *options: str, token: str | None = None, mode: str = "auto") -> AsyncIterator[Any]:
    """The SDK's client with a process of ours at the other end. What it says on standard error is kept."""
    host, port = api.address
    parameters = mcp.StdioServerParameters(
        command=str(Path(sys.executable).with_name("witnd")),
        args=["mcp", *options],
        env={"WITND_URL": f"http://{host}:{port}", "WITND_TOKEN": token or api.tokens["admin"]},
    )
    with (api.deployment.directory / "mcp.err").open("w") as errors:
        async with mcp.Client(mcp.stdio_client(parameters, errors), mode=mode, read_timeout_seconds=30) as client:
            yield client


async def ask(client: Any, tool: str, **arguments: Any) -> Any:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert json.loads(result.content[0].text) == result.structured_content
    return result.structured_content


async def refusal(client: Any, tool: str, **arguments: Any) -> str:
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    text: str = result.content[0].text
    return text


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_without_being_asked_for_there_is_no_tool_that_changes_anything(api: ApiServer, mode: str) -> None:
    async with agent(api, mode=mode) as client:
        tools = (await client.list_tools()).tools
        assert {tool.name for tool in tools} == READING
        assert all(tool.annotations.read_only_hint for tool in tools)
        result = await client.call_tool("send_event", {"key": "ticket-4711"})
        assert result.is_error


async def test_an_agent_sends_finds_reads_and_explains(api: ApiServer) -> None:
    async with agent(api, "--allow-writes") as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == {*READING, "send_event"}
        assert "SAME" in tools["send_event"].description
        assert "idempotency_key" in tools["send_event"].input_schema["required"]
        assert "same idempotency_key" in client.instructions

        event = {"key": "ticket-4711", "action": "rated", "idempotency_key": "evt-1", "value": 5} | PATIENT
        sent = await ask(client, "send_event", **event)
        again = await ask(client, "send_event", **event)
        assert (sent["idempotency_key"], again["idempotency_key"]) == ("evt-1", "evt-1")
        assert sent["id"] != again["id"]
        await ask(client, "send_event", **(event | {"key": "ticket-4712", "value": "good"}))
        until(lambda: api.get("/v1/outcomes/ticket-4712")["outcome"] is not None, "the events are read")

        page = await ask(client, "find_outcomes", prefix="ticket-", limit=1)
        assert [one["key"] for one in page["data"]] == ["ticket-4711"]
        page = await ask(client, "find_outcomes", prefix="ticket-", limit=1, after=page["next_cursor"])
        assert [one["key"] for one in page["data"]] == ["ticket-4712"]
        pending = await ask(client, "find_outcomes", status="PENDING", customer_key="acme", agent_key="patient")
        assert [one["key"] for one in pending["data"]] == ["ticket-4711"]

        got = await ask(client, "get_outcome", key="ticket-4711")
        assert (got["outcome"]["status"], got["outcome"]["events_count"]) == ("PENDING", 1)
        assert got["why"]
        assert "story" not in got
        told = await ask(client, "explain_outcome", key="ticket-4711")
        assert told["story"]["why"] == got["why"]
        assert [one["value"] for one in told["story"]["events"]] == [5]


@pytest.mark.parametrize("value", [1, 0, True, False, 2.5, "3", "true"])
async def test_values_keep_their_type(api: ApiServer, value: Any) -> None:
    async with agent(api, "--allow-writes") as client:
        event = {"key": "ticket-4711", "action": "rated", "idempotency_key": "e"} | PATIENT
        await ask(client, "send_event", **event, value=value)
    entries = api.deployment.call("XRANGE", "witn:{0}:events", "-", "+")
    [sent] = [json.loads(fields[b"data"]) for _, fields in entries if b"data" in fields]
    kept = sent["properties"]["value"]
    assert (kept, isinstance(kept, bool)) == (value, isinstance(value, bool))


async def test_of_a_long_story_the_end_is_told(api: ApiServer) -> None:
    for number in range(60):
        api.deployment.event("ticket-4711", "rated", at="*", value=number, **PATIENT)
    until(lambda: count(api, "ticket-4711") == 60, "all are applied")
    async with agent(api) as client:
        story = (await ask(client, "explain_outcome", key="ticket-4711"))["story"]
    assert (len(story["events"]), story["earlier_events_left_out"]) == (50, 10)


def count(api: ApiServer, key: str) -> int:
    answer = api.ask("GET", f"/v1/outcomes/{key}")
    return answer.json["outcome"]["events_count"] if answer.status == 200 and answer.json["outcome"] else 0


async def test_an_agent_reads_invoices_lines_balances_and_what_is_due(api: ApiServer) -> None:
    one, other = put(api, "acme", rows(3)), put(api, "other")
    for head in (one, other):
        api.ask("POST", f"/v1/invoices/{head.id}/issue")
    api.ask("POST", f"/v1/invoices/{one.id}/payments", {"amount": "1.00", "reference": "4711"})
    api.ask("POST", f"/v1/invoices/{other.id}/payments", {"amount": "12.50"})
    async with agent(api, token=api.tokens["read"]) as client:
        page = await ask(client, "find_invoices", status="issued,paid", limit=1)
        following = await ask(client, "find_invoices", status="issued,paid", after=page["next_cursor"])
        assert {each["data"][0]["number"] for each in (page, following)} == {"INV-000001", "INV-000002"}
        found = await ask(client, "find_invoices", customer_key="acme", currency="EUR", period="2096-10")
        assert [invoice["id"] for invoice in found["data"]] == [one.id]
        got = await ask(client, "get_invoice", invoice="INV-000001")
        assert (got["total"], got["due"], got["payments"][0]["reference"]) == ("3.00", "2.00", "4711")
        lines = await ask(client, "get_invoice_lines", invoice=one.id, limit=2)
        more = await ask(client, "get_invoice_lines", invoice=one.id, after=lines["next_cursor"])
        keys = [line["outcome_key"] for line in lines["data"] + more["data"]]
        assert keys == [row.outcome_key for row in rows(3)]
        assert (await ask(client, "get_balances", customer_key="other"))["data"] == [
            {"currency": "EUR", "balance": "2.50"}
        ]
        due = await ask(client, "get_ageing", currency="EUR")
        assert [(sums["customer_key"], sums["current"], sums["total"]) for sums in due["customers"]] == [
            ("acme", "2.00", "2.00")
        ]
        assert "NOT_FOUND" in await refusal(client, "get_invoice", invoice="INV-000009")
        assert "NOT_FOUND" in await refusal(client, "get_balances", customer_key="nobody")
        assert "- status: " in await refusal(client, "find_invoices", status="late")
        assert "limit" in await refusal(client, "get_invoice_lines", invoice=one.id, limit=1000)


async def test_refusals_say_what_to_do(api: ApiServer) -> None:
    async with agent(api, "--allow-writes") as client:
        assert "NOT_FOUND" in await refusal(client, "get_outcome", key="ticket-none")
        event = {"key": "ticket-4711", "action": "a", "idempotency_key": "e", "customer_key": "acme"}
        wrong = await refusal(client, "send_event", **event, timestamp="soon")
        assert "VALIDATION_ERROR" in wrong
        assert "- timestamp: " in wrong
        assert "idempotency_key" in await refusal(client, "send_event", key="ticket-4711", action="a", customer_key="c")
        assert "limit" in await refusal(client, "find_outcomes", limit=1000)


async def test_the_token_decides_once_more_and_is_never_shown(api: ApiServer) -> None:
    token = api.tokens["read"]
    async with agent(api, "--allow-writes", token=token) as client:
        assert (await ask(client, "find_outcomes"))["data"] == []
        event = {"key": "ticket-4711", "action": "a", "idempotency_key": "e", "customer_key": "acme"}
        refused = await refusal(client, "send_event", **event)
    assert "FORBIDDEN" in refused
    assert token not in refused
    assert token not in (api.deployment.directory / "mcp.err").read_text()


async def test_an_event_that_nobody_answers_for_is_to_be_sent_again(api: ApiServer) -> None:
    async with agent(api, "--allow-writes", "--url", "http://127.0.0.1:9") as client:
        event = {"key": "ticket-4711", "action": "a", "idempotency_key": "e", "customer_key": "acme"}
        assert "same idempotency_key" in await refusal(client, "send_event", **event)
        assert "idempotency_key" not in await refusal(client, "get_outcome", key="ticket-4711")
