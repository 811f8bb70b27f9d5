"""Payments, balances, refunds, credits of several lines, revisions and the scope `billing`, over HTTP."""

from typing import Any

import pytest

from tests.web.api_server import Answer, ApiServer
from tests.web.invoices import AHEAD, ROWS, put
from tests.web.test_invoices import changes, done, everything, post, refused
from witnd.domain.invoices.invoice import Invoice


def issued(api: ApiServer, **how: Any) -> Invoice:
    one = put(api, **how)
    done(api, one, "issue")
    return one


def refund(api: ApiServer, body: Any, key: str | None = None, customer: str = "acme") -> Answer:
    headers = {} if key is None else {"Idempotency-Key": key}
    return api.ask("POST", f"/v1/customers/{customer}/refunds", body, headers=headers)


def balance(api: ApiServer) -> Any:
    return api.get("/v1/customers/acme/balance")["data"]


class TestPayments:
    def test_several_payments_pay_an_invoice_and_the_rest_is_the_customers(self, api: ApiServer) -> None:
        one = issued(api)
        first = done(api, one, "payments", {"amount": "4.00", "date": "2096-11-03", "method": "transfer"})
        second = done(api, one, "payments", {"amount": "7.25", "reference": "4711"})
        found = api.get(f"/v1/invoices/{one.id}")
        assert (first["applied"], first["invoice"]["status"], first["invoice"]["due"]) == ("4.00", "issued", "6.00")
        assert (second["applied"], second["invoice"]["status"], second["balance"]) == ("6.00", "paid", "1.25")
        assert (found["due"], found["status"], found["balance"]) == ("0.00", "paid", "1.25")
        assert [list(payment) for payment in found["payments"]] == [
            ["id", "amount", "applied", "date", "method", "reference", "reversed", "recorded_at", "reversed_at"]
        ] * 2
        assert [(one["date"], one["method"], one["reference"]) for one in found["payments"]] == [
            ("2096-11-03", "transfer", None), (found["payments"][1]["recorded_at"][:10], None, "4711")
        ]  # fmt: skip
        assert balance(api) == [{"currency": "EUR", "balance": "1.25"}]

    def test_a_wrong_one_is_reversed_and_never_deleted(self, api: ApiServer) -> None:
        one = issued(api)
        paid = done(api, one, "payments", {"amount": "12.00"})
        undone = done(api, one, f"payments/{paid['id']}/reverse")
        again = done(api, one, f"payments/{paid['id']}/reverse")
        assert (undone["reversed"], undone["invoice"]["status"], undone["invoice"]["due"]) == (True, "issued", "10.00")
        assert (again["reversed_at"], again["invoice"]["revision"]) == (undone["reversed_at"], 3)
        assert (undone["balance"], undone["invoice"]["paid_at"]) == ("0.00", None)
        assert [one["reversed"] for one in api.get(f"/v1/invoices/{one.id}")["payments"]] == [True]
        assert [note["what"] for note in changes(api)][:2] == ["invoice.reverse_payment", "invoice.payment"]
        refused(post(api, one, "payments/nothing/reverse"), 404, "NOT_FOUND")

    def test_it_is_not_reversed_while_its_rest_is_used(self, api: ApiServer) -> None:
        one, following = issued(api), put(api, at=AHEAD.end)
        paid = done(api, one, "payments", {"amount": "12.00"})
        assert done(api, following, "issue")["balance_used"] == "2.00"
        message = refused(post(api, one, f"payments/{paid['id']}/reverse"), 409, "CONFLICT")
        assert "2.00 EUR of the payment went to the customer's balance, which is now 0.00 EUR" in message
        done(api, following, "void", {"reason": "wrong"})
        done(api, one, f"payments/{paid['id']}/reverse")

    @pytest.mark.parametrize(
        ("body", "path"),
        [({}, "amount"), ({"amount": 5}, "amount"), ({"amount": "0"}, "amount"), ({"amount": "-1"}, "amount"),
         ({"amount": "1.001"}, "amount"), ({"amount": "1e2"}, "amount"),
         ({"amount": "1", "date": "2096-02-30"}, "date"),
         ({"amount": "1", "date": "03.11.2096"}, "date"), ({"amount": "1", "method": ""}, "method"),
         ({"amount": "1", "method": "x" * 51}, "method"), ({"amount": "1", "reference": "a\nb"}, "reference"),
         ({"amount": "1", "currency": "EUR"}, "currency")],
    )  # fmt: skip
    def test_a_payment_that_cannot_be_meant_is_refused_with_its_path(
        self, api: ApiServer, body: Any, path: str
    ) -> None:
        one = issued(api)
        before = everything(api)
        answer = post(api, one, "payments", body)
        refused(answer, 400, "VALIDATION_ERROR")
        assert answer.error["details"][0]["path"] == path
        assert everything(api) == before

    def test_all_mistakes_are_named_at_once(self, api: ApiServer) -> None:
        answer = post(api, issued(api), "payments", {"amount": "x", "date": "x", "method": ""})
        assert [one["path"] for one in answer.error["details"]] == ["amount", "date", "method"]

    def test_yen_have_no_digits(self, api: ApiServer) -> None:
        one = put(api, "acme", ROWS, currency="JPY")
        done(api, one, "issue")
        answer = post(api, one, "payments", {"amount": "1.5"})
        assert "JPY (0)" in refused(answer, 400, "VALIDATION_ERROR")

    @pytest.mark.parametrize("status", ["draft", "void"])
    def test_only_an_issued_one_is_paid(self, api: ApiServer, status: str) -> None:
        one = put(api)
        if status == "void":
            done(api, one, "issue")
            done(api, one, "void", {"reason": "wrong"})
        refused(post(api, one, "payments", {"amount": "1"}), 409, "CONFLICT")
        assert api.get(f"/v1/invoices/{one.id}")["due"] is None

    def test_pay_records_what_is_due(self, api: ApiServer) -> None:
        one = issued(api)
        done(api, one, "payments", {"amount": "4.00"})
        assert done(api, one, "pay")["status"] == "paid"
        assert done(api, one, "pay")["revision"] == 3
        assert [p["amount"] for p in api.get(f"/v1/invoices/{one.id}")["payments"]] == ["4.00", "6.00"]


