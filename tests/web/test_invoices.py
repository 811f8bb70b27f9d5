"""Invoices, their lines and credit notes over HTTP."""

import asyncio
import contextlib
import csv
import http.client
import io
import json
import socket
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from tests.support.deployment import CATALOGUE
from tests.support.invoices import outcome_row, stored_data
from tests.support.server import Server
from tests.web.api_server import Answer, ApiServer, api_server
from tests.web.invoices import AHEAD, ROWS, closed, on_server, put, rows
from witnd.app.invoices import credit as crediting
from witnd.app.invoices import operations as asked
from witnd.domain.invoices.invoice import Invoice
from witnd.domain.outcomes.resolution import derived_id
from witnd.store.errors import StoreUnavailable
from witnd.store.invoices import lines as invoice_lines
from witnd.store.keys import BillingKeys
from witnd.web.http import streaming
from witnd.web.http.download import file_name

KEYS = BillingKeys("witn")
# The kernel drops large segments for a much smaller one on loopback, and sends them again ever more rarely.
RECEIVE_BUFFER = 65_536
OTHER_YEAR = AHEAD.start + 400 * 86_400_000


def post(api: ApiServer, invoice: Invoice | str, operation: str, body: Any = None, key: str | None = None) -> Answer:
    name = invoice if isinstance(invoice, str) else invoice.id
    headers = {} if key is None else {"Idempotency-Key": key}
    return api.ask("POST", f"/v1/invoices/{name}/{operation}", body, headers=headers)


def done(api: ApiServer, invoice: Invoice | str, operation: str, body: Any = None, key: str | None = None) -> Any:
    answer = post(api, invoice, operation, body, key)
    assert answer.status in (200, 201), answer.body
    return answer.json


def refused(answer: Answer, status: int, code: str) -> str:
    assert (answer.status, answer.error["code"]) == (status, code), answer.body
    message = answer.error["message"]
    assert isinstance(message, str)
    return message


def changes(api: ApiServer) -> list[Any]:
    return api.pages("/v1/changes?limit=2")


def everything(api: ApiServer) -> dict[bytes, Any]:
    """What stands in Redis of invoices."""

    async def read(client: Any) -> dict[bytes, Any]:
        found = await stored_data(client, "witn:{shared}:billing:*")
        left_out = (b"owner", b":state", b":events:queued")
        return {name: it for name, it in found.items() if not any(part in name for part in left_out)}

    return on_server(api, read)


