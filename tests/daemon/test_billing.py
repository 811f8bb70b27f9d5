"""The real daemon makes invoices of what it settles."""

from pathlib import Path
from typing import cast

import pytest
import redis

from tests.support.server import Server
from tests.support.workshop import CATALOGUE, Workshop
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
def workshop(session_server: Server, redis_url: str, tmp_path: Path) -> Workshop:
    return Workshop(session_server, tmp_path)


def issued(client: redis.Redis) -> bool:
    return bool(client.zcard(KEYS.invoices)) and not client.exists(KEYS.open, KEYS.to_issue)


def invoices(workshop: Workshop) -> list[Invoice]:
    found = []
    for id_ in cast("list[bytes]", workshop.call("ZRANGE", KEYS.invoices, 0, -1)):
        fields = cast("dict[bytes, bytes]", workshop.call("HGETALL", KEYS.invoice(id_.decode())))
        head = decode_invoice(id_.decode(), fields)
        assert head is not None
        found.append(head)
    return found


def test_what_was_confirmed_long_ago_is_on_an_issued_invoice(workshop: Workshop) -> None:
    workshop.apply()
    workshop.event("outcome-1", "replied")
    workshop.event("outcome-2", "replied", after=1000)
    workshop.event("outcome-3", "noted", after=2000)
    workshop.work(issued)
    [head] = invoices(workshop)
    assert (head.number, head.status, str(head.total)) == ("INV-000001", "issued", "2")
    assert (head.customer_key, head.currency, head.lines) == ("acme", "EUR", 2)
    rows = [decode_row(one) for one in workshop.call("LRANGE", KEYS.lines(head.id), 0, -1)]
    assert [(row.outcome_key, row.amount) for row in rows] == [("outcome-1", "1.00"), ("outcome-2", "1.00")]


def test_a_price_of_the_whole_period_is_rated_when_it_closes(workshop: Workshop) -> None:
    workshop.apply(TIERED)
    for number in range(3):
        workshop.event(f"outcome-{number}", "replied", after=1000 * number)
    workshop.work(issued)
    [head] = invoices(workshop)
    assert (head.number, str(head.total)) == ("INV-000001", "2.5")
    [line, *_] = workshop.call("XRANGE", workshop.keys().lines, "-", "+")
    assert b'"amount":null' in line[1][b"data"]
    assert b'"rated":"at_close"' in line[1][b"data"]


def test_the_running_period_stays_open(workshop: Workshop) -> None:
    workshop.apply(CATALOGUE.replace("settlement_period = 60", "settlement_period = 1"))
    workshop.event("outcome-1", "replied", at="*")
    workshop.work(lambda client: bool(client.zcard(KEYS.open)))
    [head] = invoices(workshop)
    assert (head.stage, head.lines) == ("open", 1)
