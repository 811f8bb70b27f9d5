"""The overview: totals, problems and recent days."""

from typing import Final

from msgspec import Struct

from witnd.app.errors import invalid
from witnd.app.overview import Overview, overview
from witnd.app.paging import read_with_catalogue
from witnd.web.http.route import Call, route

DAYS_MAX: Final = 366


class OverviewQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`days`: the number of days to report, up to and including today; 1 to 366."""

    days: int = 30


@route(
    "GET",
    "/v1/overview",
    says="Read the overview: outcomes, events, next deadlines, confirmed amounts, problems and recent days.",
    scope="read",
    query=OverviewQuery,
    answer=Overview,
)
async def read_overview(call: Call[OverviewQuery]) -> Overview:
    services, shown = call.services, call.query.days
    if not 1 <= shown <= DAYS_MAX:
        raise invalid("days", f"must lie between 1 and {DAYS_MAX}")
    return await read_with_catalogue(services, lambda reads, catalogue: overview(services, reads, catalogue, shown))