class TestKeys:
    """The key of a payment, credit or refund holds after the stored answer of a day is gone."""

    @staticmethod
    def forget(api: ApiServer) -> None:
        for name in api.deployment.call("KEYS", "witn:{shared}:answer:*"):
            api.deployment.call("DEL", name)

    def test_of_a_payment(self, api: ApiServer) -> None:
        one = issued(api)
        body = {"amount": "4.00", "date": "2096-11-03"}
        first = done(api, one, "payments", body, "key")
        self.forget(api)
        assert done(api, one, "payments", body, "key")["id"] == first["id"]
        for other in ({"amount": "4.01", "date": "2096-11-03"}, {"amount": "4.00", "date": "2096-11-04"},
                      body | {"method": "cash"}):  # fmt: skip
            self.forget(api)
            refused(post(api, one, "payments", other, "key"), 409, "CONFLICT")
        assert api.get(f"/v1/invoices/{one.id}")["payments_applied"] == "4.00"

    def test_of_a_credit(self, api: ApiServer) -> None:
        one = issued(api)
        items = [{"line": row.id, "amount": "1.00"} for row in ROWS]
        first = done(api, one, "credit-notes", {"items": items, "reason": "late"}, "key")
        self.forget(api)
        assert done(api, one, "credit-notes", {"items": items, "reason": "late"}, "key") == first
        for other in ({"items": items[:1], "reason": "late"}, {"items": items[::-1], "reason": "late"},
                      {"items": items, "reason": "other"}):  # fmt: skip
            self.forget(api)
            refused(post(api, one, "credit-notes", other, "key"), 409, "CONFLICT")
        assert api.get(f"/v1/invoices/{one.id}")["noted"] == "2.00"

    def test_of_a_refund(self, api: ApiServer) -> None:
        done(api, issued(api), "payments", {"amount": "15.00"})
        first = refund(api, {"amount": "1.00"}, "key")
        assert first.status == 201
        self.forget(api)
        assert refund(api, {"amount": "1.00"}, "key").json["id"] == first.json["id"]
        self.forget(api)
        refused(refund(api, {"amount": "2.00"}, "key"), 409, "CONFLICT")
        assert balance(api) == [{"currency": "EUR", "balance": "4.00"}]


