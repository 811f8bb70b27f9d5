"""Commands to copy that send an event, to try witnd or to connect an application."""

import json
from collections.abc import Mapping
from shlex import quote
from typing import Final

from msgspec import Struct

from witnd.domain.outcomes.partitioning import partition_of
from witnd.web.dashboard.page import PageRequest
from witnd.web.http.behind_proxy import forwarded_prefix, is_over_tls

# What an example is about, wherever one is shown.
KEY: Final = "ticket-4711"
# Where nothing is known of customers and agents.
CUSTOMER: Final = "acme"
ACTION: Final = "ticket.resolved"


class Sending(Struct, frozen=True):
    """The same event over HTTP, and straight into Redis."""

    curl: str
    xadd: str


def example(request: PageRequest) -> dict[str, str]:
    """An event of the first customer and the first agent that there are; made-up ones, where there are none."""
    catalogue, at = request.services.catalogue, request.services.now_ms()
    event = {"key": KEY, "customer_key": next(iter(catalogue.keys("customer")), CUSTOMER), "action": ACTION}
    for key, agent in sorted(catalogue.agents(at).items())[:1]:
        event |= {"agent_key": key, "action": next(iter(agent.rule.facts), ACTION)}
    return event


def sending(request: PageRequest, event: Mapping[str, str]) -> Sending:
    """`event` has a key at least."""
    services = request.services
    stream = services.partitions[partition_of(event["key"], len(services.partitions))].events
    body = json.dumps(event, ensure_ascii=False)
    curl = [
        f"curl -X POST {quote(address(request) + '/v1/events')} \\",
        "  -H 'Authorization: Bearer <token>' -H 'Content-Type: application/json' \\",
        f"  -d {quote(body)}",
    ]
    fields = " ".join(f"{name} {quote(value)}" for name, value in event.items())
    return Sending(curl="\n".join(curl), xadd=f"redis-cli XADD {quote(stream)} '*' {fields}")


def address(request: PageRequest) -> str:
    """Return the base URL of this daemon, as the browser uses it."""
    headers = request.call.headers
    scheme = "https" if is_over_tls(headers) else "http"
    return f"{scheme}://{headers.get('Host', '127.0.0.1:8700')}{forwarded_prefix(headers)}"
