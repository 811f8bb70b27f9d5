"""Billing events of invoices, their messages, and the rules that receive them."""

import json
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from tests.support.invoices import TERMS, draft
from witnd.domain.invoice_events import events_of, invoice_event
from witnd.domain.invoices.invoice import Invoice
from witnd.domain.invoices.operations import Change, Unchanged
from witnd.domain.invoices.payment import Received, mark_overdue, pay, payment_id, reverse
from witnd.domain.webhooks.billing_event import (
    WrittenEvent,
    blocked_event,
    event_delivery,
    event_delivery_id,
    event_message,
    receivers,
    suspended_event,
)
from witnd.domain.webhooks.notification import NotificationRule, mistakes
from witnd.domain.webhooks.sample import sample_delivery
from witnd.domain.webhooks.sources import EVENT_SOURCES

NOW = 1_767_225_600_123


def rule(source: str, name: str = "finance", **changes: Any) -> NotificationRule:
    secret = "whsec_" + "A" * 32
    content = {"source": source, "agent": None, "url": "https://example.com", "secret": secret, "enabled": True}
    return NotificationRule.from_content(name, content | changes)


def issued(**changes: Any) -> Invoice:
    given = {
        "status": "issued", "number": "INV-000001", "total": Decimal(5), "due_date": "2026-01-31",
        "issue_data": TERMS.data,
    }  # fmt: skip
    return replace(draft(), **(given | changes))


def written(event: Any, count: int = 1) -> WrittenEvent:
    return WrittenEvent(
        at=NOW,
        type=event.type,
        subject=event.subject,
        count=event.count or count,
        facts=event.facts,
        details=event.details,
    )


def test_a_message_has_facts_and_sums_and_with_an_address_a_link() -> None:
    event = written(invoice_event("invoice_issued", issued()))
    delivery = event_delivery(rule("invoice_issued"), event, event_message(event, "https://billing.example.com/"))
    body = json.loads(delivery.body)
    assert body["id"] == delivery.id == event_delivery_id(rule("invoice_issued").id, event.type, event.subject, 1)
    assert (body["type"], body["createdAt"]) == ("invoice_issued", "2026-01-01T00:00:00.123Z")
    assert body["data"]["facts"] == {"customerKey": "acme", "invoiceId": event.subject, "invoiceNumber": "INV-000001"}
    assert body["data"]["invoice"]["total"] == "5.00"
    assert body["data"]["url"] == f"https://billing.example.com/dashboard/invoices/{event.subject}"
    assert "lines" not in body["data"]["invoice"]
    assert "url" not in json.loads(event_message(event).delivery("x", b'{"id":"","name":""}').body)["data"]


def test_the_id_is_a_digest_of_rule_type_subject_and_count() -> None:
    ids = {
        event_delivery_id(rule_, type_, subject, count)
        for rule_ in ("a", "b")
        for type_ in ("invoice_paid", "invoice_issued")
        for subject in ("i", "j")
        for count in (1, 2)
    }
    assert len(ids) == 16


@pytest.mark.parametrize("source", EVENT_SOURCES)
def test_a_rule_receives_its_own_event_and_no_outcome(source: str) -> None:
    wanting = rule(source)
    assert [one for one in EVENT_SOURCES if wanting.wants_event(one)] == [source]
    assert not any(wanting.wants("support", one) for one in ("outcome_succeed", "outcome_failed"))
    assert not rule(source, enabled=False).wants_event(source)
    body = json.loads(sample_delivery(wanting, "mark", NOW).body)
    assert (body["type"], body["id"], body["data"]["subjectKey"]) == ("test", "test_mark", "witnd-test")


def test_both_means_the_two_results_of_outcomes() -> None:
    assert [one for one in EVENT_SOURCES if rule("both").wants_event(one)] == []


@pytest.mark.parametrize("source", EVENT_SOURCES)
def test_an_agent_is_refused(source: str) -> None:
    raw = {"name": "n", "source": source, "url": "https://example.com", "secret": "whsec_" + "A" * 32}
    assert mistakes(raw, "notification_rules[0]") == []
    [one] = mistakes(raw | {"agent": "support"}, "notification_rules[0]")
    assert one.path == "notification_rules[0].agent"
    assert str(one).endswith("leave it out")


def test_a_rule_gets_no_event_about_its_own_suspension() -> None:
    one, other = rule("endpoint_suspended", "one"), rule("endpoint_suspended", "other")
    event = written(suspended_event(one.id, one.name, "it failed", NOW))
    assert receivers([one, other], event) == [other]
    assert receivers([one, other], written(blocked_event(3, "why", "how"))) == []


def test_each_time_an_invoice_becomes_paid_is_another_event() -> None:
    first = pay(issued(), Received(amount=Decimal(5)), Decimal(0), today="2026-01-02", at=NOW)
    assert isinstance(first, Change)
    [event] = events_of(first)
    assert (event.type, event.count) == ("invoice_paid", 1)
    assert first.payment is not None
    again = pay(first.after, Received(amount=Decimal(1)), Decimal(0), today="2026-01-02", at=NOW)
    assert isinstance(again, Change)
    assert events_of(again) == []  # it was paid already
    [entry] = [first.payment]
    undone = reverse(first.after, (entry,), payment_id(first.after.id, 0), Decimal(0), today="2026-01-03", at=NOW)
    assert isinstance(undone, Change)
    assert events_of(undone) == []
    second = pay(undone.after, None, Decimal(0), today="2026-01-04", at=NOW)
    assert isinstance(second, Change)
    assert [one.count for one in events_of(second)] == [2]


@pytest.mark.parametrize(
    ("on", "changes", "marked"),
    [
        ("2026-01-31", {}, False),
        ("2026-02-01", {}, True),
        ("2026-02-01", {"overdue_at": NOW}, False),
        ("2026-02-01", {"status": "paid"}, False),
        ("2026-02-01", {"status": "void"}, False),
        ("2026-02-01", {"payments_applied": Decimal(5)}, False),
        ("2026-02-01", {"payments_applied": Decimal(4)}, True),
    ],
)
def test_an_invoice_is_overdue_the_day_after_its_due_date(on: str, changes: dict[str, Any], marked: bool) -> None:
    decided = mark_overdue(issued(**changes), on, NOW)
    assert isinstance(decided, Change) == marked
    if isinstance(decided, Change):
        assert [one.type for one in events_of(decided)] == ["invoice_overdue"]
        assert isinstance(mark_overdue(decided.after, on, NOW), Unchanged)
        assert not decided.after.is_awaited
