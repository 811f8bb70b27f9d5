"""Requests and answers about notification rules: the structs of `notification_rules`, and what fills them.

Secrets show as fingerprints.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace

from witnd.app.catalogue.read import RULE, Thing
from witnd.app.catalogue.rules import id_of
from witnd.app.daemon_services import DaemonServices
from witnd.domain.catalogue.history import IN_FORCE
from witnd.domain.values import instant
from witnd.domain.webhooks.delivery import EndpointState
from witnd.domain.webhooks.notification import SOURCES
from witnd.domain.webhooks.rotation import signing_secrets
from witnd.web.api.catalogue.answers import Versioned, versioned

SourceText = Annotated[str, Meta(extra_json_schema={"enum": list(SOURCES)})]


class NotificationRuleChange(Struct, kw_only=True, forbid_unknown_fields=True):
    """Fields to replace; null puts the default, but a rule keeps its `secret`. After a change of that the one before
    signs too for `secret_overlap` seconds, a day if nothing is said. `effective_from`: from when on; without it, from
    now on."""

    source: SourceText | None = None
    agent: str | None = None
    url: str | None = None
    enabled: bool = True
    secret: str | None = None
    secret_overlap: int | None = None
    effective_from: str | None = None


class NotificationRuleIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """A new rule: `source` is outcome_confirmed, outcome_missed or both; without an `agent` it is for all. Without a
    `secret` one is made, and shown in this answer alone."""

    name: str
    source: SourceText
    url: str
    agent: str | None = None
    enabled: bool = True
    secret: str | None = None
    effective_from: str | None = None


class Endpoint(Struct, frozen=True, kw_only=True):
    """How the rule's endpoint has been answering. Deliveries to a `suspended` one are parked until it is resumed."""

    state: Literal["healthy", "failing", "suspended"]
    failing_since: str | None
    suspended_at: str | None
    reason: str | None


class NotificationRuleAnswer(Versioned, frozen=True, kw_only=True):
    """A rule, as one of its versions has it. `secret` is there once, where it was made for this request; else there is
    its fingerprint: the first 8 hex digits of its SHA-256. `previous_secret_until`: until when the one before signs
    too."""

    id: str
    name: str
    source: str
    agent: str | None
    url: str
    enabled: bool
    secret_fingerprint: str
    previous_secret_until: str | None
    endpoint: Endpoint
    secret: str | UnsetType = UNSET


class NotificationRulePage(Struct, frozen=True, kw_only=True):
    """Rules in order of their names; `after` is the name of the last one seen."""

    data: list[NotificationRuleAnswer]
    next_cursor: str | None


class RotationIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """Without a `secret` one is made. For `overlap_seconds`, a day if nothing is said, both secrets sign."""

    secret: str | None = None
    overlap_seconds: int | None = None


class TestAnswer(Struct, frozen=True, kw_only=True):
    """What the endpoint answered to the sample: `body` is the first KiB of it. `reason`: why it is no success."""

    id: str
    type: str
    url: str
    delivered: bool
    status: int | None
    reason: str | None
    body: str | None
    duration_ms: int
    blocked: bool


class Resumed(Struct, frozen=True, kw_only=True):
    """How many parked deliveries are queued. `more`: there were more than one request takes; ask again."""

    queued: int
    more: bool


async def answers(services: DaemonServices, things: Sequence[Thing]) -> list[NotificationRuleAnswer]:
    desk = await services.deliveries()
    states = await desk.endpoints([id_of(thing.key) for thing in things])
    return [_one(services, thing, state) for thing, state in zip(things, states, strict=True)]


async def answer(services: DaemonServices, thing: Thing, secret: str | None = None) -> NotificationRuleAnswer:
    [found] = await answers(services, [thing])
    return found if secret is None else replace(found, secret=secret)


def _one(services: DaemonServices, thing: Thing, state: EndpointState) -> NotificationRuleAnswer:
    content = thing.version.content
    now = services.now_ms()
    if thing.version.standing == IN_FORCE:
        # What was written a moment ago may begin a few milliseconds ahead of this clock.
        now = max(now, thing.version.effective_from)
    until = signing_secrets(services.catalogue.versions(RULE.name, thing.key), now).until
    return NotificationRuleAnswer(
        id=id_of(thing.key),
        name=thing.key,
        source=content["source"],
        agent=content["agent"],
        url=content["url"],
        enabled=content["enabled"],
        secret_fingerprint=sha256(content["secret"].encode()).hexdigest()[:8],
        previous_secret_until=None if until is None else instant.render(until),
        endpoint=_endpoint(state),
        **versioned(thing),
    )


def _endpoint(state: EndpointState) -> Endpoint:
    failing, suspended = state.failing_since, state.suspended_at
    return Endpoint(
        state="suspended" if state.suspended else "healthy" if failing is None else "failing",
        failing_since=None if failing is None else instant.render(failing),
        suspended_at=None if suspended is None else instant.render(suspended),
        reason=state.reason,
    )
