"""Problems that need attention, and retry of all held events."""

from typing import Any

from msgspec import Struct

from witnd.app.outcomes import retry as retrying
from witnd.app.outcomes.retry import RetriedHeld
from witnd.app.paging import read_with_catalogue
from witnd.app.problems import Problems, problems
from witnd.web.http.route import Call, route


class RetryQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`after` is the `next_cursor` of the previous response."""

    after: str | None = None


@route(
    "GET",
    "/v1/problems",
    says="Read what needs attention: counts, and the first entries of each kind with links to all.",
    scope="read",
    answer=Problems,
)
async def list_problems(call: Call[Any]) -> Problems:
    services = call.services
    return await read_with_catalogue(services, lambda reads, catalogue: problems(services, reads, catalogue))


@route(
    "POST",
    "/v1/problems/retry-held",
    says="Retry held events of all keys that can be applied now. Checks up to 500 keys.",
    scope="admin",
    status=202,
    query=RetryQuery,
    answer=RetriedHeld,
    refusals=("UNAVAILABLE",),
)
async def retry_held(call: Call[RetryQuery]) -> RetriedHeld:
    return await retrying.retry_held(call.services, call.author, call.query.after)
