"""Agents: what makes an outcome billable, how long it waits, how its units are counted. Every version is kept."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from witnd.app.catalogue.read import AGENT, Thing
from witnd.app.catalogue.trials import TrialAnswer, answered
from witnd.domain.catalogue.condition import condition_text
from witnd.domain.catalogue.contract import METHODS
from witnd.domain.values.strictjson import BYTES_MAX
from witnd.web.api.catalogue.answers import (
    CatalogueListing,
    Comparison,
    Pair,
    Versioned,
    VersionPage,
    When,
    Which,
    archive,
    change,
    compare,
    create,
    one,
    page,
    versioned,
    versions,
)
from witnd.web.api.spec.condition_schema import Condition
from witnd.web.http.route import Call, Listing, route

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


def _answer(thing: Thing) -> Agent:
    content = thing.version.content
    return Agent(
        key=thing.key,
        **content,
        condition_words=condition_text(content["condition"]),
        contract_hash=thing.version.hash,
        **versioned(thing),
    )


@route(
    "POST",
    "/v1/agents",
    says="Create an agent.",
    scope="admin",
    status=201,
    body=AgentIn,
    answer=Agent,
    most_bytes=BYTES_MAX,
    refusals=("CONFLICT",),
)
async def create_agent(call: Call[Any]) -> Agent:
    return _answer((await create(call, AGENT)).thing)


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


@route(
    "GET",
    "/v1/agents",
    says="List agents in order of their keys.",
    scope="read",
    query=CatalogueListing,
    answer=AgentPage,
)
async def list_agents(call: Call[CatalogueListing]) -> AgentPage:
    found, cursor = await page(call, AGENT)
    return AgentPage(data=[_answer(thing) for thing in found], next_cursor=cursor)


@route("GET", "/v1/agents/{key}", says="Read an agent.", scope="read", query=Which, answer=Agent)
async def read_agent(call: Call[Which]) -> Agent:
    return _answer(await one(call, AGENT, call.path["key"]))


@route(
    "PATCH",
    "/v1/agents/{key}",
    says="Change fields of an agent. Only outcomes that open afterwards are under the new version.",
    scope="admin",
    has_versions=True,
    body=AgentChange,
    answer=Agent,
    most_bytes=BYTES_MAX,
    refusals=("CONFLICT",),
)
async def change_agent(call: Call[Any]) -> Agent:
    return _answer((await change(call, AGENT, call.path["key"])).thing)


@route(
    "DELETE",
    "/v1/agents/{key}",
    says="Archive an agent: it opens no more outcomes; those that are open go on.",
    scope="admin",
    has_versions=True,
    query=When,
    answer=Agent,
    refusals=("CONFLICT",),
)
async def archive_agent(call: Call[When]) -> Agent:
    return _answer((await archive(call, AGENT, call.path["key"], archived=True)).thing)


@route(
    "POST",
    "/v1/agents/{key}/restore",
    says="Take an agent out of the archive.",
    scope="admin",
    has_versions=True,
    query=When,
    answer=Agent,
    refusals=("CONFLICT",),
)
async def restore_agent(call: Call[When]) -> Agent:
    return _answer((await archive(call, AGENT, call.path["key"], archived=False)).thing)


@route(
    "GET",
    "/v1/agents/{key}/versions",
    says="List the versions of an agent, with what each changed.",
    scope="read",
    query=Listing,
    answer=VersionPage,
)
async def list_agent_versions(call: Call[Listing]) -> VersionPage:
    return await versions(call, AGENT, call.path["key"])


@route(
    "GET",
    "/v1/agents/{key}/compare",
    says="Compare two versions of an agent.",
    scope="read",
    query=Pair,
    answer=Comparison,
)
async def compare_agent(call: Call[Pair]) -> Comparison:
    return await compare(call, AGENT, call.path["key"])
