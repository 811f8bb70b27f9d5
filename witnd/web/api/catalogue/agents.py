"""Agents: the condition, settlement period and billing units of outcomes. Every version is kept."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from witnd.app.catalogue.read import AGENT, Thing
from witnd.app.catalogue.trials import TrialAnswer, answered
from witnd.domain.catalogue.checks.grade_prices import agent_grade_warnings
from witnd.domain.catalogue.condition import condition_text
from witnd.domain.catalogue.contract import METHODS
from witnd.domain.catalogue.terms.grades import GRADES, condition_of
from witnd.domain.catalogue.terms.reversal import MAX_ACTIONS, REVERSAL
from witnd.domain.catalogue.terms.reversal import MAX_SECONDS as MAX_WINDOW
from witnd.domain.catalogue.terms.reversal import MIN_SECONDS as MIN_WINDOW
from witnd.domain.catalogue.terms.timers import MAX_SECONDS, MIN_SECONDS
from witnd.domain.values.strictjson import BYTES_MAX
from witnd.web.api.catalogue.answers import (
    Versioned,
    versioned,
    warnings,
)
from witnd.web.api.catalogue.resource import Resource, register
from witnd.web.api.spec.condition_schema import Condition
from witnd.web.http.route import Call, route

Method = Annotated[str, Meta(extra_json_schema={"enum": list(METHODS)})]
# Whole seconds, or the word for events that leave the deadline unchanged.
Timer = Annotated[int, Meta(ge=MIN_SECONDS, le=MAX_SECONDS)] | Literal["keep"]


class Grade(Struct, kw_only=True, forbid_unknown_fields=True):
    """One of several results that are priced differently. The first grade whose condition is true when the outcome
    settles is its grade. `name` defaults to the key."""

    key: str
    condition: list[Condition]
    name: str | None = None


class Reversal(Struct, kw_only=True, forbid_unknown_fields=True):
    """An event with one of the actions `on` reverses a confirmed outcome, once, if witnd accepts it less than `window`
    seconds after `resolved_at`."""

    window: Annotated[int, Meta(ge=MIN_WINDOW, le=MAX_WINDOW)]
    on: Annotated[list[str], Meta(min_length=1, max_length=MAX_ACTIONS)]


class AgentChange(Struct, kw_only=True, forbid_unknown_fields=True):
    """Fields to replace; null restores the default: the key for `name`, 259200 s (72 h) for `settlement_period`,
    `last` for `attribution_method`, no `timers` and no `reversal`. `condition`, `grades`, `timers` and `reversal` are
    replaced as a whole. Setting `condition` removes the grades, and setting `grades` removes the condition; give only
    one of them."""

    name: str | None = None
    settlement_period: int | None = None
    attribution_method: Method | None = None
    condition: list[Condition] | None = None
    grades: list[Grade] | None = None
    timers: dict[str, Timer] | None = None
    reversal: Reversal | None = None
    effective_from: str | None = None


class AgentIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """A new agent, with either a `condition` or `grades`. `effective_from`: when it takes effect; default: now."""

    key: str
    condition: list[Condition] | None = None
    grades: list[Grade] | None = None
    timers: dict[str, Timer] | None = None
    reversal: Reversal | None = None
    name: str | None = None
    settlement_period: int | None = None
    attribution_method: Method | None = None
    effective_from: str | None = None


class Agent(Versioned, frozen=True, kw_only=True):
    """A version of an agent. `contract_hash` identifies the terms in the outcomes that open under it. With `grades`,
    `condition` is true while the condition of any grade is. `warnings` lists rate cards that do not price all of its
    outcomes; it is absent in lists."""

    key: str
    name: str
    settlement_period: int
    attribution_method: str
    condition: list[Condition]
    condition_words: str
    grades: list[Grade] | None
    timers: dict[str, Timer] | None
    reversal: Reversal | None
    contract_hash: str | None
    warnings: list[str] | UnsetType = UNSET


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
    """A contract, with either a `condition` or `grades`, and up to 100 events in the order in which they arrive."""

    condition: list[Condition] | None = None
    grades: list[Grade] | None = None
    timers: dict[str, Timer] | None = None
    reversal: Reversal | None = None
    name: str | None = None
    settlement_period: int | None = None
    attribution_method: Method | None = None
    events: list[ExampleEvent] = []


def _answer(thing: Thing, warned: Sequence[str] = ()) -> Agent:
    content = thing.version.content
    condition = condition_of(content)
    return Agent(
        key=thing.key,
        name=content["name"],
        settlement_period=content["settlement_period"],
        attribution_method=content["attribution_method"],
        condition=condition,
        condition_words=condition_text(condition),
        grades=content.get(GRADES),
        timers=content.get("timers"),
        reversal=content.get(REVERSAL),
        contract_hash=thing.version.hash,
        warnings=list(warned) or UNSET,
        **versioned(thing),
    )


async def _show(call: Call[Any], thing: Thing, secret: str | None = None) -> Agent:  # noqa: ARG001
    return _answer(thing, warnings(call, thing, lambda known, _, at: agent_grade_warnings(known, thing.key, at)))


async def _show_page(_: Call[Any], things: Sequence[Thing]) -> list[Agent]:
    return [_answer(thing) for thing in things]


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
