"""Problems: what needs a person, and asking again for what is held."""

from typing import Any

from msgspec import Struct

from witnd.app.outcomes import retry as retrying
from witnd.app.outcomes.retry import RetriedHeld
from witnd.app.paging import asked
from witnd.app.problems import Problems, problems
from witnd.web.http.route import Call, route


class RetryQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`after` is the `next_cursor` of the answer before."""

    after: str | None = None


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
    return await retrying.retry_held(call.services, call.author, call.query.after)
