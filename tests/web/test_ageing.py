"""What customers owe, by the days since the due date: over HTTP, at the dashboard and as a command."""

import json
from datetime import date, timedelta
from typing import Any

import pytest

from tests.dashboard.client import Dashboard
from tests.web.api_server import ApiServer
from tests.web.conftest import api
from tests.web.invoices import put, rows
from witnd.app.invoices import ageing
from witnd.domain.values import instant
from witnd.store.keys import BillingKeys

__all__ = ["api"]

PATH = "/v1/invoices/ageing"
PAGE = "/dashboard/invoices/ageing"
KEYS = BillingKeys("witn")
FIELDS = ("current", "days_1_30", "days_31_60", "over_60", "total")


@pytest.fixture
def admin(api: ApiServer) -> Dashboard:
    return Dashboard(api)


def today(api: ApiServer) -> date:
    return date.fromisoformat(api.get("/v1/overview")["now"][:10])


def owed(api: ApiServer, customer: str, late: int, amount: int, *, currency: str = "EUR") -> Any:
    """An issued invoice over an amount whose due date was this many days ago."""
    issued = today(api) - timedelta(days=30 + late)
    period = instant.parse(f"{issued - timedelta(days=40)}T00:00:00Z")
    one = put(api, customer, rows(amount), at=period, currency=currency)
    done = api.ask("POST", f"/v1/invoices/{one.id}/issue", {"date": issued.isoformat()})
    assert done.status == 200, done.body
    return done.json


def sums(found: Any) -> list[list[str]]:
    return [[one.get("customer_key", ""), one["currency"], *(one[name] for name in FIELDS)] for one in found]


def test_each_invoice_is_in_its_bucket_until_it_is_paid(api: ApiServer) -> None:
    # The oldest first: numbers of a series have dates in order.
    over, second, first = owed(api, "acme", 61, 4), owed(api, "acme", 45, 3), owed(api, "other", 1, 2)
    owed(api, "acme", 0, 1)
    owed(api, "other", -1, 5, currency="USD")
    report = api.get(PATH)
    assert (report["date"], report["complete"], report["unreadable"]) == (today(api).isoformat(), True, [])
    assert sums(report["totals"]) == [
        ["", "EUR", "1.00", "2.00", "3.00", "4.00", "10.00"],
        ["", "USD", "5.00", "0.00", "0.00", "0.00", "5.00"],
    ]
    assert sums(report["customers"]) == [
        ["acme", "EUR", "1.00", "0.00", "3.00", "4.00", "8.00"],
        ["other", "EUR", "0.00", "2.00", "0.00", "0.00", "2.00"],
        ["other", "USD", "5.00", "0.00", "0.00", "0.00", "5.00"],
    ]
    assert [one["invoices"] for one in report["totals"]] == [4, 1]
    payment = api.ask("POST", f"/v1/invoices/{over['id']}/payments", {"amount": "1.50"}).json
    assert sums(api.get(f"{PATH}?customer_key=acme")["totals"])[0][5] == "2.50"
    api.ask("POST", f"/v1/invoices/{over['id']}/pay")
    api.ask("POST", f"/v1/invoices/{second['id']}/void", {"reason": "wrong"})
    api.ask("POST", f"/v1/invoices/{first['id']}/credit", {"outcome_key": "ticket-00000", "reason": "late"})
    assert sums(api.get(PATH)["totals"])[0] == ["", "EUR", "1.00", "1.00", "0.00", "0.00", "2.00"]
    api.ask("POST", f"/v1/invoices/{over['id']}/payments/{payment['id']}/reverse")
    assert sums(api.get(PATH)["totals"])[0][5] == "1.50", "due again"


def test_the_filters_choose_a_customer_and_a_currency(api: ApiServer) -> None:
    owed(api, "acme", 3, 2)
    owed(api, "acme", 2, 3, currency="USD")
    owed(api, "other", 1, 4)
    assert [one[:2] for one in sums(api.get(f"{PATH}?customer_key=acme")["customers"])] == [
        ["acme", "EUR"],
        ["acme", "USD"],
    ]
    assert [one[0] for one in sums(api.get(f"{PATH}?currency=EUR")["customers"])] == ["other", "acme"]
    assert api.get(f"{PATH}?customer_key=nobody")["totals"] == []
    assert api.ask("GET", f"{PATH}?customer=acme").status == 400


