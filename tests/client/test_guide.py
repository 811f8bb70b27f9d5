"""The code of the guide does what the guide says, with a real daemon."""

import ast
from typing import Any

from tests.docs.generate import ROOT
from tests.docs.pages import blocks
from tests.support.processes import until
from tests.web.api_server import ApiServer
from witnd.client import Client, Event, Retries


def guide() -> dict[str, Any]:
    page = ROOT / "docs/how-to/send-events.md"
    code = "\n".join(block.text for block in blocks(page, "python"))
    names: dict[str, Any] = {}
    exec(compile(ast.parse(code), str(page), "exec"), names)  # our own documentation
    return names


def test_the_guide_sends_reads_and_keeps_what_it_could_not_send(api: ApiServer) -> None:
    api.deployment.apply(CATALOGUE)
    shown = guide()
    url, token = f"http://{api.address[0]}:{api.address[1]}", api.tokens["admin"]
    with Client(url, token) as client:
        assert shown["send_resolved"](client, "ticket-4711", "acme").endswith("-0")
    until(lambda: api.ask("GET", "/v1/outcomes/ticket-4711").status == 200, "it is read")
    shown["main"](url, token)
    shown["send_to_redis"](api.deployment.server.url, "ticket-4711", "acme")

    kept: list[Event] = []
    event = Event(key="ticket-4713", action="resolved", customer_key="acme")
    with Client("http://127.0.0.1:9", token, retries=Retries(attempts=1)) as nobody:
        shown["send_or_keep"](nobody, [event], kept)
    assert kept == [event]
    with Client(url, token) as client:
        shown["send_or_keep"](client, [], kept)
    assert kept == []
    until(lambda: api.ask("GET", "/v1/outcomes/ticket-4713").status == 200, "it is read, too")


CATALOGUE = """
customers = [{ key = "acme", rate_card = "standard" }]

[[agents]]
key = "support"
condition = [{ fact = "resolved", operator = "seen" }]

[[rate_cards]]
key = "standard"
currency = "EUR"
entries = [{ agent = "support", price_per_unit = "0.99" }]
"""
