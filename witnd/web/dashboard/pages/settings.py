"""Settings as this daemon has them, and how it stands."""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from witnd import __version__
from witnd.app.daemon_services import DaemonServices
from witnd.app.status import standing
from witnd.config import Config
from witnd.settings import READERS
from witnd.web.dashboard.page import Answer, HtmlPage, PageRequest, page
from witnd.web.dashboard.present.words import number, plural, span

# What each setting is for; `docs/reference/configuration.md` says all of it.
MEANS: Final[Mapping[str, Mapping[str, str]]] = {
    "redis": {
        "url": "The server on which everything is kept.",
        "password_file": "Where the server's password comes from.",
        "prefix": "What every key on the server begins with.",
        "partitions": "Logs that events are split over. Fixed since the first start.",
        "durability": "When an event that is sent counts as accepted.",
    },
    "http": {
        "bind": "Where this dashboard and the API listen.",
        "max_lag": "So many events may wait to be applied before new ones are refused for a while.",
        "connections_max": "How many connections the API and this dashboard serve at the same time.",
    },
    "webhooks": {
        "allow_networks": "Private networks that webhooks may reach.",
        "ca_file": "Authorities that webhooks trust besides those of the system.",
        "schedule": "Waits between the attempts at a delivery.",
    },
    "billing": {
        "period": "What an invoice is for: each month, week or day of UTC.",
        "grace": "How long drafts of a closed period wait for review before they issue themselves.",
        "issue": "Whether invoices issue themselves (auto) or somebody does it (manual).",
        "zero_invoices": "Whether invoices over nothing issue themselves too.",
        "series": "What numbers of invoices begin with.",
        "credit_series": "What numbers of credit notes begin with.",
    },
    "daemon": {
        "state_dir": "Where it keeps what it must know to notice that Redis has lost data.",
        "instance": "The name of this daemon among several.",
        "lease": "How long the others wait for a daemon that stopped answering.",
        "actors_in_memory": "Outcomes that are kept in memory; the others wait in Redis.",
        "batch": "The most events in one step.",
        "log_format": "How log lines are written.",
    },
}
_SECONDS: Final = frozenset(("grace", "lease", "schedule"))
_UNITS: Final[Mapping[str, str]] = {"max_lag": "event", "actors_in_memory": "outcome", "batch": "event"}


class Setting(Struct, frozen=True, kw_only=True):
    """`default`: nobody chose it, as far as that can be told."""

    name: str
    value: str
    means: str
    default: bool


@page("/dashboard/settings")
async def show_settings(request: PageRequest) -> Answer:
    services = request.services
    return HtmlPage(
        "settings.html",
        {
            "version": __version__,
            "config": services.config,
            "sections": settings(services),
            "health": services.health(),
            "partitions": len(services.partitions),
            "server": str(services.server),
            "found": await standing(services),
        },
    )


def settings(services: DaemonServices) -> dict[str, list[Setting]]:
    """All there are, by section."""
    defaults = Config()
    found: dict[str, list[Setting]] = {}
    for section, readers in READERS.items():
        own, usual = getattr(services.config, section), getattr(defaults, section)
        found[section] = [
            Setting(
                name=name,
                value=_value(services, name, getattr(own, name)),
                means=MEANS[section][name],
                default=_default(services.config, name, getattr(own, name) == getattr(usual, name)),
            )
            for name in readers
        ]
    return found


def _default(config: Config, name: str, same: bool) -> bool:  # noqa: FBT001 - compared where both are at hand
    """Whether nobody chose it, as far as that can be told."""
    known = {"url": config.url_explicit, "bind": config.bind_explicit, "state_dir": config.state_dir_explicit}
    return not known[name] if name in known else same


def _value(services: DaemonServices, name: str, value: Any) -> str:
    """Never a password, nor where one is kept."""
    if name == "url":
        return str(services.server)
    if name == "password_file":
        return "a file (hidden)" if value else "in the address (hidden)" if services.server.password else "none"
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return ", ".join([_text(name, item) for item in value]) or "none"
    return _text(name, value)


def _text(name: str, value: Any) -> str:
    if name in _SECONDS:
        return span(value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name == "max_lag" and not value:
        return "no limit"
    if name == "connections_max" and not value:
        return "from the limit of open files"
    if isinstance(value, int):
        return plural(value, _UNITS[name]) if name in _UNITS else number(value)
    return str(value)
