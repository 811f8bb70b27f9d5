"""Agents: the condition, settlement period and billing units of outcomes. Every version is kept."""

from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import Meta, Struct

from witnd.app.catalogue.read import AGENT, Thing
from witnd.app.catalogue.trials import TrialAnswer, answered
from witnd.domain.catalogue.condition import condition_text
from witnd.domain.catalogue.contract import METHODS
from witnd.domain.values.strictjson import BYTES_MAX
from witnd.web.api.catalogue.answers import (
    Versioned,
    versioned,
)
from witnd.web.api.catalogue.resource import Resource, register
from witnd.web.api.spec.condition_schema import Condition
from witnd.web.http.route import Call, route

Method = Annotated[str, Meta(extra_json_schema={"enum": list(METHODS)})]


class AgentChange(Struct, kw_only=True, forbid_unknown_fields=True):
    """Fields to replace; null restores the default: the key for `name`, 259200 s (72 h) for `settlement_period`,
    `last` for `attribution_method`. A `condition` is replaced as a whole."""

    name: str | None = None
    settlement_period: int | None = None
    attribution_method: Method | None = None
    condition: list[Condition] | None = None
    effective_from: str | None = None


class AgentIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """A new agent. `effective_from`: when it takes effect; default: now."""

    key: str
    condition: list[Condition]
    name: str | None = None
    settlement_period: int | None = None
    attribution_method: Method | None = None
    effective_from: str | None = None


class Agent(Versioned, frozen=True, kw_only=True):
    """A version of an agent. `contract_hash` identifies the terms in the outcomes that open under it."""

    key: str
    name: str
    settlement_period: int
    attribution_method: str
    condition: list[Condition]
    condition_words: str
    contract_hash: str | None


class AgentPage(Struct, frozen=True, kw_only=True):
    """Agents, sorted by key."""

    data: list[Agent]
    next_cursor: str | None


class ExampleEvent(Struct, kw_only=True):
    """An event as your application would send it. The members that identify it are optional and ignored.
    `accepted_at`: when witnd accepts it; default: one second after the previous event."""

    action: str
    timestamp: str | None = None
    properties: dict[str, Any] | None = None
    accepted_at: str | None = None


class TrialIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """A contract, and up to 100 events in the order in which they arrive."""

    condition: list[Condition]
    name: str | None = None
    settlement_period: int | None = None
    attribution_method: Method | None = None
    events: list[ExampleEvent] = []


async def _show(_: Call[Any], thing: Thing, secret: str | None = None) -> Agent:  # noqa: ARG001
    content = thing.version.content
    return Agent(
        key=thing.key,
        **content,
        condition_words=condition_text(content["condition"]),
        contract_hash=thing.version.hash,
        **versioned(thing),
    )


async def _show_page(call: Call[Any], things: Sequence[Thing]) -> list[Agent]:
    return [await _show(call, thing) for thing in things]


register(
    __name__,
    Resource(
        kind=AGENT,
        path="/v1/agents",
        operation="agent",
        phrase="an agent",
        listed="agents in order of their keys",
        body=AgentIn,
        change=AgentChange,
        change_summary="Change an agent. The new version applies to outcomes that open afterwards.",
        archive_summary="Archive an agent. It opens no new outcomes; open outcomes continue.",
        answer=Agent,
        page=AgentPage,
        show=_show,
        show_page=_show_page,
    ),
)


@route(
    "POST",
    "/v1/agents/try",
    says="Try a condition with example events. Nothing is stored.",
    scope="read",
    body=TrialIn,
    answer=TrialAnswer,
    most_bytes=BYTES_MAX,
)
async def try_agent(call: Call[Any]) -> TrialAnswer:
    return answered(call.document(), call.services.now_ms())
