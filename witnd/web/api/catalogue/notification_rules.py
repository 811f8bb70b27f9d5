"""Notification rules: who is told of which outcomes. A rule's id is derived from its name."""

from typing import Any

from witnd.app.catalogue import rules
from witnd.app.catalogue.read import RULE
from witnd.app.errors import all_invalid
from witnd.domain.values.fields import Table
from witnd.domain.values.strictjson import BYTES_MAX
from witnd.web.api.catalogue.answers import (
    CatalogueListing,
    Comparison,
    Pair,
    VersionPage,
    When,
    Which,
    archive,
    change,
    compare,
    create,
    one,
    page,
    versions,
    with_etag,
)
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
from witnd.web.http.route import Call, Listing, route


async def _name(call: Call[Any]) -> str:
    return await rules.name_of(call.services, call.path["id"])


@route(
    "POST",
    "/v1/notification-rules",
    says="Create a notification rule.",
    scope="admin",
    status=201,
    body=NotificationRuleIn,
    answer=NotificationRuleAnswer,
    most_bytes=BYTES_MAX,
    refusals=("CONFLICT",),
)
async def create_rule(call: Call[Any]) -> NotificationRuleAnswer:
    written = await create(call, RULE)
    return await answer(call.services, written.thing, written.secret)


@route(
    "GET",
    "/v1/notification-rules",
    says="List notification rules in order of their names.",
    scope="read",
    query=CatalogueListing,
    answer=NotificationRulePage,
)
async def list_rules(call: Call[CatalogueListing]) -> NotificationRulePage:
    found, cursor = await page(call, RULE)
    return NotificationRulePage(data=await answers(call.services, found), next_cursor=cursor)


@route(
    "GET",
    "/v1/notification-rules/{id}",
    says="Read a notification rule.",
    scope="read",
    query=Which,
    answer=NotificationRuleAnswer,
)
async def read_rule(call: Call[Which]) -> NotificationRuleAnswer:
    return await answer(call.services, await one(call, RULE, await _name(call)))


@route(
    "PATCH",
    "/v1/notification-rules/{id}",
    says="Change fields of a notification rule, but its name.",
    scope="admin",
    has_versions=True,
    body=NotificationRuleChange,
    answer=NotificationRuleAnswer,
    most_bytes=BYTES_MAX,
    refusals=("CONFLICT",),
)
async def change_rule(call: Call[Any]) -> NotificationRuleAnswer:
    return await answer(call.services, (await change(call, RULE, await _name(call))).thing)


@route(
    "DELETE",
    "/v1/notification-rules/{id}",
    says="Archive a notification rule: it makes no more deliveries; those that wait are parked.",
    scope="admin",
    has_versions=True,
    query=When,
    answer=NotificationRuleAnswer,
    refusals=("CONFLICT",),
)
async def archive_rule(call: Call[When]) -> NotificationRuleAnswer:
    return await answer(call.services, (await archive(call, RULE, await _name(call), archived=True)).thing)


@route(
    "POST",
    "/v1/notification-rules/{id}/restore",
    says="Take a notification rule out of the archive.",
    scope="admin",
    has_versions=True,
    query=When,
    answer=NotificationRuleAnswer,
    refusals=("CONFLICT",),
)
async def restore_rule(call: Call[When]) -> NotificationRuleAnswer:
    return await answer(call.services, (await archive(call, RULE, await _name(call), archived=False)).thing)


@route(
    "GET",
    "/v1/notification-rules/{id}/versions",
    says="List the versions of a notification rule, with what each changed.",
    scope="read",
    query=Listing,
    answer=VersionPage,
)
async def list_rule_versions(call: Call[Listing]) -> VersionPage:
    return await versions(call, RULE, await _name(call))


@route(
    "GET",
    "/v1/notification-rules/{id}/compare",
    says="Compare two versions of a notification rule.",
    scope="read",
    query=Pair,
    answer=Comparison,
)
async def compare_rule(call: Call[Pair]) -> Comparison:
    return await compare(call, RULE, await _name(call))


@route(
    "POST",
    "/v1/notification-rules/{id}/rotate-secret",
    says="Put another secret in the place of the one that signs; for a while both do.",
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
    says="Send a signed sample to the rule's endpoint and tell what it answered.",
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
    says="Lift the suspension of the rule's endpoint, and send what is parked, the oldest first.",
    scope="admin",
    answer=Resumed,
    refusals=("CONFLICT",),
)
async def resume_rule(call: Call[Any]) -> Resumed:
    author = call.author
    queued = await rules.resume(call.services, author, await _name(call))
    return Resumed(queued=queued, more=queued >= rules.RESUMED_MAX)
