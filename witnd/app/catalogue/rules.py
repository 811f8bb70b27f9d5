"""Notification rules beyond their versions: ids, secret rotation, tests and resuming endpoints.

How they are written and read is left to `catalogue` and `catalogue_change`, how they are answered to
`witnd.web.api.catalogue.notification_rules`.
"""

import secrets
from functools import lru_cache
from typing import Any, Final

from msgspec import Struct

from witnd.app.catalogue.change import SEED_BYTES, Expected, Written, change
from witnd.app.catalogue.read import RULE, read
from witnd.app.daemon_services import DaemonServices
from witnd.app.errors import Refused, all_invalid, invalid, not_found
from witnd.app.services import Services
from witnd.domain.catalogue.plan import generated_secret
from witnd.domain.values.mistake import Mistake
from witnd.domain.webhooks.delivery import Attempt
from witnd.domain.webhooks.notification import NotificationRule, rule_id
from witnd.domain.webhooks.rotation import OVERLAP, overlap_problem, signing_secrets
from witnd.domain.webhooks.sample import sample_delivery
from witnd.store.access.change_log import Author

# Parked deliveries that one request queues: about a second.
RESUMED_MAX: Final = 20_000

id_of = lru_cache(maxsize=65_536)(rule_id)


class Tested(Struct, frozen=True, kw_only=True):
    """The sample, and the result of sending it."""

    id: str
    type: str
    url: str
    attempt: Attempt


async def name_of(services: Services, id_: str) -> str:
    """Return the name of the rule with this id. Raise if it does not exist."""
    catalogue = await services.learned()
    for name in catalogue.keys(RULE.name):
        if id_of(name) == id_:
            return name
    raise not_found(RULE.word, id_)


async def rotate(
    services: Services,
    author: Author,
    name: str,
    secret: str | None,
    overlap: Any = None,
    expected: Expected = None,
) -> tuple[Written, str | None]:
    """Replace the secret of a rule. Return the secret if it was generated here."""
    if overlap is not None and (problem := overlap_problem(overlap)):
        raise all_invalid([Mistake("overlap_seconds", problem)])
    thing = await read(services, RULE, name)
    if secret is not None and secret == thing.version.content["secret"]:
        raise invalid("secret", "must differ from the current secret; leave it out to generate one")
    made = generated_secret(secrets.token_bytes(SEED_BYTES), name) if secret is None else None
    fields = {"secret": secret or made} | ({} if overlap is None else {OVERLAP: overlap})
    return await change(services, author, RULE, name, fields, expected=expected, what="rotate_secret"), made


async def test(services: DaemonServices, name: str, mark: str) -> Tested:
    """Send a signed sample to the rule's endpoint. The rule need not be enabled."""
    thing = await read(services, RULE, name)
    if thing.version.archived:
        raise Refused("CONFLICT", f"notification rule {name!r} is archived; restore it first")
    rule = NotificationRule.from_content(name, thing.version.content)
    now = services.now_ms()
    signed = signing_secrets(services.catalogue.versions(RULE.name, name), max(now, thing.version.effective_from))
    message = sample_delivery(rule, mark, now)
    attempt = await services.send(rule.url, signed.secrets, message)
    return Tested(id=message.id, type=message.type, url=rule.url, attempt=attempt)


async def resume(services: Services, author: Author, name: str, *, is_limited: bool = True) -> int:
    """Resume the rule's endpoint and queue its parked deliveries, at most about `RESUMED_MAX`. Return how many."""
    thing = await read(services, RULE, name)
    if thing.version.archived or not thing.version.content["enabled"]:
        remedy = "restore" if thing.version.archived else "enable"
        raise Refused("CONFLICT", f"deliveries would be parked again; {remedy} notification rule {name!r} first")
    desk = await services.deliveries()
    await services.changes.note_request(author, "notification_rule.resume", name)
    return await desk.resume(id_of(name), RESUMED_MAX if is_limited else None)
