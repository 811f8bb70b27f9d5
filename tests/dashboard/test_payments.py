"""Payments, reversals, refunds, credits of several lines and revisions at the dashboard."""

from tests.dashboard.client import Dashboard
from tests.dashboard.test_invoice_actions import FIRST, LIST, changes, do, now
from tests.web.api_server import ApiServer
from tests.web.invoices import ROWS, put


def test_a_payment_is_recorded_and_reversed(admin: Dashboard, api: ApiServer) -> None:
    one = put(api)
    do(api, one, "issue")
    fields = {"amount": "12.50", "date": "2096-11-03", "method": "transfer", "reference": "<b>4711</b>"}
    page = admin.submit(admin.get(FIRST), f"{FIRST}/payments", **fields, confirmed="yes")
    assert (page.status, page.path, page.state("stage")) == (200, FIRST, "paid")
    assert "12.50 EUR" in page.message
    assert page.rows("payments")[0][:3] == ["2096-11-03", "transfer", "<b>4711</b>"]
    assert page.rows("payments")[0][3:] == ["12.50", "10.00"]
    assert "2.50 EUR" in page.fact("credit")
    [address] = [form.get("action") for form in page.document.xpath("//form") if "reverse" in form.get("action")]
    page = admin.submit(page, address, confirmed="yes")
    assert page.state("stage") == "issued"
    assert "reversed" in page.rows("payments")[0][0]
    assert [what for what, _ in changes(api)][:2] == ["invoice.reverse_payment", "invoice.payment"]


def test_a_payment_that_cannot_be_meant_keeps_the_form(admin: Dashboard, api: ApiServer) -> None:
    one = put(api)
    do(api, one, "issue")
    page = admin.submit(admin.get(FIRST), f"{FIRST}/payments", amount="1.005", date="soon", confirmed="yes")
    assert page.status == 400
    assert page.invalid == ["amount", "date"]
    assert page.find("//*[@id='do-payments']").get("open") is not None
    assert page.find("//input[@name='amount']").get("value") == "1.005"
    page = admin.submit(admin.get(FIRST), f"{FIRST}/payments", amount="1.00")
    assert page.status == 400, "the box is not ticked"
    assert now(api, one)["payments"] == []


def test_a_double_click_records_one_payment(admin: Dashboard, api: ApiServer) -> None:
    one = put(api)
    do(api, one, "issue")
    before = admin.get(FIRST)
    for _ in range(2):
        assert admin.submit(before, f"{FIRST}/payments", amount="1.00", confirmed="yes").status == 200
    assert len(now(api, one)["payments"]) == 1
    page = admin.submit(before, f"{FIRST}/payments", amount="2.00", confirmed="yes")
    assert (page.status, page.is_refused) == (409, True)


def test_several_lines_are_credited_together(admin: Dashboard, api: ApiServer) -> None:
    one = put(api)
    do(api, one, "issue")
    page = admin.get(FIRST)
    chosen = {box.get("name"): box.get("value") for box in page.document.xpath("//input[@form='credit-lines']")}
    assert len(chosen) == 2
    address = f"{FIRST}/credit-lines?" + "&".join(f"{name}={value}" for name, value in chosen.items())
    form = admin.get(address)
    amounts = {f"amount-{ROWS[0].id}": "1.50", f"amount-{ROWS[1].id}": "4.01"}
    refused = admin.submit(form, f"{FIRST}/credit-lines", **amounts, reason="late", confirmed="yes")
    assert (refused.status, refused.is_refused) == (409, True)
    assert refused.find(f"//input[@name='amount-{ROWS[0].id}']").get("value") == "1.50"
    page = admin.submit(refused, f"{FIRST}/credit-lines", **{f"amount-{ROWS[1].id}": "4.00"}, confirmed="yes")
    assert page.path == "/dashboard/credit-notes/CN-000001"
    assert "5.50 EUR" in page.message
    assert len(page.rows("lines")) == 2
    assert now(api, one)["due"] == "4.50"
    assert admin.get(f"{FIRST}/credit-lines").status == 400, "no line is chosen"


def test_a_refund_is_recorded(admin: Dashboard, api: ApiServer) -> None:
    api.deployment.apply()
    one = put(api)
    do(api, one, "issue")
    do(api, one, "payments", amount="15.00")
    assert "/dashboard/customers/acme/refund" in admin.get("/dashboard/customers/acme").hrefs
    form = admin.get("/dashboard/customers/acme/refund")
    assert form.find("//input[@name='amount']").get("value") == "5.00"
    refused = admin.submit(form, "/dashboard/customers/acme/refund", amount="5.01", confirmed="yes")
    assert (refused.status, refused.is_refused) == (409, True)
    page = admin.submit(form, "/dashboard/customers/acme/refund", amount="2.00", method="transfer", confirmed="yes")
    assert page.path == "/dashboard/customers/acme"
    assert "2.00 EUR" in page.message
    assert "3.00 EUR" in page.text_of("credit")
    assert page.rows("refunds")[0][1] == "transfer"
    assert changes(api)[0] == ("customer.refund", "token admin")


def test_an_invoice_is_revised(admin: Dashboard, api: ApiServer) -> None:
    one = put(api)
    do(api, one, "issue")
    page = admin.submit(admin.get(FIRST), f"{FIRST}/revise", revise_reason="wrong price", confirmed="yes")
    assert page.state("stage") == "draft"
    assert f"{LIST}/{one.id}" in page.hrefs
    assert page.fact("edition") == "2, replaces INV-000001"
    old = admin.get(FIRST)
    assert (old.state("stage"), old.fact("reason")) == ("void", "wrong price")
    assert page.path in old.hrefs
    assert now(api, one)["revised_by"] == page.path.removeprefix(f"{LIST}/")


def test_a_billing_session_may_bill_and_nothing_else(api: ApiServer) -> None:
    made = api.ask("POST", "/v1/tokens", {"name": "finance", "scopes": ["billing"]})
    api.tokens["billing"] = made.json["token"]
    one = put(api)
    finance = Dashboard(api, "billing")
    page = finance.submit(finance.get(f"{LIST}/{one.id}"), f"{LIST}/{one.id}/issue", confirmed="yes")
    assert page.state("stage") == "issued"
    assert "billing" in page.text
    assert finance.get("/dashboard/tokens").status == 403
    assert finance.get("/dashboard/agents/new").status == 403