class TestReading:
    def test_invoices_are_listed_by_what_is_asked_of_them(self, api: ApiServer) -> None:
        one = put(api, "acme")
        open_one = put(api, "acme", currency="USD", closed=False)
        other = put(api, "other", at=OTHER_YEAR)
        number = done(api, one, "issue")["number"]

        def ids(query: str = "") -> set[str]:
            return {found["id"] for found in api.pages(f"/v1/invoices?{query}{'&' if query else ''}limit=1")}

        assert api.get("/v1/invoices?limit=1")["data"][0]["id"] == other.id, "the newest period first"
        assert ids() == {one.id, open_one.id, other.id}
        assert ids("customer_key=acme") == {one.id, open_one.id}
        assert ids("customer_key=nobody") == set()
        assert ids("status=open") == {open_one.id}
        assert ids("status=draft") == {other.id}
        assert ids("status=issued,open") == {one.id, open_one.id}
        assert ids("currency=USD") == {open_one.id}
        assert ids("period=2096") == {one.id, open_one.id}
        assert ids("period=2096-10&currency=EUR") == {one.id}
        assert ids("period=2096-10-17") == {one.id, open_one.id}
        assert ids("period=2096-10-17T12:00:00Z&status=issued") == {one.id}
        assert api.get(f"/v1/invoices/{number}")["id"] == one.id

    def test_pages_fit_together_to_the_end(self, api: ApiServer) -> None:
        put_ones = [put(api, f"customer-{n}", ROWS[:1]) for n in range(7)]
        for limit in (1, 3, 7, 100):
            found = [one["id"] for one in api.pages(f"/v1/invoices?limit={limit}")]
            assert len(found) == 7
            assert set(found) == {one.id for one in put_ones}

    def test_a_request_looks_at_a_bounded_number_and_its_cursor_leads_on(
        self, api: ApiServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(asked, "LOOKED_AT_MAX", 2)
        wanted = put(api, "acme", ROWS[:1])
        for n in range(5):
            put(api, f"customer-{n}", ROWS[:1], at=OTHER_YEAR)
        first = api.get("/v1/invoices?period=2096-10-17&limit=1")
        assert [one["id"] for one in first["data"]] == [wanted.id], "bounds of the index leave others out"
        sparse = api.get("/v1/invoices?currency=USD")
        assert sparse["data"] == []
        assert sparse["next_cursor"] is not None
        assert api.pages("/v1/invoices?currency=USD") == []
        assert api.pages("/v1/invoice-lines?currency=USD") == []
        assert len(api.pages("/v1/invoice-lines?period=2096&limit=1")) == 1

    def test_one_invoice_has_its_sums_and_credit_notes(self, api: ApiServer) -> None:
        one = put(api)
        done(api, one, "issue")
        done(api, one, "credit", {"outcome_key": "ticket-1", "amount": "1.50", "reason": "late"})
        found = api.get(f"/v1/invoices/{one.id}")
        assert (found["subtotal"], found["total"], found["noted"], found["balance"]) == (
            "10.00", "10.00", "1.50", "0.00"
        )  # fmt: skip
        assert (found["due"], found["notes_applied"], found["payments"]) == ("8.50", "1.50", [])
        assert (found["issue_date"], found["edition"]) == (found["issued_at"][:10], 1)
        [note] = found["credit_notes"]
        assert (note["number"], note["amount"], note["invoice_id"]) == ("CN-000001", "1.50", one.id)
        assert found["period_start"] == "2096-10-01T00:00:00.000Z"

    @pytest.mark.parametrize(
        "path", ["/v1/invoices/nothing", f"/v1/invoices/{'ab' * 32}", f"/v1/credit-notes/{'ab' * 32}",
                 "/v1/credit-notes/CN-1", "/v1/invoices/INV-1/lines", "/v1/invoice-lines?invoice=INV-1",
                 "/v1/credit-notes?invoice=INV-1", "/v1/invoices/%00", "/v1/invoices/INV-1?format=csv"]
    )  # fmt: skip
    def test_what_is_not_there_is_not_found(self, api: ApiServer, path: str) -> None:
        refused(api.ask("GET", path), 404, "NOT_FOUND")

    @pytest.mark.parametrize(
        ("query", "path"),
        [("status=late", "status"), ("period=soon", "period"), ("period=2096-13", "period"), ("limit=0", "limit"),
         ("limit=101", "limit"), ("after=x", "after"), ("format=xml", "format"), ("size=1", "size"),
         ("format=csv&after=x", "after"), ("period=2096-10-01T00:00", "period")],
    )  # fmt: skip
    def test_a_query_that_cannot_be_meant_is_refused_with_its_path(self, api: ApiServer, query: str, path: str) -> None:
        put(api)
        for resource in ("invoices", "invoice-lines"):
            answer = api.ask("GET", f"/v1/{resource}?{query}")
            refused(answer, 400, "VALIDATION_ERROR")
            assert answer.error["details"][0]["path"] == path

    def test_reading_needs_a_token_for_it_and_doing_one_for_that(self, api: ApiServer) -> None:
        one = put(api)
        for path in ("/v1/invoices", f"/v1/invoices/{one.id}", "/v1/invoice-lines", "/v1/credit-notes"):
            assert api.ask("GET", path, scope="read").status == 200
            assert api.ask("GET", path, scope="ingest").status == 403
            assert api.ask("GET", path, scope=None).status == 401
        for operation in ("issue", "pay", "void", "credit"):
            assert api.ask("POST", f"/v1/invoices/{one.id}/{operation}", {}, scope="read").status == 403


class TestLines:
    @pytest.mark.parametrize("limit", [1, 7, 20, 100])
    def test_lines_of_a_closed_invoice_come_in_its_order_with_its_credits(self, api: ApiServer, limit: int) -> None:
        lines = rows(20)
        one = put(api, "acme", lines)
        done(api, one, "credit", {"row_id": lines[3].id, "reason": "wrong"})
        for path in (f"/v1/invoices/{one.id}/lines?", f"/v1/invoice-lines?invoice={one.id}&"):
            found = api.pages(f"{path}limit={limit}")
            assert [line["outcome_key"] for line in found[:20]] == [row.outcome_key for row in lines]
            assert [(line["kind"], line["amount"], line["corrects"]) for line in found[20:]] == [
                ("credit", "-1.00", lines[3].id)
            ]
        assert found[0] == {
            **found[0], "id": derived_id("line", "ticket-00000"), "invoice_id": one.id, "unit": "1", "working": None,
            "resolved_at": "2096-10-01T00:00:00.000Z", "rated": "at_settlement", "currency": "EUR",
        }  # fmt: skip

    def test_how_an_amount_came_about_is_told(self, api: ApiServer) -> None:
        [line] = rows(1)
        put(
            api,
            "acme",
            [type(line)(**{**{f: getattr(line, f) for f in line.__struct_fields__}, "working": {"a": "1"}})],
        )
        assert api.get("/v1/invoice-lines")["data"][0]["working"] == {"a": "1"}

    @pytest.mark.parametrize("partitions", [1, 3])
    def test_lines_of_an_open_one_are_all_there_while_more_arrive(
        self, session_server: Server, redis_url: str, tmp_path: Path, partitions: int
    ) -> None:
        with api_server(session_server, tmp_path, partitions=partitions) as api:
            one = put(api, "acme", rows(11), closed=False)
            found: list[str] = []
            after = ""
            while True:
                page = api.get(f"/v1/invoices/{one.id}/lines?limit=2{after}")
                found += [line["outcome_key"] for line in page["data"]]
                if page["next_cursor"] is None:
                    break
                after = f"&after={page['next_cursor']}"
            assert found == [row.outcome_key for row in rows(11)]
            assert len(api.pages("/v1/invoice-lines?customer_key=acme&limit=3")) == 11

    @pytest.mark.parametrize("limit", [1, 2, 3, 5, 100])
    def test_lines_of_an_open_one_have_one_order_in_pages_files_and_at_the_terminal(
        self, session_server: Server, redis_url: str, tmp_path: Path, limit: int
    ) -> None:
        # Six of one instant that arrive in no order, and some before and behind them, over three partitions.
        at = {f"ticket-{n:05}": AHEAD.start + (n % 3 if n < 4 else 1) for n in range(10)}
        lines = [outcome_row(key, "1.00", ms) for key, ms in at.items()]
        backwards = list(reversed(lines))
        arrived = sorted(backwards, key=lambda row: row.resolved_at or 0)
        wanted = sorted(at, key=lambda key: (at[key], key))
        with api_server(session_server, tmp_path, partitions=3) as api:
            one = put(api, "acme", arrived, closed=False)
            done(api, one, "credit", {"outcome_key": "ticket-00003", "amount": "0.50", "reason": "slow"})
            path = f"/v1/invoices/{one.id}/lines?limit={limit}"
            assert [line["outcome_key"] for line in api.pages(path)] == [*wanted, "ticket-00003"]
            file = api.ask("GET", f"/v1/invoices/{one.id}?format=jsonl").body.decode()
            assert [json.loads(line)["outcome_key"] for line in file.splitlines()] == [*wanted, "ticket-00003"]
            document = api.deployment.json("invoices", "show", one.id)
            assert [line["outcome_key"] for line in document["lines"]] == [*wanted, "ticket-00003"]
            shown = api.deployment.witnd("invoices", "show", one.id).stdout
            places = [shown.index(key) for key in wanted]
            assert places == sorted(places)

    def test_a_cursor_of_an_open_one_is_no_good_when_it_is_closed(self, api: ApiServer) -> None:
        lines = rows(4)
        one = put(api, "acme", lines, closed=False)
        cursor = api.get(f"/v1/invoices/{one.id}/lines?limit=2")["next_cursor"]
        closed(api, one, lines)
        message = refused(api.ask("GET", f"/v1/invoices/{one.id}/lines?after={cursor}"), 409, "CONFLICT")
        assert "without a cursor" in message
        assert len(api.pages(f"/v1/invoices/{one.id}/lines?limit=1")) == 4

    @pytest.mark.parametrize("limit", [1, 2, 3, 5, 100])
    def test_lines_of_many_invoices_are_one_list(self, api: ApiServer, limit: int) -> None:
        put(api, "acme", rows(3))
        put(api, "acme", rows(4), at=OTHER_YEAR)
        put(api, "other", rows(2))
        path = f"/v1/invoice-lines?limit={limit}"
        for query, count in (("", 9), ("&customer_key=acme", 7), ("&period=2096", 5), ("&status=issued", 0),
                             ("&customer_key=acme&period=2096-10", 3), ("&customer_key=nobody", 0)):  # fmt: skip
            found = api.pages(path + query)
            assert len(found) == len({(line["invoice_id"], line["id"]) for line in found}) == count

    @pytest.mark.parametrize("after", ["x", "lines-", "lines--1", "rows9-1", "lines-1_x", "_", "_lines-1", "%00"])
    def test_a_cursor_that_somebody_made_up_is_refused(self, api: ApiServer, after: str) -> None:
        one = put(api)
        for path in (f"/v1/invoices/{one.id}/lines", "/v1/invoice-lines", f"/v1/invoice-lines?invoice={one.id}"):
            joint = "&" if "?" in path else "?"
            answer = api.ask("GET", f"{path}{joint}after={after}")
            assert answer.status in (400, 409, 200), answer.body
            assert answer.status != 200 or after == "_"

    def test_beside_an_invoice_nothing_else_says_anything(self, api: ApiServer) -> None:
        one = put(api)
        refused(api.ask("GET", f"/v1/invoice-lines?invoice={one.id}&customer_key=acme"), 400, "VALIDATION_ERROR")


class TestDoing:
    def test_an_invoice_is_issued_and_paid_and_each_is_noted(self, api: ApiServer) -> None:
        one = put(api)
        issued = done(api, one, "issue")
        assert (issued["status"], issued["number"], issued["total"]) == ("issued", "INV-000001", "10.00")
        assert done(api, "INV-000001", "issue") == issued, "again, it changes nothing"
        paid = done(api, "INV-000001", "pay")
        assert (paid["status"], paid["revision"]) == ("paid", 2)
        assert done(api, one, "pay") == paid

        pay_note, issue_note = changes(api)
        assert (issue_note["what"], issue_note["key"], issue_note["who"]) == ("invoice.issue", one.id, "token admin")
        assert issue_note["before"]["status"] == "draft"
        assert issue_note["after"]["invoice"] | {name: issued[name] for name in ("warnings", "lacks")} == issued
        assert issue_note["after"]["made"] == "INV-000001"
        assert (pay_note["what"], pay_note["before"]["status"]) == ("invoice.pay", "issued")

    def test_a_void_one_keeps_its_number(self, api: ApiServer) -> None:
        one = put(api)
        done(api, one, "issue")
        found = done(api, one, "void", {"reason": "sent to the wrong company"})
        assert (found["status"], found["number"], found["reason"]) == (
            "void", "INV-000001", "sent to the wrong company"
        )  # fmt: skip

    @pytest.mark.parametrize("operation", ["issue", "pay", "void"])
    def test_what_may_not_be_done_says_why_and_what_may_and_changes_nothing(
        self, api: ApiServer, operation: str
    ) -> None:
        one = put(api, closed=False)
        before = everything(api)
        message = refused(
            post(api, one, operation, {"reason": "wrong"} if operation == "void" else None), 409, "CONFLICT"
        )
        assert ";" in message, "the problem; the remedy"
        assert everything(api) == before
        assert changes(api) == []

    @pytest.mark.parametrize(
        ("operation", "body", "path"),
        [("void", {}, "reason"), ("void", {"reason": " "}, "reason"), ("void", {"reason": "x" * 501}, "reason"),
         ("void", {"reason": "a\nb"}, "reason"), ("void", {"reason": 5}, "reason"),
         ("void", {"reason": "a", "why": "b"}, "why"),
         ("credit", {"reason": "a"}, ""), ("credit", {"reason": "a", "outcome_key": "a", "row_id": "b"}, ""),
         ("credit", {"outcome_key": "ticket-1"}, "reason"),
         ("credit", {"outcome_key": "ticket-1", "reason": ""}, "reason"),
         ("credit", {"outcome_key": "ticket-1", "reason": "a", "amount": 1.5}, "amount"),
         ("credit", {"outcome_key": "ticket-1", "reason": "a", "amount": "-1"}, "amount"),
         ("credit", {"outcome_key": "ticket-1", "reason": "a", "amount": "0"}, "amount"),
         ("credit", {"outcome_key": "ticket-1", "reason": "a", "amount": "0.001"}, "amount"),
         ("credit", {"outcome_key": "ticket-1", "reason": "a", "amount": "NaN"}, "amount")],
    )  # fmt: skip
    def test_a_body_that_cannot_be_meant_is_refused_with_its_path(
        self, api: ApiServer, operation: str, body: Any, path: str
    ) -> None:
        one = put(api)
        done(api, one, "issue")
        before = everything(api)
        answer = post(api, one, operation, body)
        refused(answer, 400, "VALIDATION_ERROR")
        assert answer.error["details"][0]["path"] == path
        assert everything(api) == before

    def test_a_credit_on_a_draft_is_a_line_and_later_a_note_that_pays_the_next(self, api: ApiServer) -> None:
        one = put(api)
        early = done(api, one, "credit", {"outcome_key": "ticket-1", "amount": "1.50", "reason": "late"})
        assert (early["credit_note"], early["line"]["amount"], early["balance"]) == (None, "-1.50", "0.00")
        assert done(api, one, "issue")["total"] == "8.50"
        late = done(api, one, "credit", {"row_id": ROWS[0].id, "reason": "all of it"})
        assert (late["credit_note"]["amount"], late["balance"]) == ("4.50", "0.00")
        assert (late["credit_note"]["applied"], late["invoice"]["due"]) == ("4.50", "4.00")
        assert late["line"]["corrects"] == ROWS[0].id
        message = refused(post(api, one, "credit", {"row_id": ROWS[0].id, "reason": "more"}), 409, "CONFLICT")
        assert "nothing of the line remains" in message
        assert [note["what"] for note in changes(api)] == ["invoice.credit", "invoice.issue", "invoice.credit"]

    @pytest.mark.parametrize("body", [{"outcome_key": "nothing"}, {"row_id": "nothing"}])
    def test_a_line_that_is_not_there_is_not_credited(self, api: ApiServer, body: Any) -> None:
        refused(post(api, put(api), "credit", body | {"reason": "a"}), 404, "NOT_FOUND")

    @pytest.mark.parametrize("closed_", [True, False])
    @pytest.mark.parametrize("partitions", [1, 3])
    def test_any_line_of_a_large_invoice_is_found(
        self, session_server: Server, redis_url: str, tmp_path: Path, partitions: int, closed_: bool
    ) -> None:
        lines = [outcome_row(f"ticket-{n:05}", "1.00", AHEAD.start + n // 600) for n in range(1300)]
        with api_server(session_server, tmp_path, partitions=partitions) as api:
            one = put(api, "acme", lines, closed=closed_)
            for place in (0, 1, 599, 600, 601, 777, 1298, 1299):
                found = done(api, one, "credit", {"outcome_key": lines[place].outcome_key, "reason": "a"})
                assert found["line"]["corrects"] == lines[place].id
            put(api, "other", [outcome_row("elsewhere", at=AHEAD.start + 1)])
            refused(post(api, one, "credit", {"outcome_key": "elsewhere", "reason": "a"}), 404, "NOT_FOUND")
            found = done(api, one, "credit", {"row_id": lines[700].id, "reason": "a"})
            assert found["line"]["corrects"] == lines[700].id

    def test_what_a_closed_period_added_is_credited_by_its_id(self, api: ApiServer) -> None:
        fee = outcome_row("", "5.00", id="ab" * 32, kind="fee", outcome_key=None, resolved_at=None, unit=None)
        one = put(api, "acme", [*rows(3), fee])
        assert done(api, one, "credit", {"row_id": fee.id, "reason": "a"})["line"]["amount"] == "-5.00"

    def test_a_line_by_id_is_looked_for_among_so_many(self, api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(invoice_lines, "LOOKED_AT_MAX", 500)
        lines = rows(1100)
        one = put(api, "acme", lines)
        message = refused(post(api, one, "credit", {"row_id": lines[900].id, "reason": "a"}), 400, "VALIDATION_ERROR")
        assert "outcome_key" in message
        assert done(api, one, "credit", {"outcome_key": lines[900].outcome_key, "reason": "a"})

    def test_under_one_key_a_thing_is_done_once_and_answered_the_same(self, api: ApiServer) -> None:
        one = put(api)
        body = {"outcome_key": "ticket-1", "amount": "1.00", "reason": "late"}
        first = done(api, one, "credit", body, key="refund-17")
        assert done(api, one, "credit", body, key="refund-17") == first
        assert done(api, one, "credit", body, key="refund-18")["invoice"]["credited"] == "2.00"
        for other in ({"amount": "2.00"}, {"reason": "early"}, {"outcome_key": "ticket-2"}):
            message = refused(post(api, one, "credit", body | other, key="refund-17"), 409, "CONFLICT")
            assert "was used for another request" in message
        assert done(api, one, "issue", key="refund-17")["status"] == "issued", "another operation, another name"
        assert [note["what"] for note in changes(api)] == ["invoice.issue", "invoice.credit", "invoice.credit"]

    def test_a_repeated_issue_is_answered_although_it_went_on_since(self, api: ApiServer) -> None:
        one = put(api)
        done(api, one, "issue", key="a")
        done(api, one, "void", {"reason": "wrong"}, key="b")
        assert done(api, one, "issue", key="a")["status"] == "issued", "the stored answer, for a day"
        for name in api.deployment.call("KEYS", "witn:{shared}:answer:*"):
            api.deployment.call("DEL", name)
        assert done(api, one, "issue", key="a")["status"] == "void", "later, what it is now"
        assert done(api, one, "void", {"reason": "wrong"}, key="b")["status"] == "void"
        refused(post(api, one, "void", {"reason": "other"}, key="b"), 409, "CONFLICT")
        refused(post(api, one, "issue", key="c"), 409, "CONFLICT")

    def test_a_credit_whose_answer_was_lost_is_not_said_to_be_undone(
        self, api: ApiServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        change = crediting.do

        async def lost(*arguments: Any, **named: Any) -> None:
            await change(*arguments, **named)
            raise StoreUnavailable("the connection was lost")

        one = put(api)
        body = {"outcome_key": "ticket-1", "amount": "1.00", "reason": "late"}
        with monkeypatch.context() as patched:
            patched.setattr(crediting, "do", lost)
            assert "credits" in refused(post(api, one, "credit", body), 503, "UNAVAILABLE")
            assert "same Idempotency-Key" in refused(post(api, one, "credit", body, key="a"), 503, "UNAVAILABLE")
        assert done(api, one, "credit", body, key="a")["invoice"]["credited"] == "2.00"

    @pytest.mark.parametrize("key", ["", "x" * 256, "a\tb"])
    def test_an_idempotency_key_is_short_text(self, api: ApiServer, key: str) -> None:
        answer = post(api, put(api), "issue", key=key)
        refused(answer, 400, "VALIDATION_ERROR")
        assert answer.error["details"][0]["path"] == "Idempotency-Key"

    def test_what_a_credit_note_is_called_is_no_invoice(self, api: ApiServer) -> None:
        one = put(api)
        done(api, one, "issue")
        done(api, one, "credit", {"outcome_key": "ticket-1", "reason": "late"})
        refused(post(api, "CN-000001", "pay"), 404, "NOT_FOUND")
        refused(api.ask("GET", "/v1/credit-notes/INV-000001"), 404, "NOT_FOUND")


class TestCreditNotes:
    def test_they_are_listed_newest_first_of_all_of_a_customer_or_of_an_invoice(self, api: ApiServer) -> None:
        one, other = put(api, "acme"), put(api, "other")
        for each in (one, other):
            done(api, each, "issue")
        for n in range(5):
            for each in (one, other):
                done(api, each, "credit", {"outcome_key": "ticket-1", "amount": "0.50", "reason": f"number {n}"})
        for limit in (1, 2, 5, 100):
            found = api.pages(f"/v1/credit-notes?limit={limit}")
            assert [note["number"] for note in found] == [f"CN-{n:06}" for n in range(10, 0, -1)]
            mine = [note for note in found if note["customer_key"] == "acme"]
            assert api.pages(f"/v1/credit-notes?limit={limit}&customer_key=acme") == mine
            assert api.pages(f"/v1/credit-notes?limit={limit}&invoice={one.id}") == mine
        assert api.get("/v1/credit-notes/CN-000003") == next(one for one in found if one["number"] == "CN-000003")
        assert api.get(f"/v1/credit-notes/{found[0]['id']}") == found[0]

    @pytest.mark.parametrize("query", ["after=x", "invoice=INV-000001&after=x", "invoice=INV-000001&after=9",
                                       "invoice=INV-000001&customer_key=acme", "format=csv&after=1"])  # fmt: skip
    def test_what_cannot_be_meant_is_refused(self, api: ApiServer, query: str) -> None:
        done(api, put(api), "issue")
        refused(api.ask("GET", f"/v1/credit-notes?{query}"), 400, "VALIDATION_ERROR")


class TestFiles:
    def test_the_lines_of_an_invoice_are_a_table(self, api: ApiServer) -> None:
        api.deployment.apply(CATALOGUE.replace('key = "acme"\n', 'key = "acme"\nname = "Acme Inc"\n'))
        one = put(api, "acme", rows(3))
        done(api, one, "issue")
        for path in (f"/v1/invoices/{one.id}?", "/v1/invoices/INV-000001/lines?",
                     "/v1/invoice-lines?customer_key=acme&", "/v1/invoices?what=lines&"):  # fmt: skip
            answer = api.ask("GET", f"{path}format=csv")
            assert answer.status == 200
            assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
            found = list(csv.DictReader(io.StringIO(answer.body.decode())))
            assert [line["outcome_key"] for line in found] == [row.outcome_key for row in rows(3)]
            assert found[0]["customer_name"] == "Acme Inc"

    def test_files_have_names_that_harm_nobody(self, api: ApiServer) -> None:
        one = put(api)
        draft_ = api.ask("GET", f"/v1/invoices/{one.id}?format=jsonl")
        assert draft_.headers["content-disposition"] == f'attachment; filename="{one.id}.jsonl"'
        done(api, one, "issue")
        assert (
            api.ask("GET", f"/v1/invoices/{one.id}?format=csv").headers["content-disposition"]
            == 'attachment; filename="INV-000001.csv"'
        )
        assert file_name('../a"b\r\nSet-Cookie: x.csv') == "_a_b__Set-Cookie__x.csv"
        assert file_name("") == "export"

    def test_invoices_and_credit_notes_are_tables_and_json_lines(self, api: ApiServer) -> None:
        one = put(api)
        done(api, one, "issue")
        done(api, one, "credit", {"outcome_key": "ticket-1", "reason": "late"})
        heads = api.ask("GET", "/v1/invoices?format=jsonl")
        assert heads.headers["content-type"] == "application/jsonl"
        assert [json.loads(line) for line in heads.body.splitlines()] == api.pages("/v1/invoices")
        lines = api.ask("GET", f"/v1/invoices/{one.id}?format=jsonl").body.splitlines()
        assert [json.loads(line) for line in lines] == api.pages(f"/v1/invoices/{one.id}/lines")
        for path in ("/v1/credit-notes?", f"/v1/credit-notes?invoice={one.id}&", "/v1/credit-notes?customer_key=acme&",
                     "/v1/credit-notes/CN-000001?"):  # fmt: skip
            [note] = api.ask("GET", f"{path}format=jsonl").body.splitlines()
            assert json.loads(note) == api.get("/v1/credit-notes/CN-000001")
            [_, cells] = csv.reader(io.StringIO(api.ask("GET", f"{path}format=csv").body.decode()))
            assert "CN-000001" in cells

    def test_pages_are_shown_and_may_do_nothing(self, api: ApiServer) -> None:
        one = put(api, "<script>alert(1)</script>")
        done(api, one, "issue")
        done(api, one, "credit", {"outcome_key": "ticket-1", "reason": "late"})
        for path in (f"/v1/invoices/{one.id}", "/v1/credit-notes/CN-000001"):
            answer = api.ask("GET", f"{path}?format=html", scope="read")
            assert answer.status == 200
            assert answer.headers["content-type"] == "text/html; charset=utf-8"
            assert answer.headers["content-disposition"].startswith("inline")
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            assert b"<script>" not in answer.body
            assert b"Acme" in answer.body or b"script" in answer.body

    def test_items_for_stripe_need_a_customer_there_and_an_issued_invoice(self, api: ApiServer) -> None:
        one = put(api)
        path = f"/v1/invoices/{one.id}?format=stripe"
        assert "stripe_customer" in refused(api.ask("GET", path), 400, "VALIDATION_ERROR")
        refused(api.ask("GET", f"{path}&stripe_customer=acme"), 400, "VALIDATION_ERROR")
        assert "issue it first" in refused(api.ask("GET", f"{path}&stripe_customer=cus_1"), 409, "CONFLICT")
        refused(api.ask("GET", f"/v1/invoices/{one.id}?format=csv&stripe_customer=cus_1"), 400, "VALIDATION_ERROR")
        done(api, one, "issue")
        items = [json.loads(line) for line in api.ask("GET", f"{path}&stripe_customer=cus_1").body.splitlines()]
        assert [item["invoice_item"]["amount"] for item in items] == [600, 400]
        [whole] = api.ask("GET", f"{path}&stripe_customer=cus_1&what=invoices").body.splitlines()
        assert json.loads(whole)["invoice_item"]["amount"] == 1000

    def test_of_nothing_there_is_an_empty_file(self, api: ApiServer) -> None:
        assert api.ask("GET", "/v1/invoices?format=jsonl&status=paid").body == b""
        assert len(api.ask("GET", "/v1/invoices?format=csv").body.splitlines()) == 1

    def test_a_head_request_has_the_headers_and_no_body(self, api: ApiServer) -> None:
        answer = api.ask("HEAD", f"/v1/invoices/{put(api).id}?format=csv")
        assert (answer.status, answer.body) == (200, b"")
        assert answer.headers["content-type"].startswith("text/csv")

    def test_a_large_one_is_sent_while_it_is_read(self, api: ApiServer) -> None:
        put(api, "acme", rows(3000))
        connection = http.client.HTTPConnection(*api.address, timeout=30)
        try:
            headers = {"Authorization": f"Bearer {api.tokens['read']}"}
            connection.request("GET", "/v1/invoice-lines?format=csv", headers=headers)
            answer = connection.getresponse()
            assert answer.headers["transfer-encoding"] == "chunked"
            assert "content-length" not in answer.headers
            assert len(answer.headers["x-request-id"]) == 32
            assert answer.read().count(b"\r\n") == 3001
            connection.request("GET", "/v1/invoices", headers=headers)
            assert connection.getresponse().status == 200, "the connection can be used again"
        finally:
            connection.close()

    def test_what_breaks_while_it_is_sent_is_not_taken_for_the_whole(self, api: ApiServer) -> None:
        lines = rows(3000)
        one = put(api, "acme", lines)
        api.deployment.call("RPUSH", KEYS.lines(one.id), "no row at all")
        connection = http.client.HTTPConnection(*api.address, timeout=30)
        try:
            connection.request(
                "GET", "/v1/invoice-lines?format=csv", headers={"Authorization": f"Bearer {api.tokens['read']}"}
            )
            answer = connection.getresponse()
            assert answer.status == 200
            with pytest.raises((http.client.IncompleteRead, ConnectionError)):
                answer.read()
        finally:
            connection.close()

    def test_what_breaks_before_is_an_answer_as_ever(self, api: ApiServer) -> None:
        one = put(api)
        api.deployment.call("DEL", KEYS.lines(one.id))
        api.deployment.call("RPUSH", KEYS.lines(one.id), "no row at all")
        assert "unreadable" in refused(api.ask("GET", "/v1/invoice-lines?format=csv"), 503, "UNAVAILABLE")

    @pytest.mark.parametrize("stalls", [False, True])
    def test_who_hangs_up_or_takes_nothing_harms_nobody(
        self, api: ApiServer, monkeypatch: pytest.MonkeyPatch, stalls: bool
    ) -> None:
        monkeypatch.setattr(streaming, "PART_SECONDS", 0.2)
        aborted: SimpleQueue[BaseException] = SimpleQueue()
        write_eof = streaming.Streamed.write_eof

        async def until_aborted(response: streaming.Streamed, data: bytes = b"") -> None:
            try:
                await write_eof(response, data)
            except BaseException as error:
                aborted.put(error)
                raise

        monkeypatch.setattr(streaming.Streamed, "write_eof", until_aborted)
        one = put(api, "acme", rows(1000))
        size = len(api.ask("GET", "/v1/invoice-lines?format=csv").body)
        records = api.deployment.call("LRANGE", KEYS.lines(one.id), 0, -1)
        # More than the kernel holds for both sides (it doubles the receive buffer), and the server in its own buffer.
        send_buffer = int(Path("/proc/sys/net/ipv4/tcp_wmem").read_text().split()[2])
        copies = max(20, (send_buffer + 2 * RECEIVE_BUFFER + (1 << 20)) // size + 1)
        for _ in range(copies):
            api.deployment.call("RPUSH", KEYS.lines(one.id), *records)
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            client.settimeout(60)
            client.connect(api.address)
            head = f"Host: x\r\nAuthorization: Bearer {api.tokens['read']}\r\n\r\n"
            client.sendall(b"GET /v1/invoice-lines?format=csv HTTP/1.1\r\n" + head.encode())
            assert client.recv(12) == b"HTTP/1.1 200"
            if stalls:
                assert "no part of the answer was taken" in str(aborted.get(timeout=60))
                taken = b""
                with contextlib.suppress(ConnectionError):
                    while part := client.recv(1 << 20):
                        taken = (taken + part)[-5:]
                assert taken != b"0\r\n\r\n", "it is not said to be whole"
        if not stalls:
            assert isinstance(aborted.get(timeout=60), ConnectionError | asyncio.CancelledError)
        assert api.ask("GET", "/v1/invoices").status == 200
