"""One damaged invoice stops one invoice: lists name it and go on, and so do the audit and issuing by hand."""

import pytest

from tests.web.api_server import ApiServer
from tests.web.invoices import put
from witnd.domain.invoices.invoice import Invoice
from witnd.store.keys import BillingKeys

KEYS = BillingKeys("witn")
FIELD_DAMAGES = [
    ("subtotal", "xxxx"), ("subtotal", "NaN"), ("digits", "two"), ("closed", "x"),
    ("start", "\xff\xfe"), ("format", "x"), ("total", "Infinity"),
]  # fmt: skip


@pytest.fixture
def two(api: ApiServer) -> tuple[Invoice, Invoice]:
    """One invoice to damage, and a sound one behind it in the list."""
    return put(api, "acme"), put(api, "beta")


def named_and_left_out(api: ApiServer, damaged: Invoice, sound: Invoice) -> None:
    for path in ("/v1/invoices", "/v1/invoice-lines", "/v1/invoices?currency=EUR"):
        answer = api.get(path)
        assert answer["unreadable"] == [damaged.id], path
        assert {one.get("invoice_id", one["id"]) for one in answer["data"]} == {sound.id}, path
    assert api.get(f"/v1/invoices/{sound.id}")["id"] == sound.id
    one = api.ask("GET", f"/v1/invoices/{damaged.id}")
    assert one.status == 503
    assert damaged.id in one.error["message"]
    assert any(damaged.id in trouble for trouble in api.get("/v1/problems")["troubles"])
    page = api.ask("GET", "/v1/invoices?format=csv")
    assert page.status == 503 or damaged.id not in page.body.decode()
    deployment = api.deployment
    listed = deployment.witnd("invoices")
    assert listed.exit_code == 0
    assert f"unreadable: invoice {damaged.id}" in listed.output
    document = deployment.json("invoices")
    assert [one["id"] for one in document["data"]] == [sound.id]
    assert document["unreadable"] == [damaged.id]
    audit = deployment.witnd("audit")
    assert audit.exit_code == 5, audit.output
    assert damaged.id in audit.output
    assert "unreadable" in audit.output
    issued = deployment.json("invoices", "issue", damaged.id, sound.id, exit_code=2)["data"]
    assert [one["result"] for one in issued] == ["refused", "done"]
    assert damaged.id in issued[0]["problem"]


@pytest.mark.parametrize(("name", "value"), FIELD_DAMAGES)
def test_a_damaged_head_is_named_and_the_others_are_listed(
    api: ApiServer, two: tuple[Invoice, Invoice], name: str, value: str
) -> None:
    damaged, sound = two
    api.deployment.call("HSET", KEYS.invoice(damaged.id), name, value)
    named_and_left_out(api, damaged, sound)


@pytest.mark.parametrize("name", ["customer_key", "currency", "format", "subtotal"])
def test_a_head_that_lost_a_field_is_damaged(api: ApiServer, two: tuple[Invoice, Invoice], name: str) -> None:
    damaged, sound = two
    api.deployment.call("HDEL", KEYS.invoice(damaged.id), name)
    named_and_left_out(api, damaged, sound)


def test_a_head_of_another_type_is_damaged(api: ApiServer, two: tuple[Invoice, Invoice]) -> None:
    damaged, sound = two
    api.deployment.call("DEL", KEYS.invoice(damaged.id))
    api.deployment.call("SET", KEYS.invoice(damaged.id), "xxxx")
    named_and_left_out(api, damaged, sound)


def test_a_damaged_row_takes_its_invoice_from_the_list_of_lines(api: ApiServer, two: tuple[Invoice, Invoice]) -> None:
    damaged, sound = two
    api.deployment.call("LSET", KEYS.lines(damaged.id), 0, "xxxx")
    answer = api.get("/v1/invoice-lines")
    assert answer["unreadable"] == [damaged.id]
    assert {one["invoice_id"] for one in answer["data"]} == {sound.id}


def test_a_damaged_credit_note_is_named_and_the_others_are_listed(api: ApiServer, two: tuple[Invoice, Invoice]) -> None:
    ids = []
    for invoice in two:
        assert api.ask("POST", f"/v1/invoices/{invoice.id}/issue").status == 200
        body = {"reason": "too dear", "outcome_key": "ticket-1"}
        assert api.ask("POST", f"/v1/invoices/{invoice.id}/credit", body).status == 201
        ids += [one["id"] for one in api.get(f"/v1/credit-notes?invoice={invoice.id}")["data"]]
    damaged, sound = ids
    api.deployment.call("HSET", KEYS.note(damaged), "amount", "xxxx")
    answer = api.get("/v1/credit-notes")
    assert ([one["id"] for one in answer["data"]], answer["unreadable"]) == ([sound], [damaged])
    assert api.deployment.json("invoices", "notes")["unreadable"] == [damaged]
    done = api.deployment.witnd("audit")
    assert done.exit_code == 5
    assert damaged in done.output
