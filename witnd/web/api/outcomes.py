"""Outcomes: lists, and one in full with how it came about; asking again for held events."""

import re
from typing import Any, Final

from msgspec import Struct

from witnd.domain.catalogue import Catalogue
from witnd.domain.event import EntryId
from witnd.domain.outcome import STATUSES as ALL
from witnd.store.changes import Change
from witnd.store.keys import Keys, partition_of
from witnd.store.outcomes import Wanted
from witnd.store.outcomes import listed as listed_outcomes
from witnd.store.outcomes import one as one_outcome
from witnd.store.places import Place
from witnd.store.reads import Reads
from witnd.web.asking import LOOKED_AT_MAX, asked, cursor, place_of
from witnd.web.errors import invalid, missing, unavailable
from witnd.web.outcomes import STATUSES, Explained, Listed, explained, listed
from witnd.web.route import Call, Listing, route

_ENTRY: Final = re.compile("([0-9]{1,16})-([0-9]{1,20})", re.ASCII)


class OutcomeQuery(Listing, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`status`: OPEN, PENDING, CONFIRMED, FAILED or `missed`, which is the same as FAILED; several with commas between.
    `key`: exactly this one. `prefix`: keys that begin so, in the order of their keys; otherwise the newest come first.
    A page may be short where what is asked for is rare: `next_cursor` null is the end.
    """

    status: str | None = None
    customer_key: str | None = None
    agent_key: str | None = None
    key: str | None = None
    prefix: str | None = None


class OutcomePage(Struct, frozen=True, kw_only=True):
    """Outcomes, and where the next page begins."""

    data: list[Listed]
    next_cursor: str | None


class OneOutcome(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`events_after`: the id of an event; those behind it are told. Without it, the last 1000 are; `0-0` begins with
    the first."""

    events_after: str | None = None


class Retried(Struct, frozen=True, kw_only=True):
    """The entry of the log by which held events are looked at again. What cannot be placed stays held."""

    key: str
    partition: int
    id: str


@route(
    "GET",
    "/v1/outcomes",
    says="List outcomes, the newest first.",
    scope="read",
    query=OutcomeQuery,
    answer=OutcomePage,
)
async def list_outcomes(call: Call[OutcomeQuery]) -> OutcomePage:
    limit, after = call.page()
    query, partitions = call.query, call.services.partitions
    wanted = Wanted(
        statuses=_statuses(query.status),
        customer=query.customer_key,
        agent=query.agent_key,
        prefix=query.prefix,
    )
    behind = place_of(after, len(partitions))
    if query.key is not None:
        if query.prefix is not None:
            raise invalid("prefix", "cannot be given beside key")
        return await _by_key(call, query.key, wanted, behind)
    if behind is not None and query.prefix is not None and not behind.name.startswith(query.prefix):
        raise invalid("after", "is the cursor of another list")

    async def ask(reads: Reads, catalogue: Catalogue) -> OutcomePage:
        page = await listed_outcomes(
            reads, partitions, catalogue, wanted, limit=limit, look=LOOKED_AT_MAX, behind=behind
        )
        return OutcomePage(
            data=[listed(place.partition, outcome) for place, outcome in page.data],
            next_cursor=cursor(page.behind),
        )

    return await asked(call.services, ask)


async def _by_key(call: Call[OutcomeQuery], key: str, wanted: Wanted, behind: Place | None) -> OutcomePage:
    keys = _keys(call, key)

    async def ask(reads: Reads, catalogue: Catalogue) -> OutcomePage:
        found = None if behind is not None else await one_outcome(reads, keys, key, catalogue)
        data = [] if found is None or not wanted.has(found) else [listed(keys.partition, found)]
        return OutcomePage(data=data, next_cursor=None)

    return await asked(call.services, ask)


@route(
    "GET",
    "/v1/outcomes/{key}",
    says="Read an outcome: its events with every check of the condition after each, and why it is what it is.",
    scope="read",
    query=OneOutcome,
    answer=Explained,
    refusals=("NOT_FOUND",),
)
async def read_outcome(call: Call[OneOutcome]) -> Explained:
    key, services = call.path["key"], call.services
    after = _entry(call.query.events_after)
    deliveries = await services.deliveries()

    async def ask(reads: Reads, catalogue: Catalogue) -> Explained | None:
        return await explained(reads, _keys(call, key), key, catalogue, deliveries, services.invoices, after=after)

    found = await asked(services, ask)
    if found is None:
        raise missing("outcome", key)
    return found


@route(
    "POST",
    "/v1/outcomes/{key}/retry",
    says="Ask again whether the held events of a key can be placed. The daemon does so when the catalogue changes.",
    scope="admin",
    status=202,
    answer=Retried,
    refusals=("NOT_FOUND", "UNAVAILABLE"),
)
async def retry_outcome(call: Call[Any]) -> Retried:
    key, services = call.path["key"], call.services
    keys = _keys(call, key)

    async def ask(reads: Reads, _: Catalogue) -> bool:
        return (await reads.each(("ZSCORE", keys.held, key)))[0] is not None

    if not await asked(services, ask):
        raise missing("key with held events", key)
    [answer] = await services.appender.append([(keys.events, ("witnd", "retry", "key", key))])
    if answer is None or answer.id is None:
        raise unavailable("it is unknown whether it was asked; ask again, which is harmless")
    done = Retried(key=key, partition=keys.partition, id=answer.id)
    await services.changes.note(
        Change(who=call.who, what="outcome.retry", key=key, request_id=call.request_id, after=done)
    )
    return done


def _keys(call: Call[Any], key: str) -> Keys:
    partitions = call.services.partitions
    return partitions[partition_of(key, len(partitions))]


def _statuses(text: str | None) -> frozenset[str]:
    if text is None:
        return frozenset(ALL)
    wanted = [STATUSES.get(word.strip().lower()) for word in text.split(",")]
    if None in wanted:
        raise invalid("status", f"must be of {', '.join(ALL)} and missed, with commas between several; not {text!r}")
    return frozenset(word for word in wanted if word is not None)


def _entry(text: str | None) -> EntryId | None:
    if text is None:
        return None
    form = _ENTRY.fullmatch(text)
    if form is None:
        raise invalid("events_after", "must be the id of an event, like 1789000000000-0")
    return int(form[1]), int(form[2])