class TestRefunds:
    def test_a_refund_takes_from_the_balance_and_is_listed(self, api: ApiServer) -> None:
        done(api, issued(api), "payments", {"amount": "15.00"})
        made = refund(api, {"amount": "2.00", "date": "2096-11-30", "method": "transfer", "reference": "R-1"})
        assert made.status == 201
        assert (made.json["currency"], made.json["balance"], made.json["date"]) == ("EUR", "3.00", "2096-11-30")
        refund(api, {"amount": "1.00"})
        assert [one["amount"] for one in api.pages("/v1/customers/acme/refunds?limit=1")] == ["1.00", "2.00"]
        note = changes(api)[0]
        assert (note["what"], note["key"], note["after"]["amount"]) == ("customer.refund", "acme", "1.00")
        message = refused(refund(api, {"amount": "2.01"}), 409, "CONFLICT")
        assert "refund at most 2.00 EUR" in message

    def test_a_currency_is_needed_where_there_are_several(self, api: ApiServer) -> None:
        done(api, issued(api), "payments", {"amount": "15.00"})
        yen = put(api, "acme", ROWS, currency="JPY")
        done(api, yen, "issue")
        done(api, yen, "payments", {"amount": "15"})
        answer = refund(api, {"amount": "1"})
        assert "EUR and JPY" in refused(answer, 400, "VALIDATION_ERROR")
        assert answer.error["details"][0]["path"] == "currency"
        assert refund(api, {"amount": "1", "currency": "JPY"}).json["balance"] == "4"
        refused(refund(api, {"amount": "1.5", "currency": "JPY"}), 400, "VALIDATION_ERROR")
        refused(refund(api, {"amount": "1", "currency": "USD"}), 409, "CONFLICT")

    def test_of_nobody(self, api: ApiServer) -> None:
        refused(refund(api, {"amount": "1"}, customer="nobody"), 404, "NOT_FOUND")
        refused(api.ask("GET", "/v1/customers/nobody/balance"), 404, "NOT_FOUND")
        refused(api.ask("GET", "/v1/customers/nobody/refunds"), 404, "NOT_FOUND")


class TestCredits:
    def test_lines_are_credited_together(self, api: ApiServer) -> None:
        one = put(api)
        items = [{"line": ROWS[0].id, "amount": "1.50"}, {"outcome_key": "ticket-2"}]
        early = done(api, one, "credit-notes", {"items": items[:1], "reason": "late"})
        assert (early["credit_note"], [line["amount"] for line in early["lines"]]) == (None, ["-1.50"])
        done(api, one, "issue")
        late = done(api, one, "credit-notes", {"items": items, "reason": "late"})
        assert (late["credit_note"]["amount"], late["invoice"]["due"]) == ("5.50", "3.00")
        assert len(late["credit_note"]["lines"]) == 2

    @pytest.mark.parametrize(
        ("items", "path"),
        [([], "items"), ([{}], "items[0]"), ([{"line": "a", "outcome_key": "b"}], "items[0]"),
         ([{"line": ROWS[0].id}, {"line": "nothing"}], "items[1].line"),
         ([{"outcome_key": "nothing"}], "items[0].outcome_key"),
         ([{"line": ROWS[0].id}, {"line": ROWS[0].id}], "items[1].line"),
         ([{"line": ROWS[0].id, "amount": "1"}, {"line": ROWS[1].id, "amount": "x"}], "items[1].amount"),
         ([{"line": ROWS[0].id, "amount": "0.001"}], "amount")],
    )  # fmt: skip
    def test_mistakes_have_the_path_of_their_line(self, api: ApiServer, items: Any, path: str) -> None:
        one = issued(api)
        before = everything(api)
        answer = post(api, one, "credit-notes", {"items": items, "reason": "late"})
        refused(answer, 400, "VALIDATION_ERROR")
        assert answer.error["details"][0]["path"] == path
        assert everything(api) == before

    def test_never_more_than_there_is_and_never_of_a_void_one(self, api: ApiServer) -> None:
        one = issued(api)
        items = [{"line": ROWS[0].id, "amount": "6.01"}]
        message = refused(post(api, one, "credit-notes", {"items": items, "reason": "late"}), 409, "CONFLICT")
        assert "credit at most 6.00 EUR" in message
        done(api, one, "void", {"reason": "wrong"})
        items = [{"line": ROWS[0].id}]
        message = refused(post(api, one, "credit-notes", {"items": items, "reason": "late"}), 409, "CONFLICT")
        assert "is void" in message


