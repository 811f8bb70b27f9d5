"""Find, list and resend deliveries. The change log has each request to resend."""

from collections.abc import Sequence
from typing import Final, get_args

from witnd.app.errors import Refused, checked_cursor, invalid, not_found
from witnd.app.services import Services
from witnd.domain.values import instant
from witnd.domain.webhooks.delivery import HEALTHY, STANDINGS, Standing
from witnd.domain.webhooks.delivery_json import DeliveryDetailJson, DeliveryJson, delivery_detail_json, delivery_json
from witnd.domain.webhooks.notification import rule_id
from witnd.store.access.change_log import Author
from witnd.store.deliveries.reads import ENDED, LOOKED_AT_REQUEST, Deliveries, FoundDelivery
from witnd.store.page import Page

#: More deliveries than this no single request sends again: a second or two of work.
RESENT_MAX: Final = 10_000
# Longer lists of names are not read.
NAMED_MAX: Final = 20


async def rule_named(services: Services, text: str) -> str:
    """Return the name of the rule with this name or id, including archived rules."""
    names = (await services.learned()).keys("notification_rule")
    for name in names:
        if text in (name, rule_id(name)):
            return name
    known = ", ".join(sorted(names)[:NAMED_MAX]) or "none"
    more = "" if len(names) <= NAMED_MAX else f" and {len(names) - NAMED_MAX} more"
    raise invalid("rule", f"no such rule: {text!r}; known rules: {known}{more}")


def standing_named(text: str, known: Sequence[str] = STANDINGS) -> Standing:
    for one in get_args(Standing):
        if one == text and one in known:
            standing: Standing = one
            return standing
    raise invalid("standing", f"must be one of {', '.join(known)}, got {text!r}")


async def page(
    services: Services,
    *,
    standing: str | None = None,
    rule: str | None = None,
    outcome_key: str | None = None,
    limit: int,
    after: str | None,
    looked_at_max: int = LOOKED_AT_REQUEST,
) -> Page[DeliveryJson]:
    """Return a page of deliveries, the newest resolution first. Pending ones are sorted by their next attempt; a list
    of only pending ones starts with the next. Deliveries of one outcome are sorted by id.

    `rule`: a name or an id. A page may be short and still have a cursor.
    """
    known = None if standing is None else standing_named(standing)
    wanted = None if rule is None else rule_id(await rule_named(services, rule))
    desk = await services.deliveries()
    if outcome_key is not None:
        return await _about(desk, outcome_key, known, wanted, limit, after)
    with checked_cursor():
        standings = STANDINGS if known is None else [known]
        found = await desk.page(standings, wanted, limit, after, looked_at_max=looked_at_max)
    return Page([json_of(one) for one in found.data], found.cursor)


async def _about(
    desk: Deliveries, outcome_key: str, standing: Standing | None, rule: str | None, limit: int, after: str | None
) -> Page[DeliveryJson]:
    found = [
        json_of(one)
        for one in sorted(await desk.of_outcome(outcome_key), key=lambda one: one.row.id)
        if standing in (None, one.row.progress.standing)
        and (rule is None or (one.row.delivery is not None and one.row.delivery.rule_id == rule))
        and (after is None or one.row.id > after)
    ]
    return Page(found[:limit], found[limit - 1].id if len(found) > limit else None)


async def in_full(services: Services, id_: str) -> DeliveryDetailJson:
    desk = await services.deliveries()
    return await _in_full(desk, await _found(desk, id_))


async def resend(services: Services, author: Author, id_: str) -> DeliveryDetailJson:
    """Resend a delivery now, under the same id."""
    desk = await services.deliveries()
    await _queue(services, desk, author, id_)
    return await _in_full(desk, await _found(desk, id_))


async def resend_each(services: Services, author: Author, ids: Sequence[str]) -> list[str]:
    """Resend these deliveries. Return the ids that do not exist."""
    desk = await services.deliveries()
    missing = []
    for id_ in ids:
        try:
            await _queue(services, desk, author, id_)
        except Refused as refused:
            if refused.code != "NOT_FOUND":
                raise
            missing.append(id_)
    return missing


async def _queue(services: Services, desk: Deliveries, author: Author, id_: str) -> None:
    before = await _found(desk, id_)
    if before.row.delivery is None:
        raise not_found("message of a delivery", id_)
    await services.changes.note_request(author, "delivery.resend", id_, standing=before.row.progress.standing)
    if await desk.resend([id_], services.now_ms()):
        raise not_found("message of a delivery", id_)


async def count_between(services: Services, from_: str, to: str, *, rule: str | None, standing: str | None) -> int:
    """Return an upper bound for the number of deliveries that `resend_between` sends."""
    chosen, _ = await _between(services, from_, to, rule, standing)
    return await (await services.deliveries()).count_between(*chosen)


async def resend_between(
    services: Services,
    author: Author,
    from_: str,
    to: str,
    *,
    rule: str | None,
    standing: str | None,
    is_limited: bool = True,
) -> int:
    """Resend the delivered, parked or dead deliveries of the resolutions in [from, to). Return how many."""
    chosen, rule_name = await _between(services, from_, to, rule, standing)
    desk = await services.deliveries()
    if is_limited and (many := await desk.count_between(*chosen)) > RESENT_MAX:
        raise invalid(
            "to",
            f"range has up to {many} deliveries; at most {RESENT_MAX} are allowed; use a shorter range",
        )
    from_ms, to_ms, rule_id_, standings = chosen
    between = f"{instant.render(from_ms)}/{instant.render(to_ms)}"
    await services.changes.note_request(author, "delivery.resend", between, rule=rule_name, standings=list(standings))
    return await desk.resend_between(from_ms, to_ms, rule_id_, services.now_ms(), standings)


async def _between(
    services: Services, from_: str, to: str, rule: str | None, standing: str | None
) -> tuple[tuple[int, int, str | None, Sequence[Standing]], str | None]:
    """Parse a range. Return its instants, the id of the rule and the states; then the name of the rule."""
    from_ms, to_ms = _instant("from", from_), _instant("to", to)
    if to_ms <= from_ms:
        raise invalid("to", "must be later than from")
    name = None if rule is None else await rule_named(services, rule)
    standings = ENDED if standing is None else (standing_named(standing, ENDED),)
    return (from_ms, to_ms, None if name is None else rule_id(name), standings), name


def json_of(found: FoundDelivery) -> DeliveryJson:
    row = found.row
    return delivery_json(found.partition, row.id, row.created_ms, row.delivery, row.progress)


async def _found(desk: Deliveries, id_: str) -> FoundDelivery:
    found = await desk.find(id_)
    if found is None:
        raise not_found("delivery", id_)
    return found


async def _in_full(desk: Deliveries, found: FoundDelivery) -> DeliveryDetailJson:
    row = found.row
    endpoint = HEALTHY if row.delivery is None else await desk.endpoint(row.delivery.rule_id)
    return delivery_detail_json(found.partition, row.id, row.created_ms, row.delivery, row.progress, endpoint)


def _instant(name: str, text: str) -> int:
    try:
        return instant.parse(text)
    except ValueError as wrong:
        raise invalid(name, f"{text!r} {wrong}") from None
