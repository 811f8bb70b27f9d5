"""Problems: what needs a person, and asking again for what is held."""

from typing import Any

from msgspec import Struct

from witnd.store.changes import Change
from witnd.web.asking import asked, cursor, place_of
from witnd.web.errors import unavailable
from witnd.web.problems import Problems, problems
from witnd.web.retrying import placeable
from witnd.web.route import Call, route


class RetryQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`after` is the `next_cursor` of the answer before."""

    after: str | None = None


class RetriedHeld(Struct, frozen=True, kw_only=True):
    """`retried`: keys that were asked again, since an event of theirs can be placed now; `looked_at`: of how many. With
    a `next_cursor` there are more held keys: go on with it."""

    retried: int
    looked_at: int
    next_cursor: str | None


@route(
    "GET",
    "/v1/problems",
    says="What needs a person: counts, and the first of each kind with links to all of them.",
    scope="read",
    answer=Problems,
)
async def list_problems(call: Call[Any]) -> Problems:
    services = call.services
    return await asked(services, lambda reads, catalogue: problems(services, reads, catalogue))


@route(
    "POST",
    "/v1/problems/retry-held",
    says="Ask again for all held keys that can be placed now; looks at up to 500 of them.",
    scope="admin",
    status=202,
    query=RetryQuery,
    answer=RetriedHeld,
    refusals=("UNAVAILABLE",),
)
async def retry_held(call: Call[RetryQuery]) -> RetriedHeld:
    services = call.services
    behind = place_of(call.query.after, len(services.partitions))
    found = await asked(
        services, lambda reads, catalogue: placeable(reads, services.partitions, catalogue, behind)
    )  # fmt: skip
    if found.keys:
        entries = [(keys.events, ("witnd", "retry", "key", key)) for keys, key in found.keys]
        answers = await services.appender.append(entries)
        if any(answer is None or answer.id is None for answer in answers):
            raise unavailable("it is unknown whether all were asked; ask again, which is harmless")
        await services.changes.note(
            Change(
                who=call.who,
                what="problems.retry_held",
                key="",
                request_id=call.request_id,
                after={"keys": [key for _, key in found.keys]},
            )
        )
    return RetriedHeld(retried=len(found.keys), looked_at=found.looked_at, next_cursor=cursor(found.behind))
