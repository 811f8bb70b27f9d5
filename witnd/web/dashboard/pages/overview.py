"""The overview: the status of everything, and the first steps on an empty system."""

from typing import Final

from msgspec import Struct

from witnd.app.daemon_services import DaemonServices
from witnd.app.overview import DayFigures, Overview, standing
from witnd.app.paging import read_with_catalogue
from witnd.web.dashboard.forms.submit import example, sending
from witnd.web.dashboard.page import Answer, HtmlPage, PageRequest, page
from witnd.web.dashboard.present.charts import Day, draw_chart
from witnd.web.dashboard.present.words import number

DAYS: Final = 30


class Step(Struct, frozen=True, kw_only=True):
    """Something to do before the first invoice."""

    name: str
    text: str
    to: str
    done: bool


@page("/dashboard")
async def show_overview(request: PageRequest) -> Answer:
    services = request.services

    found, stuck = await read_with_catalogue(
        services, lambda reads, catalogue: standing(services, reads, catalogue, DAYS)
    )
    return HtmlPage(
        "overview.html",
        {
            "found": found,
            "stuck": stuck,
            "unsent": stuck.dead + sum(stuck.parked.values()),
            "chart": draw_chart([_day(day) for day in found.days]),
            "steps": _steps(services, found),
            "sending": sending(request, example(request)),
        },
    )


def _day(day: DayFigures) -> Day:
    tip = f"{day.date}: {number(day.confirmed)} confirmed, {number(day.missed)} missed, {number(day.opened)} opened"
    return Day(label=day.date[5:], stacked=(day.confirmed, day.missed), point=day.opened, tip=tip)


def _steps(services: DaemonServices, found: Overview) -> list[Step]:
    """None once the first event was applied."""
    if sum(found.events.values()):
        return []
    catalogue = services.catalogue
    has = {kind: bool(catalogue.keys(kind)) for kind in ("agent", "rate_card", "customer", "notification_rule")}
    return [
        Step(name="Create an agent", text="what makes an outcome billable, and when it settles",
             to="agents", done=has["agent"]),
        Step(name="Create a rate card", text="the price of each outcome of the agent", to="rate-cards",
             done=has["rate_card"]),
        Step(name="Create a customer", text="who you bill, with which rate card", to="customers",
             done=has["customer"]),
        Step(name="Add a notification", text="a webhook for confirmed or missed outcomes (optional)",
             to="notifications", done=has["notification_rule"]),
    ]  # fmt: skip
