"""Taxes at the dashboard: their pages, and the forms that name one."""

from tests.dashboard.client import Dashboard
from tests.support.companies import BILLING
from tests.web.api_server import ApiServer
from tests.web.catalogue import made, stocked

NEW = "/dashboard/taxes/new"
VAT = {"key": "vat", "name": "VAT 19%", "rate": "19", "category": "S"}


def test_a_tax_is_created_changed_and_shown(api: ApiServer, admin: Dashboard) -> None:
    assert "none-yet" in admin.get("/dashboard/taxes").cases
    page = admin.submit(admin.get(NEW), NEW, **VAT, note="Umsatzsteuer\nzum Regelsatz")
    assert (page.status, page.path) == (200, "/dashboard/taxes/vat")
    assert api.get("/v1/taxes/vat")["note"] == "Umsatzsteuer\nzum Regelsatz"
    assert admin.get("/dashboard/taxes").rows("taxes")[0][:3] == ["VAT 19%vat", "19 %", "S standard rate"]
    edit = "/dashboard/taxes/vat/edit"
    opened = admin.get(edit)
    assert admin.submit(opened, edit, rate="16", note="").path == "/dashboard/taxes/vat"
    assert admin.submit(opened, edit, rate="7").status == 409
    shown = admin.get("/dashboard/taxes/vat?from=1&to=2")
    assert shown.item_fields("comparison") == [["rate"], ["note"]]
    assert api.get("/v1/taxes/vat")["versions"] == 2


def test_mistakes_of_a_tax_are_shown_at_their_fields(api: ApiServer, admin: Dashboard) -> None:
    page = admin.submit(admin.get(NEW), NEW, key="", name="\x07", rate="19%", category="S")
    assert page.status == 400
    assert page.invalid == ["key", "name", "rate"]
    page = admin.submit(page, NEW, key="vat", name="", rate="19", category="AE")
    assert page.invalid == ["rate"]
    assert "must be 0 in category AE" in page.problem("rate")


def test_an_archived_tax_is_hidden_and_restored(api: ApiServer, admin: Dashboard) -> None:
    made(api, "/v1/taxes", VAT)
    path = "/dashboard/taxes/vat"
    admin.submit(admin.get(path), f"{path}/archive", confirmed="yes")
    assert "none-yet" in admin.get("/dashboard/taxes").cases
    assert admin.get("/dashboard/taxes?archived=yes").states("taxes") == [["archived"]]
    assert "archived" in admin.get(path).cases
    admin.submit(admin.get(path), f"{path}/restore")
    assert api.get("/v1/taxes/vat")["archived"] is False


def test_prices_fees_and_commitments_can_name_a_tax(api: ApiServer, admin: Dashboard) -> None:
    stocked(api)
    prices, fees = "/dashboard/rate-cards/standard/edit", "/dashboard/rate-cards/standard/fees"
    assert not admin.get(prices).document.xpath("//*[@name='entries[0].tax']"), (
        "without taxes there is nothing to choose"
    )
    made(api, "/v1/taxes", VAT)
    admin.submit(admin.get(prices), prices, button="save", **{"entries[0].tax": "vat"})
    assert api.get("/v1/rate-cards/standard")["entries"][0]["tax"] == "vat"
    form = {"fees[0].key": "base", "fees[0].amount": "9", "fees[0].tax": "vat", "fees[1].tax": "vat",
            "commitment.period_cap": "100", "commitment.tax": "vat"}  # fmt: skip
    admin.submit(admin.get(fees), fees, **form)
    card = api.get("/v1/rate-cards/standard")
    assert card["fees"] == [{"key": "base", "name": "base", "amount": "9", "tax": "vat"}]
    assert card["commitment"] == {"period_cap": "100", "tax": "vat"}
    shown = admin.get("/dashboard/rate-cards/standard").text
    assert "0.995 per unit; tax: vat" in shown
    assert "9.00 per period, from" in shown
    assert shown.count(", tax vat") == 2
    own = "/dashboard/customers/acme/prices"
    admin.submit(admin.get(f"{own}?agent=support"), own, button="save", **{"entries[0].tax": ""})
    assert "tax" not in api.get("/v1/customers/acme")["entries"][0]


def test_an_archived_tax_stays_chosen(api: ApiServer, admin: Dashboard) -> None:
    stocked(api)
    made(api, "/v1/taxes", VAT)
    api.ask("PATCH", "/v1/customers/acme", {"billing": {"tax": "vat"}})
    api.ask("DELETE", "/v1/taxes/vat")
    edit = "/dashboard/customers/acme/edit"
    assert admin.submit(admin.get(edit), edit, name="Acme Inc.").path == "/dashboard/customers/acme"
    assert api.get("/v1/customers/acme")["billing"] == {"tax": "vat"}


def test_billing_data_of_a_customer_are_written_and_shown(api: ApiServer, admin: Dashboard) -> None:
    stocked(api)
    made(api, "/v1/taxes", VAT)
    path, edit = "/dashboard/customers/acme", "/dashboard/customers/acme/edit"
    texts = {**BILLING, "address": "1 Main Street\n\n ", "payment_terms_days": "60", "tax_id": "fr 40303265045"}
    admin.submit(admin.get(edit), edit, **{f"billing.{name}": str(text) for name, text in texts.items()})
    assert api.get("/v1/customers/acme")["billing"] == BILLING
    shown = admin.get(path).text_of("billing")
    for text in ("Acme Incorporated", "1 Main Street", "75001 Paris", "FR40303265045", "PO-77", "60 days", "French"):
        assert text in shown, text
    opened = admin.get(edit)
    assert admin.submit(opened, edit).message == "No changes to save."
    admin.submit(opened, edit, **{f"billing.{name}": "" for name in BILLING})
    assert api.get("/v1/customers/acme")["billing"] is None


def test_mistakes_of_billing_data_are_shown_at_their_fields(api: ApiServer, admin: Dashboard) -> None:
    stocked(api)
    edit = "/dashboard/customers/acme/edit"
    form = {"billing.address": "a\tb", "billing.tax_id": "DE12", "billing.payment_terms_days": "soon",
            "billing.country": "ZZ"}  # fmt: skip
    page = admin.submit(admin.get(edit), edit, **form)
    assert page.status == 400
    assert page.invalid == ["billing.address", "billing.country", "billing.payment_terms_days"]
    page = admin.submit(page, edit, **{**form, "billing.country": "DE"})
    assert "billing.tax_id" in page.invalid
    assert page.find("//*[@name='billing.payment_terms_days']").get("value") == "soon"
