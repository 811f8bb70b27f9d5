"""Notification rules: which outcomes send a webhook, and to which endpoint. The id of a rule derives from its name."""

from collections.abc import Sequence
from typing import Any

from witnd.app.catalogue import rules
from witnd.app.catalogue.read import RULE, Thing
from witnd.app.errors import all_invalid
from witnd.domain.values.fields import Table
from witnd.web.api.catalogue.answers import (
    with_etag,
)
from witnd.web.api.catalogue.resource import Resource, register
from witnd.web.api.catalogue.rule_answers import (
    NotificationRuleAnswer,
    NotificationRuleChange,
    NotificationRuleIn,
    NotificationRulePage,
    Resumed,
    RotationIn,
    TestAnswer,
    answer,
    answers,
)
from witnd.web.http.preconditions import expected_tags
from witnd.web.http.route import Call, route


async def _name(call: Call[Any]) -> str:
    return await rules.name_of(call.services, call.path["id"])


async def _show(call: Call[Any], thing: Thing, secret: str | None = None) -> NotificationRuleAnswer:
    return await answer(call.services, thing, secret)


async def _show_page(call: Call[Any], things: Sequence[Thing]) -> list[NotificationRuleAnswer]:
    return await answers(call.services, things)


register(
    __name__,
    Resource(
        kind=RULE,
        path="/v1/notification-rules",
        operation="rule",
        phrase="a notification rule",
        listed="notification rules in order of their names",
        body=NotificationRuleIn,
        change=NotificationRuleChange,
        change_summary="Change a notification rule. The name cannot be changed.",
        archive_summary="Archive a notification rule. It creates no new deliveries; waiting deliveries are parked.",
        answer=NotificationRuleAnswer,
        page=NotificationRulePage,
        parameter="id",
        key=_name,
        show=_show,
        show_page=_show_page,
    ),
)


@route(
    "POST",
    "/v1/notification-rules/{id}/rotate-secret",
    says="Rotate the signing secret. Both secrets are valid during the overlap.",
    scope="admin",
    has_versions=True,
    body=RotationIn,
    answer=NotificationRuleAnswer,
    refusals=("CONFLICT",),
)
async def rotate_secret(call: Call[Any]) -> NotificationRuleAnswer:
    table = Table(call.document() if call.data else {}, "", ("secret", "overlap_seconds"))
    secret = table.optional_text("secret")
    if table.mistakes:
        raise all_invalid(table.mistakes)
    written, made = await rules.rotate(
        call.services,
        call.author,
        await _name(call),
        secret,
        table.get("overlap_seconds"),
        expected_tags(call.headers),
    )
    return await answer(call.services, with_etag(call, written).thing, made)


@route(
    "POST",
    "/v1/notification-rules/{id}/test",
    says="Send a signed sample to the rule's endpoint, and return its response.",
    scope="admin",
    answer=TestAnswer,
    refusals=("CONFLICT",),
)
async def test_rule(call: Call[Any]) -> TestAnswer:
    tested = await rules.test(call.services, await _name(call), call.request_id)
    attempt = tested.attempt
    return TestAnswer(
        id=tested.id,
        type=tested.type,
        url=tested.url,
        delivered=attempt.succeeded,
        status=attempt.status,
        reason=attempt.reason,
        body=attempt.detail,
        duration_ms=attempt.duration_ms,
        blocked=attempt.blocked,
    )


@route(
    "POST",
    "/v1/notification-rules/{id}/resume",
    says="Resume the rule's endpoint, and send its parked deliveries, the oldest first.",
    scope="admin",
    answer=Resumed,
    refusals=("CONFLICT",),
)
async def resume_rule(call: Call[Any]) -> Resumed:
    author = call.author
    queued = await rules.resume(call.services, author, await _name(call))
    return Resumed(queued=queued, more=queued >= rules.RESUMED_MAX)
