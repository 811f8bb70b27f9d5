"""Billing events: what happens to invoices and to the operation of billing, and the messages that report it.

A step writes its events together with its other changes. The deliveries follow from an event and from the rules in
effect at its instant. `witnd.domain.invoice_events` makes the events of invoices.
"""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, Final
from urllib.parse import quote

import msgspec
from msgspec import Struct

from witnd.domain.values import instant
from witnd.domain.webhooks.message import Delivery, Message, rule_json
from witnd.domain.webhooks.notification import NotificationRule
from witnd.domain.webhooks.sources import BillingSource, OperatorSource

_json: Final = msgspec.json.Encoder().encode

EventType = BillingSource | OperatorSource
# The parts of a settlement that can be blocked: one partition, or the invoices.
BILLING_SUBJECT: Final = "billing"


class BillingEvent(Struct, frozen=True, kw_only=True):
    """An event before it is written. `subject`: the id of what it concerns. `count`: how often this has happened to the
    subject, with this time; None if the store counts. `details`: members of `data` beside `facts`. A number of null
    in them is the one that the step assigns."""

    type: EventType
    subject: str
    facts: Mapping[str, Any]
    details: Mapping[str, Mapping[str, Any]]
    count: int | None = 1


class WrittenEvent(Struct, frozen=True, kw_only=True):
    """A stored event. `at`: its instant (ms)."""

    at: int
    type: EventType
    subject: str
    count: int
    facts: Mapping[str, Any]
    details: Mapping[str, Mapping[str, Any]]


class _Head(Struct, frozen=True, rename="camel"):
    type: str
    created_at: str


def event_delivery_id(rule: str, type: str, subject: str, count: int) -> str:  # noqa: A002 - the name in the message
    """Return the id of a delivery, a digest of 64 hex characters."""
    return sha256("\0".join(("billing_event", rule, type, subject, str(count))).encode()).hexdigest()


def receivers(rules: Iterable[NotificationRule], event: WrittenEvent) -> list[NotificationRule]:
    """Return the rules that an event is sent to. A rule gets no event about its own suspension."""
    return [rule for rule in rules if rule.wants_event(event.type) and rule.id != event.subject]


def event_message(event: WrittenEvent, public_url: str | None = None) -> Message:
    """Return the shared part of the deliveries of an event. `public_url`: the start of its link, or no link."""
    head = b'",%b,"data":{"rule":' % _json(_Head(event.type, instant.render(event.at)))[1:-1]
    rest: dict[str, Any] = {"subjectKey": event.subject, "facts": event.facts, **event.details}
    if public_url is not None:
        rest["url"] = public_url.rstrip("/") + page_path(event)
    return Message(event.subject, event.type, event.at, head, b",%b}}" % _json(rest)[1:-1])


def event_delivery(rule: NotificationRule, event: WrittenEvent, message: Message) -> Delivery:
    """Return the delivery of an event to one rule. `message`: its `event_message`."""
    return message.delivery(
        event_delivery_id(rule.id, event.type, event.subject, event.count), rule_json(rule.id, rule.name)
    )


def page_path(event: WrittenEvent) -> str:
    """Return the path of the dashboard's page about the subject of an event."""
    if event.type == "endpoint_suspended":
        return f"/dashboard/notifications/{quote(str(event.facts['ruleName']), safe='')}"
    if event.type == "settlement_blocked":
        return "/dashboard/problems"
    if event.type == "credit_note_issued":
        return f"/dashboard/credit-notes/{event.subject}"
    return f"/dashboard/invoices/{event.subject}"


def suspended_event(rule_id: str, rule_name: str, reason: str | None, at: int) -> BillingEvent:
    """Return the event of the suspension of a rule's endpoint at an instant (ms)."""
    return BillingEvent(
        type="endpoint_suspended",
        subject=rule_id,
        facts={"ruleId": rule_id, "ruleName": rule_name},
        details={"endpoint": {"reason": reason, "suspended_at": instant.render(at)}},
        count=None,
    )


def blocked_event(partition: int | None, reason: str, remedy: str | None) -> BillingEvent:
    """Return the event that a partition settles nothing, or without one that no invoices are made."""
    return BillingEvent(
        type="settlement_blocked",
        subject=blocked_subject(partition),
        facts={"partition": partition},
        details={"settlement": {"reason": reason, "remedy": remedy}},
        count=None,
    )


def blocked_subject(partition: int | None) -> str:
    return BILLING_SUBJECT if partition is None else f"partition {partition}"
