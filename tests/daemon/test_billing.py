"""The real daemon makes invoices of what it settles."""

from pathlib import Path
from typing import cast

import pytest
import redis

from tests.support.deployment import CATALOGUE, Deployment
from tests.support.server import Server
from witnd.domain.invoices.invoice import Invoice
from witnd.store.invoices.codec import decode_invoice, decode_row
from witnd.store.keys import BillingKeys

KEYS = BillingKeys("witn")
TIERED = CATALOGUE.replace(
    '{ agent = "support", price_per_unit = "0.995" }',
    '{ agent = "support", kind = "graduated", tiers = '
    '[{ up_to = "2", price_per_unit = "1" }, { price_per_unit = "0.5" }] }',
)


@pytest.fixture
def deployment(session_server: Server, redis_url: str, tmp_path: Path) -> Deployment:
    return Deployment(session_server, tmp_path)


def issued(client: redis.Redis) -> bool:
    return bool(client.zcard(KEYS.invoices)) and not client.exists(KEYS.open, KEYS.to_issue)


def invoices(deployment: Deployment) -> list[Invoice]:
    found = []
    for id_ in cast("list[bytes]", deployment.call("ZRANGE", KEYS.invoices, 0, -1)):
        fields = cast("dict[bytes, bytes]", deployment.call("HGETALL", KEYS.invoice(id_.decode())))
        head = decode_invoice(id_.decode(), fields)
        assert head is not None
        found.append(head)
    return found


def test_what_was_confirmed_long_ago_is_on_an_issued_invoice(deployment: Deployment) -> None:
    deployment.apply()
    deployment.event("outcome-1", "replied")
    deployment.event("outcome-2", "replied", after=1000)
    deployment.event("outcome-3", "noted", after=2000)
    deployment.work(issued)
    [head] = invoices(deployment)
    assert (head.number, head.status, str(head.total)) == ("INV-000001", "issued", "2")
    assert (head.customer_key, head.currency, head.lines) == ("acme", "EUR", 2)
    rows = [decode_row(one) for one in deployment.call("LRANGE", KEYS.lines(head.id), 0, -1)]
    assert [(row.outcome_key, row.amount) for row in rows] == [("outcome-1", "1.00"), ("outcome-2", "1.00")]


def test_a_price_of_the_whole_period_is_rated_when_it_closes(deployment: Deployment) -> None:
    deployment.apply(TIERED)
    for number in range(3):
        deployment.event(f"outcome-{number}", "replied", after=1000 * number)
    deployment.work(issued)
    [head] = invoices(deployment)
    assert (head.number, str(head.total)) == ("INV-000001", "2.5")
    [line, *_] = deployment.call("XRANGE", deployment.keys().lines, "-", "+")
    assert b'"amount":null' in line[1][b"data"]
    assert b'"rated":"at_close"' in line[1][b"data"]


def test_the_running_period_stays_open(deployment: Deployment) -> None:
    deployment.apply(CATALOGUE.replace("settlement_period = 60", "settlement_period = 1"))
    deployment.event("outcome-1", "replied", at="*")
    deployment.work(lambda client: bool(client.zcard(KEYS.open)))
    [head] = invoices(deployment)
    assert (head.stage, head.lines) == ("open", 1)