def test_an_incomplete_report_is_marked(api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ageing.report.__kwdefaults__, "most", 2)
    for late in (9, 8, 7):
        owed(api, f"customer-{late}", late, 1)
    for query in ("", "?customer_key=customer-9"):
        report = api.get(PATH + query)
        assert report["complete"] == bool(query)
    assert [one["customer_key"] for one in api.get(PATH)["customers"]] == ["customer-8", "customer-9"], "the oldest"
    assert "incomplete" in Dashboard(api).get(PAGE).cases


def test_a_damaged_invoice_is_named_and_not_included(api: ApiServer, admin: Dashboard) -> None:
    one, other = owed(api, "acme", 90, 1), owed(api, "acme", 8, 2)
    api.deployment.call("HSET", KEYS.invoice(one["id"]), "due_date", "soon")
    for query in ("", "?customer_key=acme"):
        report = api.get(PATH + query)
        assert (report["unreadable"], sums(report["totals"])[0][-1]) == ([one["id"]], "2.00")
    assert one["id"] in admin.get(PAGE).text
    assert admin.get("/dashboard/invoices").status == 200
    api.deployment.call("HSET", KEYS.invoice(other["id"]), "total", "x")
    assert set(api.get(PATH)["unreadable"]) == {one["id"], other["id"]}
    assert api.ask("POST", f"/v1/invoices/{one['id']}/pay").status >= 500, "its place in the list is unknown"


def test_the_command_and_the_pages_show_the_same(api: ApiServer, admin: Dashboard) -> None:
    api.deployment.apply()
    owed(api, "acme", 45, 3)
    owed(api, "other", 5, 2)
    owed(api, "other", 4, 1, currency="USD")
    report = api.get(PATH)
    assert json.loads(api.deployment.witnd("invoices", "ageing", "--json").stdout) == report
    lines = [line.split() for line in api.deployment.witnd("invoices", "ageing").stdout.splitlines()]
    assert lines[2:] == [
        ["acme", "EUR", "1", "0.00", "0.00", "3.00", "0.00", "3.00"],
        ["other", "EUR", "1", "0.00", "2.00", "0.00", "0.00", "2.00"],
        ["other", "USD", "1", "0.00", "1.00", "0.00", "0.00", "1.00"],
        ["total", "EUR", "2", "0.00", "2.00", "3.00", "0.00", "5.00"],
        ["total", "USD", "1", "0.00", "1.00", "0.00", "0.00", "1.00"],
    ]
    totals = [
        ["EUR", "2", "0.00", "2.00", "3.00", "0.00", "5.00 EUR"],
        ["USD", "1", "0.00", "1.00", "0.00", "0.00", "1.00 USD"],
    ]
    for path in (PAGE, "/dashboard/invoices"):
        assert admin.get(path).rows("ageing") == totals, path
    assert admin.get("/dashboard/customers/acme").rows("ageing") == [
        ["EUR", "1", "0.00", "0.00", "3.00", "0.00", "3.00 EUR"]
    ]
    page = admin.get(f"{PAGE}?customer=other")
    assert [row[-1] for row in page.rows("ageing-customers")] == ["2.00 EUR", "1.00 USD"]
    assert admin.get("/dashboard/invoices?currency=USD").rows("ageing") == totals[1:]
    address = page.document.xpath("//*[@data-list='ageing-customers']//a/@href")[0]
    assert [row[4:] for row in admin.get(address).rows("invoices")] == [["2", "2.00 EUR", "2.00 EUR"]]
    api.ask("POST", "/v1/invoices/INV-000001/pay")
    assert [row[0] for row in admin.get(PAGE).rows("ageing")] == ["EUR", "USD"]


def test_nothing_is_due_before_something_is_issued(api: ApiServer, admin: Dashboard) -> None:
    put(api)
    assert api.get(PATH)["totals"] == []
    assert "nothing-due" in admin.get(PAGE).cases
    assert admin.get("/dashboard/invoices").rows("ageing") == []
