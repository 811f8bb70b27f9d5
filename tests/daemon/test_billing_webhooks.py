"""Webhooks of billing events, from the step to the endpoint, by the real daemon."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.support.daemon import CATALOGUE, Daemon, event
from tests.support.processes import until
from tests.support.receiver import Webhook, receiver
from tests.support.server import Server
from witnd.domain.webhooks.billing_event import event_delivery_id
from witnd.domain.webhooks.notification import rule_id
from witnd.domain.webhooks.sources import EVENT_SOURCES
from witnd.store.keys import BillingKeys

KEYS = BillingKeys("witn")
PUBLIC = "https://billing.example.com/base"
LONG_AGO = 1_000_000_000_000
TAXES = """
[seller]
name = "Example Ltd."
address = ["1 Example Street"]
country = "DE"
[[taxes]]
key = "full"
name = "VAT"
rate = "19"
category = "S"
"""


SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


def rule(url: str, source: str, name: str | None = None) -> str:
    return (
        f'[[notification_rules]]\nname = "{name or source}"\nsource = "{source}"\nurl = "{url}"\nsecret = "{SECRET}"\n'
    )


def rules(url: str, *sources: str) -> str:
    return "".join(rule(url, source) for source in sources)


class Place:
    """A daemon, its endpoint, and what arrived there."""

    def __init__(self, daemon: Daemon, url: str, received: list[Webhook]) -> None:
        self.daemon = daemon
        self.url = url
        self.received = received

    def messages(self, type_: str) -> list[dict[str, Any]]:
        found = [json.loads(one.body) for one in self.received]
        return [one for one in found if one["type"] == type_]

    def gets(self, type_: str, count: int = 1) -> list[dict[str, Any]]:
        until(lambda: len(self.messages(type_)) >= count, f"{count} of {type_}", seconds=60)
        found = self.messages(type_)
        assert len(found) == count, found
        return found

    def json(self, *words: str) -> Any:
        done = self.daemon.witnd(*words, "--json")
        assert done.returncode == 0, done.stderr + done.stdout
        return json.loads(done.stdout)

    def invoices(self) -> Any:
        return self.json("invoices", "list")["data"]

    def confirm(self, *keys: str) -> None:
        """Outcomes of long ago, whose period is over."""
        for number, key in enumerate(keys):
            at = LONG_AGO + number
            self.daemon.server.call("XADD", "witn:{0}:events", f"{at}-0", "data", json.dumps(event(key)))  # type: ignore[union-attr]


@pytest.fixture
def place(server: Callable[..., Server], daemon: Callable[..., Daemon]) -> Iterator[Callable[..., Place]]:
    with ExitStack() as stack:

        def start(*sources: str, catalogue: str = CATALOGUE, **settings: str) -> Place:
            url, received = stack.enter_context(receiver())
            started = daemon(
                server(),
                billing__period="day",
                billing__grace="0",
                webhooks__allow_networks="127.0.0.0/8",
                webhooks__schedule="0.01,0.01",
                **settings,
            )
            started.begins(catalogue + rules(url, *(sources or EVENT_SOURCES)))
            return Place(started, url, received)

        yield start


def test_each_step_of_an_invoice_is_reported_once_with_its_sums_and_a_link(place: Callable[..., Place]) -> None:
    here = place(
        http__public_url=PUBLIC + "/",
        catalogue=CATALOGUE.replace('rate_card = "standard" }', 'rate_card = "standard", billing = { tax = "full" } }')
        + TAXES,
    )
    here.confirm("ticket-1", "ticket-2")
    [closed] = here.gets("invoice_closed")
    [issued] = here.gets("invoice_issued")
    [invoice] = here.invoices()
    facts = {"customerKey": "acme", "invoiceId": invoice["id"], "invoiceNumber": "INV-000001"}
    assert closed["data"]["facts"] == facts | {"invoiceNumber": None}
    assert issued["data"]["facts"] == facts
    assert issued["data"]["subjectKey"] == invoice["id"]
    assert issued["data"]["rule"] == {"id": rule_id("invoice_issued"), "name": "invoice_issued"}
    assert issued["id"] == event_delivery_id(rule_id("invoice_issued"), "invoice_issued", invoice["id"], 1)
    assert issued["createdAt"] == invoice["issued_at"]
    assert issued["data"]["url"] == f"{PUBLIC}/dashboard/invoices/{invoice['id']}"
    sums = issued["data"]["invoice"]
    assert (sums["subtotal"], sums["tax"], sums["total"], sums["due"]) == ("2.00", "0.38", "2.38", "2.38")
    assert closed["data"]["invoice"]["total"] is None
    assert "ticket-1" not in json.dumps([closed, issued])
    # Due thirty days after today, so not overdue.
    number = invoice["number"]
    here.json("invoices", "pay", number)
    [paid] = here.gets("invoice_paid")
    assert paid["data"]["invoice"]["status"] == "paid"
    [payment] = here.json("invoices", "show", number)["payments"]
    here.json("invoices", "reverse", number, payment["id"])
    here.json("invoices", "pay", number)
    first, second = here.gets("invoice_paid", 2)
    assert first["id"] != second["id"] == event_delivery_id(rule_id("invoice_paid"), "invoice_paid", invoice["id"], 2)
    assert here.json("audit")["clean"]


def test_a_voided_invoice_and_its_credit_note_are_reported(place: Callable[..., Place]) -> None:
    here = place(
        catalogue=CATALOGUE.replace('rate_card = "standard" }', 'rate_card = "standard", billing = { tax = "full" } }')
        + TAXES
    )
    here.confirm("ticket-1")
    here.gets("invoice_issued")
    here.json("invoices", "void", "INV-000001", "--reason", "a mistake", "--yes")
    [voided], [note] = here.gets("invoice_voided"), here.gets("credit_note_issued")
    assert voided["data"]["facts"]["invoiceNumber"] == "INV-000001"
    assert (voided["data"]["invoice"]["status"], voided["data"]["invoice"]["reason"]) == ("void", "a mistake")
    assert note["data"]["facts"]["creditNoteNumber"] == "CN-000001"
    assert note["data"]["facts"]["invoiceId"] == voided["data"]["facts"]["invoiceId"]
    assert note["data"]["credit_note"]["total"] == "1.19"
    assert "url" not in note["data"]
    assert not here.messages("invoice_paid")


def test_an_overdue_invoice_is_reported_once_also_after_a_reversed_payment(place: Callable[..., Place]) -> None:
    here = place(
        "invoice_closed",
        "invoice_overdue",
        catalogue=CATALOGUE.replace('rate_card = "standard" }', 'rate_card = "standard", billing = { tax = "full" } }')
        + TAXES,
        billing__issue="manual",
    )
    here.confirm("ticket-1")
    [closed] = here.gets("invoice_closed")
    id_ = closed["data"]["facts"]["invoiceId"]
    here.json("invoices", "issue", id_, "--date", "2001-09-10")
    [overdue] = here.gets("invoice_overdue")
    assert overdue["data"]["facts"] == {"customerKey": "acme", "invoiceId": id_, "invoiceNumber": "INV-000001"}
    assert (overdue["data"]["invoice"]["due_date"], overdue["data"]["invoice"]["due"]) == ("2001-10-10", "1.19")
    # It is due again, and was reported before.
    here.json("invoices", "pay", "INV-000001")
    [payment] = here.json("invoices", "show", "INV-000001")["payments"]
    here.json("invoices", "reverse", "INV-000001", payment["id"])
    assert not here.daemon.server.call("EXISTS", KEYS.not_overdue)  # type: ignore[union-attr]
    here.gets("invoice_overdue")
    assert here.json("audit")["clean"]


def test_an_audit_finds_a_missing_event_and_a_missing_delivery(place: Callable[..., Place]) -> None:
    here = place("invoice_issued")
    here.confirm("ticket-1")
    [message] = here.gets("invoice_issued")
    server: Any = here.daemon.server
    until(lambda: bool(server.call("ZCARD", KEYS.delivered)), "the delivery is recorded")
    here.daemon.kill()

    def differences() -> list[str]:
        done = here.daemon.witnd("audit", "--json")
        return [one["what"] for one in json.loads(done.stdout)["differences"]]

    assert differences() == []
    row = server.call("HGET", KEYS.deliveries, message["id"])
    server.call("HDEL", KEYS.deliveries, message["id"])
    [missing] = differences()
    assert missing.startswith(f"delivery {message['id']} about ")
    server.call("HSET", KEYS.deliveries, message["id"], row.replace(b'"due":"1.00"', b'"due":"9.00"'))
    assert len(differences()) == 1
    server.call("HSET", KEYS.deliveries, message["id"], row)
    entries: Any = server.call("XRANGE", KEYS.events, "-", "+")
    [issued] = [id_ for id_, fields in entries if b'"type":"invoice_issued"' in fields[b"data"]]
    server.call("ZREM", KEYS.not_overdue, message["data"]["facts"]["invoiceId"])
    assert differences() == ["day in the list of invoices that are not overdue"]
    server.call("XADD", KEYS.events, "*", "data", dict(entries)[issued][b"data"])
    found = differences()
    assert any(one.startswith("billing event invoice_issued 1 of ") for one in found), found


def test_a_suspended_endpoint_is_reported_to_other_rules_and_its_deliveries_can_be_resumed(
    place: Callable[..., Place],
) -> None:
    here = place("invoice_issued")
    gone = here.url.replace("/hook", "/410")
    here.daemon.apply(
        CATALOGUE
        + rule(gone, "invoice_issued", "broken")
        + rule(gone, "endpoint_suspended", "broken-alarm")
        + rule(here.url, "endpoint_suspended", "alarm")
    )
    here.confirm("ticket-1")
    # The one rule is suspended by the invoice, the other by the report of it, and is not told of itself.
    found = [one["data"] for one in here.gets("endpoint_suspended", 3)]
    assert {(one["rule"]["name"], one["facts"]["ruleName"]) for one in found} == {
        ("alarm", "broken"),
        ("broken-alarm", "broken"),
        ("alarm", "broken-alarm"),
    }
    assert {one["endpoint"]["reason"] for one in found} == {"the endpoint responded 410 Gone"}
    # It happens again once the endpoint was resumed, and is another event.
    done = here.daemon.witnd("deliveries", "resume", "broken")
    assert done.returncode == 0, done.stderr
    again = here.gets("endpoint_suspended", 4)
    assert len({one["id"] for one in again}) == 4
    assert here.json("deliveries", "list", "--state", "parked")["data"]
    assert here.json("audit")["clean"]


def test_a_block_of_a_partition_is_reported_each_time_it_happens(place: Callable[..., Place]) -> None:
    here = place("settlement_blocked")
    server: Any = here.daemon.server
    for count in (1, 2):
        seconds, _ = server.call("TIME")
        server.call("XADD", "witn:{0}:events", f"{int(seconds) * 1000 + 3_600_000 * count}-0", "data", "{}")
        found = here.gets("settlement_blocked", count)
        last = found[-1]
        assert last["data"]["facts"] == {"partition": 0}
        assert "ahead of the server's clock" in last["data"]["settlement"]["reason"]
        assert "witnd repair ahead" in last["data"]["settlement"]["remedy"]
        assert last["data"]["subjectKey"] == "partition 0"
        assert last["id"] == event_delivery_id(
            rule_id("settlement_blocked"), "settlement_blocked", "partition 0", count
        )
        if count == 1:  # still the same block after a restart
            here.daemon.kill()
            here.daemon.start()
            here.daemon.says("log.blocked", times=2)
        done = here.daemon.witnd("repair", "ahead", "--yes")
        assert done.returncode == 0, done.stderr
        here.daemon.says("log.unblocked", times=count)
        until(lambda: not server.call("HLEN", KEYS.blocked), "the block has ended")


def test_blocked_invoices_are_reported_while_they_are_blocked(place: Callable[..., Place]) -> None:
    here = place("settlement_blocked", "invoice_issued")
    here.confirm("ticket-1")
    here.gets("invoice_issued")
    server: Any = here.daemon.server
    [(_, fields)] = server.call("XRANGE", "witn:{0}:lines", "-", "+")
    server.call("XADD", "witn:{0}:lines", "7-0", "data", fields[b"data"])
    [blocked] = here.gets("settlement_blocked")
    assert blocked["data"]["facts"] == {"partition": None}
    assert blocked["data"]["subjectKey"] == "billing"


def test_a_delivery_that_was_given_up_is_listed_and_resent_on_every_surface(place: Callable[..., Place]) -> None:
    here = place("invoice_closed")
    here.daemon.apply(CATALOGUE + rule(here.url.replace("/hook", "/503"), "invoice_issued", "finance"))
    here.confirm("ticket-1")
    token = here.daemon.token()
    until(lambda: here.daemon.get("/v1/deliveries?standing=dead", token)[1]["data"], "it is given up", seconds=60)
    [dead] = here.daemon.get("/v1/deliveries?standing=dead&rule=finance", token)[1]["data"]
    assert (dead["type"], dead["partition"], dead["outcome_key"], dead["attempts"]) == ("invoice_issued", None, None, 3)
    assert here.json("deliveries", "list", "--state", "dead")["data"] == [dead]
    detail = here.daemon.get(f"/v1/deliveries/{dead['id']}", token)[1]
    assert detail["body"]["data"]["facts"]["invoiceId"] == dead["subject_key"]
    problems = here.daemon.get("/v1/problems", token)[1]["deliveries"]
    assert (problems["dead"], problems["items"][0]["subject_key"]) == (1, dead["subject_key"])
    until(lambda: 'witnd_deliveries{state="dead"} 1.0' in here.daemon.get("/metrics")[1], "it is counted", seconds=30)
    here.daemon.apply(CATALOGUE + rule(here.url, "invoice_issued", "finance"))
    assert here.daemon.request("POST", f"/v1/deliveries/{dead['id']}/resend", None, token)[0] == 202
    until(
        lambda: here.daemon.get(f"/v1/deliveries/{dead['id']}", token)[1]["standing"] == "delivered",
        "it is delivered",
        seconds=60,
    )
    assert {one.id for one in here.received if json.loads(one.body)["type"] == "invoice_issued"} == {dead["id"]}
    rule_path = f"/v1/notification-rules/{rule_id('finance')}"
    answer = here.daemon.request("POST", f"{rule_path}/test", None, token)
    assert (answer[0], answer[1]["delivered"]) == (200, True), answer
    sample = json.loads(here.received[-1].body)
    assert (sample["type"], sample["data"]["facts"]["invoiceId"]) == ("test", "witnd-test")
    refused = here.daemon.request("PATCH", rule_path, {"agent": "support"}, token)
    assert refused[0] == 400, refused
    [detail] = refused[1]["error"]["details"]
    assert detail["path"] == "agent"
    assert detail["message"].endswith("leave it out")