class TestRevise:
    def test_the_next_edition_replaces_an_invoice(self, api: ApiServer) -> None:
        one = issued(api)
        before = everything(api)
        seen = done(api, one, "revise", {"dry_run": True, "reason": "wrong price"})
        assert everything(api) == before
        draft = done(api, one, "revise", {"reason": "wrong price"})
        again = done(api, one, "revise")
        assert seen["id"] == draft["id"] == again["id"]
        assert (draft["status"], draft["edition"], draft["revises"], draft["due"]) == ("draft", 2, one.id, None)
        assert (draft["voided"]["status"], draft["voided"]["revised_by"]) == ("void", draft["id"])
        lines = [api.get(f"/v1/invoices/{id_}/lines")["data"] for id_ in (one.id, draft["id"])]
        assert [line["id"] for line in lines[0]] == [line["id"] for line in lines[1]]
        assert done(api, draft["id"], "issue")["number"] == "INV-000002"
        note = changes(api)[1]
        assert (note["what"], note["after"]["draft"]["id"]) == ("invoice.revise", draft["id"])

    @pytest.mark.parametrize("operation", ["void", "revise"])
    def test_not_with_a_payment_or_a_credit_note(self, api: ApiServer, operation: str) -> None:
        one, other = issued(api), issued(api, customer="other")
        paid = done(api, one, "payments", {"amount": "1"})
        done(api, other, "credit", {"outcome_key": "ticket-1", "amount": "1", "reason": "late"})
        for each, why in ((one, "has a payment"), (other, "has credit notes")):
            assert why in refused(post(api, each, operation, {"reason": "wrong"}), 409, "CONFLICT")
        done(api, one, f"payments/{paid['id']}/reverse")
        done(api, one, operation, {"reason": "wrong"})

    def test_one_paid_by_balance_alone_returns_it(self, api: ApiServer) -> None:
        one, following = issued(api), put(api, at=AHEAD.end)
        done(api, one, "payments", {"amount": "30"})
        assert done(api, following, "issue")["status"] == "paid"
        assert balance(api)[0]["balance"] == "10.00"
        assert done(api, following, "revise")["voided"]["balance_used"] == "0.00"
        assert balance(api)[0]["balance"] == "20.00"

    def test_dry_runs_change_nothing(self, api: ApiServer) -> None:
        one = put(api)
        before = everything(api)
        seen = done(api, one, "issue", {"dry_run": True})
        assert (seen["status"], seen["number"], seen["total"]) == ("issued", None, "10.00")
        assert everything(api) == before
        done(api, one, "issue")
        before = everything(api)
        assert done(api, one, "void", {"reason": "x", "dry_run": True})["status"] == "void"
        items = [{"line": ROWS[0].id}]
        credit = done(api, one, "credit-notes", {"items": items, "reason": "x", "dry_run": True})
        assert (credit["credit_note"]["number"], credit["invoice"]["due"]) == (None, "4.00")
        assert everything(api) == before


def test_a_billing_token_may_bill_and_read_and_nothing_else(api: ApiServer) -> None:
    made = api.ask("POST", "/v1/tokens", {"name": "finance", "scopes": ["billing"]})
    api.tokens["billing"] = made.json["token"]
    one = put(api)
    for operation, body in (
        ("issue", None), ("payments", {"amount": "12"}),
        ("credit-notes", {"items": [{"line": ROWS[0].id}], "reason": "x"}),
    ):  # fmt: skip
        answer = api.ask("POST", f"/v1/invoices/{one.id}/{operation}", body, scope="billing")
        assert answer.status in (200, 201), answer.body
    assert api.ask("POST", "/v1/customers/acme/refunds", {"amount": "1"}, scope="billing").status == 201
    for path in ("/v1/invoices", "/v1/outcomes", "/v1/customers", "/v1/customers/acme/balance"):
        assert api.ask("GET", path, scope="billing").status == 200
    for method, path in (
        ("POST", "/v1/customers"), ("POST", "/v1/agents"), ("POST", "/v1/rate-cards"),
        ("POST", "/v1/notification-rules"), ("POST", "/v1/tokens"), ("GET", "/v1/tokens"), ("GET", "/v1/changes"),
        ("POST", "/v1/events"),
    ):  # fmt: skip
        assert api.ask(method, path, {} if method == "POST" else None, scope="billing").status == 403, path
    for scope in ("read", "ingest"):
        assert api.ask("POST", f"/v1/invoices/{one.id}/payments", {"amount": "1"}, scope=scope).status == 403
