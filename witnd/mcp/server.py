"""The tools an agent is offered, over standard input and output. What they may do, the token decides once more."""

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations
from pydantic import Field

from witnd import __version__
from witnd.client import ApiError, AsyncClient, Detail, NoAnswerError, UnavailableError, WitndError

T = TypeVar("T")
# Events told of one outcome: what an agent can read at once.
EVENTS_MOST: Final = 50
_READS: Final = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)
_SENDS: Final = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)  # fmt: skip
_ABOUT: Final = """witnd bills work by its result. An outcome is one piece of work for one customer, named by a key. \
Its status is OPEN (its condition was never true), PENDING (it was; `scheduled_resolution` says what it would become \
now), CONFIRMED (billed) or FAILED (missed, not billed). It settles when no event came for its settlement period. \
Amounts are decimal text: do not turn them into floats."""
_SENDING: Final = """ Events cannot be taken back. Whenever it is unknown whether an event arrived, call send_event \
again with the same arguments and the same idempotency_key: it counts once. With a new key it would count again."""

_Key = Annotated[str, Field(min_length=8, max_length=255, description="Key of the outcome, like ticket-4711.")]
_Text = Annotated[str, Field(min_length=1, max_length=255)]
_Status = Literal["OPEN", "PENDING", "CONFIRMED", "FAILED", "missed"]


def build(client: AsyncClient, *, allow_writes: bool) -> MCPServer[None]:
    """The server. Without `allow_writes` there is no tool that changes anything."""

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
    _reading(server, client)
    if allow_writes:
        _writing(server, client)
    return server


def _reading(server: MCPServer[None], client: AsyncClient) -> None:
    @server.tool(annotations=_READS, title="Find outcomes")
    async def find_outcomes(
        status: _Status | None = None,
        customer_key: _Text | None = None,
        agent_key: Annotated[_Text | None, Field(description="Key of the contract template.")] = None,
        prefix: Annotated[_Text | None, Field(description="Only keys that begin so.")] = None,
        limit: Annotated[int, Field(ge=1, le=100)] = 20,
        after: Annotated[str | None, Field(description="next_cursor of the page before.")] = None,
    ) -> dict[str, Any]:
        """List outcomes, the newest first, by status, customer, agent or the beginning of their keys. Answers `data`
        and `next_cursor`; call again with it as `after` until it is null. A page may be short before that."""
        page = client.page(
            status=status, customer_key=customer_key, agent_key=agent_key, prefix=prefix, limit=limit, after=after
        )
        return _document(await _told(page))

    @server.tool(annotations=_READS, title="Get an outcome")
    async def get_outcome(key: _Key) -> dict[str, Any]:
        """How one outcome stands: status, deadline, amount, invoice, webhooks sent, events that wait to be placed.
        Reading it again later changes nothing. For the reason of its status, use explain_outcome."""
        found = _document(await _told(client.outcome(key)))
        why = (found.pop("story") or {}).get("why")
        for name in ("terms", "events_next_cursor"):
            found.pop(name)
        return {**found, "why": why}

    @server.tool(annotations=_READS, title="Explain an outcome")
    async def explain_outcome(key: _Key) -> dict[str, Any]:
        """Why one outcome is what it is: the terms it froze, its last 50 events, what each did to every check of the
        condition, how the amount came about. Quote `story.why` and `story.events[].words` to people."""
        found = _document(await _told(client.outcome(key)))
        story = found["story"]
        if story is not None:
            left_out = len(story["events"]) - EVENTS_MOST
            if left_out > 0:
                story["events"] = story["events"][-EVENTS_MOST:]
                story["earlier_events_left_out"] = left_out
        return found


def _writing(server: MCPServer[None], client: AsyncClient) -> None:
    @server.tool(annotations=_SENDS, title="Send an event")
    async def send_event(
        *,
        key: _Key,
        action: Annotated[_Text, Field(description="What happened, exactly as the condition names it.")],
        customer_key: _Text,
        idempotency_key: Annotated[
            _Text,
            Field(
                description="Names this one happening. Derive it from what happened (such as an id of the ticket "
                "system), and reuse it unchanged on every retry."
            ),
        ],
        agent_key: Annotated[_Text | None, Field(description="Needed where several contracts could be meant.")] = None,
        value: str | bool | float | None = None,
        attribution: Annotated[float | None, Field(description="Quantity for the billing unit.")] = None,
        timestamp: Annotated[str | None, Field(description="When it happened, like 2026-01-31T09:30:00Z.")] = None,
        settles_at: Annotated[str | None, Field(description="Pins the deadline to this instant.")] = None,
        properties: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Report that something happened to an outcome; the first event for a key opens it. This decides what a
        customer is charged and cannot be taken back. On an error or no answer, call again with the SAME
        idempotency_key and the same arguments: it counts once. Never make a new key for a retry. `id` and `partition`
        in the answer say that the event is in the log; get_outcome shows a moment later what it did."""
        sending = client.send(
            key, action, customer_key, idempotency_key=idempotency_key, agent_key=agent_key, value=value,
            attribution=attribution, timestamp=timestamp, settles_at=settles_at, properties=properties,
        )  # fmt: skip
        return _document(await _told(sending))


async def _told(asking: Awaitable[T]) -> T:
    """What was answered; an error in words that an agent can act on."""
    try:
        return await asking
    except (NoAnswerError, UnavailableError) as away:
        again = " with the same idempotency_key" if away.events else ""
        raise ToolError(f"{away}. It is not known to be done; try the same call again{again}.") from away
    except ApiError as refused:
        raise ToolError(f"{refused}{_listed(refused.details)}") from refused
    except (WitndError, ValueError, TypeError) as wrong:
        raise ToolError(str(wrong)) from wrong


def _listed(details: tuple[Detail, ...]) -> str:
    return "".join(f"\n- {one.path or 'request'}: {one.message}" for one in details)


def _document(answer: object) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(answer)
    return document
