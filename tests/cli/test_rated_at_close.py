"""Outcomes whose price needs the whole period, from their event to what every command says of them."""

import json
from typing import Any

import pytest

from tests.support.deployment import CATALOGUE, Deployment
from witnd.store.keys import BillingKeys

PLAIN = '{ agent = "support", price_per_unit = "0.995" }'
GRADUATED = (
    '{ agent = "support", kind = "graduated",'
    ' tiers = [{ up_to = "100", price_per_unit = "1" }, { price_per_unit = "0.5" }] }'
)
PERCENTAGE = '{ agent = "support", kind = "percentage", percent = "2.5", minimum = "1" }'
KINDS = [
    GRADUATED,
    GRADUATED.replace("graduated", "volume"),
    '{ agent = "support", kind = "package", package_size = "10", price_per_package = "9" }',
    PLAIN.replace(" }", ', free_quota = "5" }'),
    PERCENTAGE.replace(" }", ', period_cap = "9" }'),
]


def confirmed(deployment: Deployment, entry: str) -> None:
    """One confirmed outcome of 3 units, and one that is missed."""
    assert PLAIN in CATALOGUE
    deployment.apply(CATALOGUE.replace(PLAIN, entry))
    deployment.event("ticket-0001", "replied", 0, properties={"attribution": 3})
    deployment.event("ticket-0002", "reopened", 1)
    deployment.work()


def stored(deployment: Deployment, stream: str) -> list[dict[str, Any]]:
    return [json.loads(fields[b"data"]) for _, fields in deployment.call("XRANGE", stream, "-", "+")]


@pytest.mark.parametrize("entry", KINDS, ids=("graduated", "volume", "package", "quota", "cap"))
def test_amounts_are_null_until_the_period_closes(deployment: Deployment, entry: str) -> None:
    confirmed(deployment, entry)
    [line] = stored(deployment, deployment.keys().lines)
    unknown = {"price_per_unit": None, "amount": None, "amount_exact": None, "rated": "at_close"}
    assert line | unknown == line
    assert (line["unit"], line["currency"], "working" in line) == ("3", "EUR", False)
    resolution, missed = stored(deployment, deployment.keys().resolutions)
    assert resolution | unknown == resolution
    assert (resolution["unit"], resolution["line_id"]) == ("3", line["id"])
    assert "amount" not in missed
    assert "rated" not in missed
    [listed] = deployment.json("outcomes", "--status", "confirmed")["data"]
    assert (listed["unit"], listed["amount"], listed["currency"]) == ("3", None, "EUR")
    [row] = [row for row in deployment.witnd("outcomes").stdout.splitlines() if row.startswith("ticket-0001")]
    assert row.endswith("at close")
    report = deployment.json("audit")
    assert report["clean"], report
    assert report["billed"] == [{"currency": "EUR", "lines": 1, "amount": "0.00"}]
    assert deployment.json("audit", "--quick")["clean"]


def test_the_webhook_says_that_there_is_no_amount_yet(deployment: Deployment) -> None:
    confirmed(deployment, GRADUATED)
    rows = deployment.call("HVALS", deployment.keys().deliveries)
    assert len(rows) == 2
    assert sum(b'"unit":"3","amount":null,"currency":"EUR"' in row for row in rows) == 1


def test_explain_tells_the_price_and_when_the_amount_is_known(deployment: Deployment) -> None:
    confirmed(deployment, GRADUATED)
    told = deployment.witnd("explain", "ticket-0001").stdout
    assert "price      graduated: 1 up to 100, 0.5 beyond (EUR, rate card standard)\n" in told
    assert "line       3 units, " in told
    found = deployment.json("explain", "ticket-0001")
    assert found["line"]["amount"] is None
    assert (found["terms"]["price_per_unit"], found["terms"]["price"]["kind"]) == (None, "graduated")


def test_explain_tells_the_amount_and_the_invoice_once_the_period_is_closed(deployment: Deployment) -> None:
    confirmed(deployment, GRADUATED)
    billing = BillingKeys("witn")
    deployment.work(lambda client: bool(client.hlen(billing.numbers)))
    told = deployment.witnd("explain", "ticket-0001").stdout
    assert "line       3 units, 3.00 EUR for the whole period\n" in told
    assert "invoice    INV-000001, issued, of 2001-09-01T00:00:00.000Z to 2001-10-01T00:00:00.000Z\n" in told
    assert deployment.json("explain", "ticket-0001")["invoice"]["amount"] == "3.00"


def test_a_percentage_is_billed_at_once_and_tells_how(deployment: Deployment) -> None:
    confirmed(deployment, PERCENTAGE)
    [line] = stored(deployment, deployment.keys().lines)
    assert (line["price_per_unit"], line["amount"], line["amount_exact"]) == ("0.025", "1.00", "1")
    assert line["rated"] == "at_settlement"
    assert line["working"] == {
        "kind": "percentage",
        "unit": "3",
        "percent": "2.5",
        "part": "0.075",
        "minimum": "1",
        "exact": "1",
        "rounded": "1.00",
    }
    told = deployment.witnd("explain", "ticket-0001").stdout
    assert "line       1.00 EUR: 2.5 % of 3 = 0.075, at least 1\n" in told
    assert deployment.json("audit")["billed"] == [{"currency": "EUR", "lines": 1, "amount": "1.00"}]


def test_an_audit_sees_an_amount_that_should_not_be_there_yet(deployment: Deployment) -> None:
    confirmed(deployment, GRADUATED)
    [line] = stored(deployment, deployment.keys().lines)
    [(entry, _)] = deployment.call("XRANGE", deployment.keys().lines, "-", "+")
    deployment.call("XDEL", deployment.keys().lines, entry)
    deployment.call("XADD", deployment.keys().lines, "*", "data", json.dumps(line | {"amount": "3.00"}))
    report = deployment.json("audit", exit_code=5)
    assert ("ticket-0001", "line: amount") in {(one["key"], one["what"]) for one in report["differences"]}
