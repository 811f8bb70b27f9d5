"""Manual lines of invoices and of customers' current periods, over HTTP."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import Server
from tests.web.api_server import Answer, ApiServer
from tests.web.invoices import put
from tests.web.taxes import invoice_changes, put_ended, taxed_server
from tests.web.test_invoices import done, everything, post, refused
from witnd.domain.invoices.invoice import Invoice

SETUP = {"description": "Setup", "quantity": "2", "unit_price": "50"}
DISCOUNT = {"description": "Goodwill", "quantity": "1", "unit_price": "-3.00"}


@pytest.fixture
def api(session_server: Server, redis_url: str, tmp_path: Path) -> Iterator[ApiServer]:
    with taxed_server(session_server, tmp_path) as opened:
        yield opened


def forget(api: ApiServer) -> None:
    """Delete the stored answers, as after a day."""
    for name in api.deployment.call("KEYS", "witn:{shared}:answer:*"):
        api.deployment.call("DEL", name)


def remove(api: ApiServer, invoice: Invoice, line: str) -> Answer:
    return api.ask("DELETE", f"/v1/invoices/{invoice.id}/lines/{line}")


def customer_line(api: ApiServer, body: Any, key: str | None = None, customer: str = "acme") -> Answer:
    headers = {} if key is None else {"Idempotency-Key": key}
    return api.ask("POST", f"/v1/customers/{customer}/lines", body, headers=headers)


class TestAdding:
    def test_a_line_is_part_of_the_invoice_and_of_the_change_log(self, api: ApiServer) -> None:
        one = put_ended(api)
        added = done(api, one, "lines", SETUP | {"tax": "reduced"})
        assert {name: added[name] for name in ("kind", "description", "quantity", "unit_price", "amount", "tax")} == {
            "kind": "manual", "description": "Setup", "quantity": "2", "unit_price": "50", "amount": "100.00",
            "tax": "reduced",
        }  # fmt: skip
        assert (added["currency"], added["invoice"]["subtotal"], added["invoice"]["revision"]) == ("EUR", "110.00", 1)
        found = api.pages(f"/v1/invoices/{one.id}/lines?limit=1")
        assert [(line["kind"], line["tax"]) for line in found] == [
            ("outcome", "vat"), ("outcome", "vat"), ("manual", "reduced")
        ]  # fmt: skip
        [entry] = invoice_changes(api)
        assert (entry["what"], entry["key"], entry["after"]["line"]["description"]) == (
            "invoice.add_line", one.id, "Setup"
        )  # fmt: skip
        total = done(api, one, "issue")["total"]
        assert total == "118.90", "10.00 at 19 % and 100.00 at 7 %"

    def test_it_has_the_customers_tax_unless_it_names_one(self, api: ApiServer) -> None:
        assert done(api, put_ended(api), "lines", SETUP)["tax"] == "vat"
        assert done(api, put_ended(api, "beta"), "lines", SETUP)["tax"] is None

    def test_amounts_are_rounded_to_minor_units_away_from_zero(self, api: ApiServer) -> None:
        one = put_ended(api)
        for price, amount in (("0.005", "0.01"), ("-0.005", "-0.01"), ("0.0049", "0.00"), ("-0", "0.00")):
            added = done(api, one, "lines", {"description": "x", "quantity": "1", "unit_price": price})
            assert added["amount"] == amount, price

    def test_a_dry_run_changes_nothing(self, api: ApiServer) -> None:
        one = put_ended(api)
        before = everything(api)
        assert done(api, one, "lines", SETUP | {"dry_run": True})["invoice"]["subtotal"] == "110.00"
        assert customer_line(api, SETUP | {"dry_run": True}).status == 201
        assert everything(api) == before
        assert invoice_changes(api) == []

    @pytest.mark.parametrize(
        ("body", "path"),
        [({}, "description"), (SETUP | {"description": 5}, "description"), (SETUP | {"description": ""}, "description"),
         (SETUP | {"description": " "}, "description"), (SETUP | {"description": "a\nb"}, "description"),
         (SETUP | {"description": "x" * 201}, "description"), (SETUP | {"quantity": "0"}, "quantity"),
         (SETUP | {"quantity": "-1"}, "quantity"), (SETUP | {"quantity": 1}, "quantity"),
         (SETUP | {"quantity": "1e3"}, "quantity"), (SETUP | {"quantity": "0." + "1" * 13}, "quantity"),
         (SETUP | {"unit_price": "--1"}, "unit_price"), (SETUP | {"unit_price": "1" * 19}, "unit_price"),
         (SETUP | {"unit_price": ""}, "unit_price"), (SETUP | {"unit_price": None}, "unit_price"),
         (SETUP | {"tax": "unknown"}, "tax"), (SETUP | {"tax": ""}, "tax"), (SETUP | {"currency": "USD"}, "currency"),
         (SETUP | {"amount": "5"}, "amount")],
    )  # fmt: skip
    def test_a_mistake_is_refused_with_its_path_and_nothing_is_written(
        self, api: ApiServer, body: Any, path: str
    ) -> None:
        one = put_ended(api)
        before = everything(api)
        answer = post(api, one, "lines", body)
        message = refused(answer, 400, "VALIDATION_ERROR")
        assert answer.error["details"][0]["path"] == path, message
        assert everything(api) == before
        assert invoice_changes(api) == []

    def test_all_mistakes_are_reported_at_once(self, api: ApiServer) -> None:
        body = {"description": "", "quantity": "x", "unit_price": "x", "tax": "nothing"}
        answer = post(api, put_ended(api), "lines", body)
        refused(answer, 400, "VALIDATION_ERROR")
        assert [one["path"] for one in answer.error["details"]] == ["description", "quantity", "unit_price", "tax"]
        assert "add it to the catalogue" in answer.error["details"][3]["message"]

    @pytest.mark.parametrize("status", ["issued", "void"])
    def test_not_after_issue(self, api: ApiServer, status: str) -> None:
        one = put_ended(api)
        line = done(api, one, "lines", SETUP)
        done(api, one, "issue")
        if status == "void":
            done(api, one, "void", {"reason": "wrong"})
        before = everything(api)
        for answer in (
            post(api, one, "lines", SETUP),
            remove(api, one, line["id"]),
            api.ask("PATCH", f"/v1/invoices/{one.id}/lines/{line['id']}", {"tax": "reduced", "reason": "x"}),
        ):
            message = refused(answer, 409, "CONFLICT")
            assert f"is {status}" in message
            assert ";" in message, "the problem; the remedy"
        assert everything(api) == before

    def test_a_hundred_lines_at_most(self, api: ApiServer) -> None:
        one = put_ended(api)
        for _ in range(100):
            done(api, one, "lines", SETUP)
        assert "has 100 manual lines; combine" in refused(post(api, one, "lines", SETUP), 409, "CONFLICT")

    def test_of_no_invoice(self, api: ApiServer) -> None:
        refused(post(api, "ab" * 32, "lines", SETUP), 404, "NOT_FOUND")


class TestDiscounts:
    def test_one_that_is_too_large_names_the_largest_that_fits(self, api: ApiServer) -> None:
        one = put_ended(api)
        done(api, one, "lines", DISCOUNT)
        before = everything(api)
        message = refused(post(api, one, "lines", DISCOUNT | {"unit_price": "-7.01"}), 409, "CONFLICT")
        assert message == (
            "a discount of 7.01 EUR would make the taxable amount negative; the largest discount that fits is 7.00 EUR"
        )
        assert everything(api) == before
        found = done(api, one, "lines", DISCOUNT | {"unit_price": "-7.00"})["invoice"]
        assert found["subtotal"] == "0.00"

    def test_it_must_fit_the_taxable_amount_of_its_own_tax(self, api: ApiServer) -> None:
        one = put_ended(api)
        message = refused(post(api, one, "lines", DISCOUNT | {"tax": "reduced"}), 409, "CONFLICT")
        assert "the largest discount that fits is 0.00 EUR" in message
        done(api, one, "lines", SETUP | {"tax": "reduced"})
        done(api, one, "lines", DISCOUNT | {"tax": "reduced"})
        assert [row["taxable"] for row in api.get(f"/v1/invoices/{one.id}")["tax_rows"]] == ["97.00", "10.00"]

    def test_a_credit_reduces_it_and_its_working_shows_both_amounts(self, api: ApiServer) -> None:
        one = put_ended(api)
        line = done(api, one, "lines", DISCOUNT | {"unit_price": "-8.00"})
        found = done(api, one, "credit", {"outcome_key": "ticket-1", "reason": "late"})["invoice"]
        assert (found["subtotal"], found["credited"]) == ("6.00", "6.00"), "4.00 remain of the discount"
        shown = api.pages(f"/v1/invoices/{one.id}/lines")[2]
        assert (shown["id"], shown["amount"], shown["unit_price"]) == (line["id"], "-4.00", "-8")
        assert shown["working"]["requested"] == "-8.00"
        assert shown["working"]["applied"] == "-4.00"
        assert done(api, one, "lines", SETUP)["invoice"]["subtotal"] == "102.00", "the discount is whole again"
        assert done(api, one, "issue")["total"] == "114.24", "96.00 and 19 %"

    def test_on_an_open_invoice_it_is_a_request(self, api: ApiServer) -> None:
        one = put(api, closed=False)
        line = done(api, one, "lines", DISCOUNT | {"unit_price": "-500"})
        assert (line["amount"], line["invoice"]["subtotal"]) == ("-500.00", "-490.00")

    def test_a_discount_cannot_be_credited(self, api: ApiServer) -> None:
        one = put_ended(api)
        line = done(api, one, "lines", DISCOUNT)
        message = refused(post(api, one, "credit", {"row_id": line["id"], "reason": "x"}), 409, "CONFLICT")
        assert "is a discount" in message
        other = done(api, one, "lines", SETUP)
        done(api, one, "credit", {"row_id": other["id"], "amount": "30", "reason": "x"})
        assert api.get(f"/v1/invoices/{one.id}")["tax_rows"][0]["taxable"] == "77.00"


class TestRemoving:
    def test_a_line_is_removed_until_issue(self, api: ApiServer) -> None:
        one = put_ended(api)
        line = done(api, one, "lines", SETUP)
        answer = remove(api, one, line["id"])
        assert (answer.status, answer.json["subtotal"], answer.json["revision"]) == (200, "10.00", 2)
        assert invoice_changes(api)[0]["what"] == "invoice.remove_line"
        assert invoice_changes(api)[0]["after"]["line"]["description"] == "Setup"
        message = refused(remove(api, one, line["id"]), 404, "NOT_FOUND")
        assert "see the manual lines of the invoice" in message

    def test_only_a_manual_line_and_none_with_credits(self, api: ApiServer) -> None:
        one = put_ended(api)
        line = done(api, one, "lines", SETUP)
        outcome = api.pages(f"/v1/invoices/{one.id}/lines")[0]
        refused(remove(api, one, outcome["id"]), 404, "NOT_FOUND")
        done(api, one, "credit", {"row_id": line["id"], "amount": "1", "reason": "x"})
        assert "credit the rest of it instead" in refused(remove(api, one, line["id"]), 409, "CONFLICT")


class TestCustomers:
    def test_a_line_is_on_the_invoice_of_the_current_period(self, api: ApiServer) -> None:
        added = customer_line(api, SETUP)
        assert added.status == 201
        found = added.json["invoice"]
        assert (found["customer_key"], found["currency"], found["closed"], found["lines"]) == ("acme", "EUR", False, 0)
        again = customer_line(api, DISCOUNT).json["invoice"]
        assert (again["id"], again["subtotal"]) == (found["id"], "97.00")
        assert [one["id"] for one in api.pages("/v1/invoices?status=open")] == [found["id"]]
        [line, _] = api.pages(f"/v1/invoices/{found['id']}/lines")
        assert (line["id"], line["tax"]) == (added.json["id"], "vat")

    def test_the_currency_must_be_given_without_a_card(self, api: ApiServer) -> None:
        api.deployment.apply('[[customers]]\nkey = "penniless"\n')
        answer = customer_line(api, SETUP, customer="penniless")
        assert "has no rate card; name a currency" in refused(answer, 400, "VALIDATION_ERROR")
        assert answer.error["details"][0]["path"] == "currency"
        for currency in ("EURO", "eur", "XXX", ""):
            answer = customer_line(api, SETUP | {"currency": currency}, customer="penniless")
            refused(answer, 400, "VALIDATION_ERROR")
            assert answer.error["details"][0]["path"] == "currency"
        added = customer_line(api, SETUP | {"currency": "JPY"}, customer="penniless").json
        assert (added["currency"], added["amount"]) == ("JPY", "100")
        assert customer_line(api, SETUP | {"currency": "USD"}).json["amount"] == "100.00"

    def test_of_nobody(self, api: ApiServer) -> None:
        refused(customer_line(api, SETUP, customer="nobody"), 404, "NOT_FOUND")


class TestKeys:
    """The key of a line holds after the stored answer of a day is gone."""

    def test_of_an_invoice(self, api: ApiServer) -> None:
        one = put_ended(api)
        first = done(api, one, "lines", SETUP, "key")
        assert done(api, one, "lines", SETUP, "key") == first
        forget(api)
        assert done(api, one, "lines", SETUP, "key")["id"] == first["id"]
        for other in (SETUP | {"quantity": "3"}, SETUP | {"unit_price": "49"}, SETUP | {"tax": "vat"},
                      SETUP | {"description": "Other"}):  # fmt: skip
            forget(api)
            assert "choose another key" in refused(post(api, one, "lines", other, "key"), 409, "CONFLICT")
        assert api.get(f"/v1/invoices/{one.id}")["subtotal"] == "110.00"
        forget(api)
        done(api, one, "issue")
        assert done(api, one, "lines", SETUP, "key")["id"] == first["id"], "also after issue"

    def test_of_a_removed_line(self, api: ApiServer) -> None:
        one = put_ended(api)
        remove(api, one, done(api, one, "lines", SETUP, "key")["id"])
        forget(api)
        assert "was removed since" in refused(post(api, one, "lines", SETUP, "key"), 409, "CONFLICT")

    def test_of_a_customer(self, api: ApiServer) -> None:
        first = customer_line(api, SETUP, "key").json
        forget(api)
        assert customer_line(api, SETUP | {"currency": "EUR"}, "key").json["id"] == first["id"]
        for other in (SETUP | {"quantity": "3"}, SETUP | {"currency": "USD"}):
            forget(api)
            assert "choose another key" in refused(customer_line(api, other, "key"), 409, "CONFLICT")
        assert len(api.pages("/v1/invoices?customer_key=acme")) == 1

    def test_of_a_customer_who_has_no_card_by_now(self, api: ApiServer) -> None:
        first = customer_line(api, SETUP, "key").json
        api.deployment.apply('[[customers]]\nkey = "acme"\n')
        forget(api)
        again = customer_line(api, SETUP, "key")
        assert (again.status, again.json["id"]) == (201, first["id"])

    def test_of_a_customer_in_a_later_period(self, api: ApiServer) -> None:
        first = customer_line(api, SETUP, "key").json
        api.deployment.call(
            "HSET", "witn:{shared}:billing:line_tokens:acme", *token_of_ended_period(api, put_ended(api), "key")
        )
        forget(api)
        assert "was removed since" in refused(customer_line(api, SETUP, "key"), 409, "CONFLICT")
        assert len(api.pages(f"/v1/invoices/{first['invoice']['id']}/lines")) == 1


def token_of_ended_period(api: ApiServer, invoice: Invoice, key: str) -> tuple[str, str]:
    """Make the key of a customer's line belong to an invoice of an earlier period."""
    [token] = api.deployment.call("HKEYS", "witn:{shared}:billing:line_tokens:acme")
    api.deployment.call(
        "HSET", f"witn:{{shared}}:billing:changes:{invoice.id}", token, f"add_line 1600000000000 {'ab' * 32}"
    )
    return token.decode(), invoice.id


