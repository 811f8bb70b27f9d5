"""The settings and the status of this daemon."""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from witnd import __version__
from witnd.app.daemon_services import DaemonServices
from witnd.app.owners import Owners, owners
from witnd.app.status import standing
from witnd.config import Config
from witnd.settings import READERS
from witnd.store.errors import StoreRefused, StoreUnavailable, Unsafe
from witnd.web.dashboard.page import Answer, HtmlPage, PageRequest, page
from witnd.web.dashboard.present.words import number, plural, span

# The purpose of each setting; `docs/reference/configuration.md` has the details.
MEANINGS: Final[Mapping[str, Mapping[str, str]]] = {
    "redis": {
        "url": "The Redis server, cluster or Sentinels that store all data.",
        "password_file": "The source of the server's password.",
        "sentinel_username": "The user name at the Sentinels.",
        "sentinel_password_file": "The source of the Sentinels' password.",
        "sentinel_tls": "Whether the Sentinels use TLS.",
        "prefix": "The prefix of every key in Redis.",
        "partitions": "The number of logs that share the events. Only `witnd repartition` changes it.",
        "durability": "When witnd acknowledges an event.",
    },
    "http": {
        "bind": "The address of this dashboard and the API.",
        "max_lag": "How many events can wait before witnd temporarily rejects new ones.",
        "connections_max": "The maximum number of simultaneous connections to the API and this dashboard.",
        "public_url": "The address at which people reach this dashboard. Webhooks about invoices link to it.",
    },
    "webhooks": {
        "allow_networks": "Private networks that webhooks may reach.",
        "ca_file": "Certificate authorities that webhooks trust in addition to those of the system.",
        "schedule": "The delays between delivery attempts.",
    },
    "billing": {
        "period": "The period of an invoice: a month, week or day in the billing time zone, or an hour in UTC.",
        "time_zone": "The IANA time zone of periods, and of the dates on invoices.",
        "grace": "How long drafts of a closed period wait for review before they are issued automatically.",
        "issue": "Whether invoices are issued automatically (auto) or by you (manual).",
        "zero_invoices": "Whether invoices with a total of zero are issued automatically.",
        "series": "The prefix of invoice numbers.",
        "first_number": "The first number of a series.",
        "credit_series": "The prefix of credit note numbers.",
        "first_credit_number": "The first number of a series of credit notes.",
    },
    "daemon": {
        "state_dir": "The directory with the journal, which detects data loss in Redis.",
        "instance": "The name of this daemon among several.",
        "lease": "How long other daemons wait before they take over from an unresponsive daemon.",
        "actors_in_memory": "How many outcomes to keep in memory; the others stay in Redis.",
        "batch": "The maximum number of events in a batch.",
        "log_format": "The format of log lines.",
    },
}
_SECONDS: Final = frozenset(("grace", "lease", "schedule"))
_UNITS: Final[Mapping[str, str]] = {"max_lag": "event", "actors_in_memory": "outcome", "batch": "event"}


class Setting(Struct, frozen=True, kw_only=True):
    """A setting and its value. `default`: not set explicitly, as far as witnd can determine."""

    name: str
    value: str
    meaning: str
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
            "owners": await _owners(services),
        },
    )


def settings(services: DaemonServices) -> dict[str, list[Setting]]:
    """Return all settings by section."""
    defaults = Config()
    found: dict[str, list[Setting]] = {}
    for section, readers in READERS.items():
        own, usual = getattr(services.config, section), getattr(defaults, section)
        found[section] = [
            Setting(
                name=name,
                value=_value(services, name, getattr(own, name)),
                meaning=MEANINGS[section][name],
                default=_default(services.config, name, getattr(own, name) == getattr(usual, name)),
            )
            for name in readers
        ]
    return found


def _default(config: Config, name: str, same: bool) -> bool:  # noqa: FBT001 - compared where both are at hand
    """Return whether a setting was not set explicitly, as far as witnd can determine."""
    known = {"url": config.url_explicit, "bind": config.bind_explicit, "state_dir": config.state_dir_explicit}
    return not known[name] if name in known else same


async def _owners(services: DaemonServices) -> Owners | str:
    """Return the owners of the partitions, or the reason why they are not known."""
    try:
        return await owners(services)
    except (StoreUnavailable, StoreRefused, Unsafe) as away:
        return str(away)


def _value(services: DaemonServices, name: str, value: Any) -> str:
    """Return a value as text, without passwords or their location."""
    if name == "url":
        return str(services.server)
    if name == "sentinel_password_file":
        return "a file (hidden)" if value else "none"
    if name == "password_file":
        return "a file (hidden)" if value else "in the URL (hidden)" if services.server.password else "none"
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return ", ".join([_text(name, item) for item in value]) or "none"
    return _text(name, value)


def _text(name: str, value: Any) -> str:
    if name in _SECONDS:
        return span(value) or "none"
    if value is None or value == "":
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name == "max_lag" and not value:
        return "no limit"
    if name == "connections_max" and not value:
        return "derived from the open file limit"
    if isinstance(value, int):
        return plural(value, _UNITS[name]) if name in _UNITS else number(value)
    return str(value)
