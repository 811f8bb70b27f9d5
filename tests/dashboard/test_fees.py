"""Fees and commitments at the dashboard: of a rate card, and of one customer."""

from tests.dashboard.client import Dashboard, Page
from tests.web.api_server import ApiServer
from tests.web.catalogue import stocked

CARD_FEES = "/dashboard/rate-cards/standard/fees"
OWN_FEES = "/dashboard/customers/acme/fees"
TEXTS = ("key", "name", "amount", "starts")


def section(page: Page) -> str:
    return " ".join(page.find("//*[@id='fees']").text_content().split())


def test_fees_and_a_commitment_are_written_and_shown(api: ApiServer, admin: Dashboard) -> None:
    stocked(api)
    form = {
        "fees[0].key": "base",
        "fees[0].name": "Platform",
        "fees[0].amount": "49",
        "fees[0].starts": "2030-01-01",
        "fees[0].prorate": "yes",
        "commitment.period_minimum": "500",
    }
    assert admin.submit(admin.get(CARD_FEES), CARD_FEES, **form).status == 200
    assert api.get("/v1/rate-cards/standard")["fees"] == [
        {"key": "base", "name": "Platform", "amount": "49", "starts": "2030-01-01", "prorate": True}
    ]
    assert api.get("/v1/rate-cards/standard")["commitment"] == {"period_minimum": "500"}
    shown = section(admin.get("/dashboard/rate-cards/standard"))
    assert "Platform49.00 per period, by days, from 2030-01-01" in shown
    assert "Commitmentat least 500.00 per period" in shown

    own = {"fees[0].key": "base", "fees[0].amount": "40", "fees[1].key": "seat", "fees[1].amount": "5"}
    admin.submit(admin.get(OWN_FEES), OWN_FEES, **own)
    assert [fee["key"] for fee in api.get("/v1/customers/acme")["fees"]] == ["base", "seat"]
    assert "base40.00 per period" in section(admin.get("/dashboard/customers/acme"))
    admin.submit(admin.get(OWN_FEES), OWN_FEES, **{f"fees[{place}].{name}": "" for place in (0, 1) for name in TEXTS})
    assert api.get("/v1/customers/acme")["fees"] == []


def test_mistakes_are_shown_at_their_fields_and_nothing_is_lost(api: ApiServer, admin: Dashboard) -> None:
    stocked(api)
    form = {"fees[1].key": "base", "fees[1].amount": "-1", "fees[1].starts": "soon", "commitment.period_cap": "1.001"}
    page = admin.submit(admin.get(CARD_FEES), CARD_FEES, **form)
    assert page.status == 400
    text = page.find("//main").text_content()
    assert "must not be negative" in text
    assert "is not a date" in text
    assert "has 3 digits after the point" in text
    assert page.find("//*[@name='fees[0].starts']").get("value") == "soon"
    assert api.get("/v1/rate-cards/standard")["fees"] == []