def test_the_scope_billing_may_and_read_may_not(api: ApiServer) -> None:
    made = api.ask("POST", "/v1/tokens", {"name": "finance", "scopes": ["billing"]})
    api.tokens["billing"] = made.json["token"]
    one = put_ended(api)
    line = done(api, one, "lines", SETUP)["id"]
    calls: list[tuple[str, str, Any]] = [
        ("POST", f"/v1/invoices/{one.id}/lines", SETUP),
        ("POST", "/v1/customers/acme/lines", SETUP),
        ("PATCH", f"/v1/invoices/{one.id}/lines/{line}", {"tax": "reduced", "reason": "x"}),
        ("DELETE", f"/v1/invoices/{one.id}/lines/{line}", None),
    ]
    for scope in ("read", "ingest"):
        for method, path, body in calls:
            assert api.ask(method, path, body, scope=scope).status == 403
    for method, path, body in calls:
        answer = api.ask(method, path, body, scope="billing")
        assert answer.status in (200, 201), answer.body
    assert {entry["who"] for entry in invoice_changes(api)[:4]} == {"token finance"}


def test_a_line_whose_period_is_far_ahead_stays_open(api: ApiServer) -> None:
    one = put(api, closed=False)
    done(api, one, "lines", SETUP)
    message = refused(post(api, one, "issue"), 409, "CONFLICT")
    assert "is open until its period ends at 2096-11-01" in message
