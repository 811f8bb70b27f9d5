"""What tests of the catalogue over HTTP share: things that are right, and how to make them."""

import json
from typing import Any

from tests.web.api_server import ApiServer

AGENT: dict[str, Any] = {
    "key": "support",
    "name": "Support",
    "settlement_period": 60,
    "attribution_method": "sum",
    "condition": [{"fact": "replied", "operator": "seen"}, {"fact": "reopened", "operator": "not seen"}],
}
CARD: dict[str, Any] = {
    "key": "standard",
    "currency": "EUR",
    "entries": [{"agent": "support", "price_per_unit": "0.995"}],
}
CUSTOMER: dict[str, Any] = {"key": "acme", "name": "Acme", "email": "billing@acme.example", "rate_card": "standard"}
RULE: dict[str, Any] = {"name": "crm", "source": "both", "url": "http://127.0.0.1:9/hook"}


def made(api: ApiServer, path: str, body: dict[str, Any]) -> Any:
    """What creating it answers."""
    answer = api.ask("POST", path, body)
    assert answer.status == 201, answer.body
    return answer.json


def stocked(api: ApiServer) -> None:
    """An agent, a card with its price, and a customer who has it."""
    made(api, "/v1/agents", AGENT)
    made(api, "/v1/rate-cards", CARD)
    made(api, "/v1/customers", CUSTOMER)


def paths(answer: Any) -> list[str]:
    """Where the mistakes are that a refusal tells of."""
    assert answer.status == 400, answer.body
    return [detail["path"] for detail in answer.error["details"]]


def changes(api: ApiServer) -> list[dict[str, Any]]:
    """The log of changes, the first one first."""
    entries = api.deployment.call("XRANGE", "witn:{shared}:changes", "-", "+") or []
    return [json.loads(fields[b"data"]) for _, fields in entries]
