"""MCP tools over standard input and output. The token limits them further."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Final, Literal

from mcp.server.mcpserver import MCPServer
from mcp_types import ToolAnnotations
from pydantic import Field

from witnd import __version__
from witnd.client import AsyncClient
from witnd.mcp.billing import add_billing_tools
from witnd.mcp.results import READS, document, result

# Events of an explanation, which an agent reads at once.
MAX_EVENTS: Final = 50
_SENDS: Final = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)  # fmt: skip
_ABOUT: Final = """witnd bills work by its result. An outcome is one piece of work for one customer, named by a key. \
Its status is OPEN (its condition was never true), PENDING (it was; `scheduled_resolution` says what it would become \
now), CONFIRMED (billed) or FAILED (missed, not billed). It settles when no event came for its settlement period. \
An invoice collects the confirmed outcomes of a customer in a period: it is a draft until it is issued, then issued \
(an amount is due), paid or void. Amounts are decimal text: do not turn them into floats."""
_SENDING: Final = """ Events cannot be taken back. Whenever it is unknown whether an event arrived, call send_event \
again with the same arguments and the same idempotency_key: it counts once. With a new key it would count again."""

_Key = Annotated[str, Field(min_length=8, max_length=255, description="Key of the outcome, like ticket-4711.")]
_Text = Annotated[str, Field(min_length=1, max_length=255)]
_Status = Literal["OPEN", "PENDING", "CONFIRMED", "FAILED", "missed"]


def build(client: AsyncClient, *, allow_writes: bool) -> MCPServer[None]:
    """Return the server. Without `allow_writes` it has only tools that read."""

    @asynccontextmanager
    async def life(_: MCPServer[None]) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await client.close()

    server = MCPServer(
        "witnd",
        title="witnd: outcome-based billing",
        version=__version__,
        instructions=_ABOUT + (_SENDING if allow_writes else " These tools only read."),
        lifespan=life,
        log_level="WARNING",
    )
    _add_read_tools(server, client)
    add_billing_tools(server, client)
    if allow_writes:
        _add_write_tools(server, client)
    return server


def _add_read_tools(server: MCPServer[None], client: AsyncClient) -> None:
    @server.tool(annotations=READS, title="Find outcomes")
    async def find_outcomes(
        status: _Status | None = None,
        customer_key: _Text | None = None,
        agent_key: Annotated[_Text | None, Field(description="Key of the contract template.")] = None,
        prefix: Annotated[_Text | None, Field(description="Only keys with this prefix.")] = None,
        limit: Annotated[int, Field(ge=1, le=100)] = 20,
        after: Annotated[str | None, Field(description="next_cursor of the previous page.")] = None,
    ) -> dict[str, Any]:
        """List outcomes, newest first, by status, customer, agent or key prefix. Returns `data` and `next_cursor`;
        pass it as `after` until it is null. Pages before the last may be short."""
        page = client.page(
            status=status, customer_key=customer_key, agent_key=agent_key, prefix=prefix, limit=limit, after=after
        )
        return document(await result(page))

    @server.tool(annotations=READS, title="Get an outcome")
    async def get_outcome(key: _Key) -> dict[str, Any]:
        """Get an outcome: status, deadline, amount, invoice, sent webhooks, held events, and the event that reversed
        it. For the reason of its status, use explain_outcome."""
        found = document(await result(client.outcome(key)))
        why = (found.pop("story") or {}).get("why")
        for name in ("terms", "events_next_cursor"):
            found.pop(name)
        return {**found, "why": why}

    @server.tool(annotations=READS, title="Explain an outcome")
    async def explain_outcome(key: _Key) -> dict[str, Any]:
        """Explain an outcome: its frozen terms, its last 50 events and their effect on every check of the condition,
        and the calculation of the amount. Quote `story.why`, `story.events[].words`, and `words` and
        `bill` of `reversal` to people."""
        found = document(await result(client.outcome(key)))
        story = found["story"]
        if story is not None:
            left_out = len(story["events"]) - MAX_EVENTS
            if left_out > 0:
                story["events"] = story["events"][-MAX_EVENTS:]
                story["earlier_events_left_out"] = left_out
        return found


def _add_write_tools(server: MCPServer[None], client: AsyncClient) -> None:
    @server.tool(annotations=_SENDS, title="Send an event")
    async def send_event(
        *,
        key: _Key,
        action: Annotated[_Text, Field(description="What happened, exactly as the condition names it.")],
        customer_key: _Text,
        idempotency_key: Annotated[
            _Text,
            Field(
                description="Identifies this event. Derive it from the source (such as an id of the ticket "
                "system), and reuse it unchanged on every retry."
            ),
        ],
        agent_key: Annotated[_Text | None, Field(description="Required if several contracts could apply.")] = None,
        value: str | bool | float | None = None,
        attribution: Annotated[float | None, Field(description="Quantity for the billing unit.")] = None,
        timestamp: Annotated[str | None, Field(description="When it happened, like 2026-01-31T09:30:00Z.")] = None,
        settles_at: Annotated[str | None, Field(description="Pins the deadline to this instant.")] = None,
        properties: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Send an event to an outcome; the first event for a key opens it. Events determine what a customer is
        charged and cannot be withdrawn. On an error or timeout, call again with the SAME idempotency_key and the
        same arguments: the event counts once. Never create a new key for a retry. The response has the `id` and
        `partition` of the log entry; get_outcome shows the effect a moment later."""
        sending = client.send(
            key, action, customer_key, idempotency_key=idempotency_key, agent_key=agent_key, value=value,
            attribution=attribution, timestamp=timestamp, settles_at=settles_at, properties=properties,
        )  # fmt: skip
        return document(await result(sending))
