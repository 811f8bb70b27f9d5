"""Agents: what makes an outcome billable, how long it waits, how its units are counted. Every version is kept."""

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
    """Fields to replace; null puts the default: the key as `name`, 259200 s (72 h) as `settlement_period`, `last` as
    `attribution_method`. A `condition` is replaced as a whole."""

    name: str | None = None
    settlement_period: int | None = None
    attribution_method: Method | None = None
    condition: list[Condition] | None = None
    effective_from: str | None = None


class AgentIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """A new agent. `effective_from`: from when on; without it, from now on."""

    key: str
    condition: list[Condition]
    name: str | None = None
    settlement_period: int | None = None
    attribution_method: Method | None = None
    effective_from: str | None = None


class Agent(Versioned, frozen=True, kw_only=True):
    """An agent, as one of its versions has it. `contract_hash` is what outcomes name that open under it."""

    key: str
    name: str
    settlement_period: int
    attribution_method: str
    condition: list[Condition]
    condition_words: str
    contract_hash: str | None


class AgentPage(Struct, frozen=True, kw_only=True):
    """Agents in order of their keys."""

    data: list[Agent]
    next_cursor: str | None


class ExampleEvent(Struct, kw_only=True):
    """An event as it would be sent; what it is about may be left out, and is not looked at. `accepted_at`: when it
    comes in; without it, a second after the one before."""

    action: str
    timestamp: str | None = None
    properties: dict[str, Any] | None = None
    accepted_at: str | None = None


class TrialIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """A contract, and at most 100 events in the order in which they come."""

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
        change_summary="Change fields of an agent. Only outcomes that open afterwards are under the new version.",
        archive_summary="Archive an agent: it opens no more outcomes; those that are open go on.",
        answer=Agent,
        page=AgentPage,
        show=_show,
        show_page=_show_page,
    ),
)


@route(
    "POST",
    "/v1/agents/try",
    says="Try a condition on example events before it is saved. Nothing is stored.",
    scope="read",
    body=TrialIn,
    answer=TrialAnswer,
    most_bytes=BYTES_MAX,
)
async def try_agent(call: Call[Any]) -> TrialAnswer:
    return answered(call.document(), call.services.now_ms())
