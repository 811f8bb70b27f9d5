"""Outcomes: lists, and one in full with how it came about; asking again for held events."""

import re
from typing import Any, Final

from msgspec import Struct

from witnd.domain.catalogue import Catalogue
from witnd.domain.event import EntryId
from witnd.store.changes import Change
from witnd.store.reads import Reads
from witnd.web.asking import asked
from witnd.web.errors import invalid, missing, unavailable
from witnd.web.outcome_list import OutcomePage, keys_of, page
from witnd.web.outcomes import Explained, explained
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
    query = call.query
    return await page(
        call.services,
        status=query.status,
        customer=query.customer_key,
        agent=query.agent_key,
        key=query.key,
        prefix=query.prefix,
        limit=limit,
        after=after,
    )


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
        return await explained(
            reads, keys_of(services, key), key, catalogue, deliveries, services.invoices, after=after
        )

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
    keys = keys_of(services, key)

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


def _entry(text: str | None) -> EntryId | None:
    if text is None:
        return None
    form = _ENTRY.fullmatch(text)
    if form is None:
        raise invalid("events_after", "must be the id of an event, like 1789000000000-0")
    return int(form[1]), int(form[2])
