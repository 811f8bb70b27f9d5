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
from witnd.domain.catalogue.versions.history import IN_EFFECT
from witnd.domain.values import instant
from witnd.domain.webhooks.delivery import EndpointState
from witnd.domain.webhooks.rotation import signing_secrets
from witnd.domain.webhooks.sources import SOURCES
from witnd.web.api.catalogue.answers import Versioned, versioned

SourceText = Annotated[str, Meta(extra_json_schema={"enum": list(SOURCES)})]


class NotificationRuleChange(Struct, kw_only=True, forbid_unknown_fields=True):
    """Fields to replace; null restores the default, except that a rule keeps its `secret`. After you change the
    secret, the previous one stays valid for `secret_overlap` seconds; default: one day. `effective_from`: when the
    change takes effect; default: now."""

    source: SourceText | None = None
    agent: str | None = None
    url: str | None = None
    enabled: bool = True
    secret: str | None = None
    secret_overlap: int | None = None
    effective_from: str | None = None


class NotificationRuleIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """A new rule. `source`: outcome_confirmed, outcome_missed, both of these, outcome_reversed, or a billing event.
    Without an `agent`, the rule applies to all agents; with a billing event it has none. Without a `secret`, witnd
    generates one; only this response contains it."""

    name: str
    source: SourceText
    url: str
    agent: str | None = None
    enabled: bool = True
    secret: str | None = None
    effective_from: str | None = None


class Endpoint(Struct, frozen=True, kw_only=True):
    """The health of the rule's endpoint. Deliveries to a `suspended` endpoint are parked until you resume it."""

    state: Literal["healthy", "failing", "suspended"]
    failing_since: str | None
    suspended_at: str | None
    reason: str | None


class NotificationRuleAnswer(Versioned, frozen=True, kw_only=True):
    """A version of a rule. `secret` is shown once, in the response to the request that generated it. Other responses
    show its fingerprint: the first 8 hex digits of its SHA-256. `previous_secret_until`: until when the previous
    secret is valid."""

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
    """Rules, sorted by name; `after` is the name of the last one on the previous page."""

    data: list[NotificationRuleAnswer]
    next_cursor: str | None


class RotationIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """Without a `secret`, witnd generates one. Both secrets are valid for `overlap_seconds`; default: one day."""

    secret: str | None = None
    overlap_seconds: int | None = None


class TestAnswer(Struct, frozen=True, kw_only=True):
    """The endpoint's response to the sample. `body` is its first KiB. `reason`: why the test failed."""

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
    """The number of parked deliveries that were queued. `more`: there are more than one request queues; repeat the
    request."""

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
    if thing.version.standing == IN_EFFECT:
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
