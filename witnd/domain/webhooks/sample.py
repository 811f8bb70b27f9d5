"""The message of a test delivery.

Its type is `test`, its id starts with `test_`, and its subject is `witnd-test`. Receivers that only handle known types
verify its signature and ignore it.
"""

from typing import Any, Final

import msgspec
from msgspec.structs import replace

from witnd.domain.values import instant
from witnd.domain.webhooks.billing_event import (
    WrittenEvent,
    blocked_event,
    event_delivery,
    event_message,
    suspended_event,
)
from witnd.domain.webhooks.message import Delivery
from witnd.domain.webhooks.notification import NotificationRule, new_delivery
from witnd.domain.webhooks.sources import EVENT_SOURCES

TYPE: Final = "test"
SUBJECT_KEY: Final = "witnd-test"
OUTCOME_KEY: Final = SUBJECT_KEY


def sample_delivery(rule: NotificationRule, mark: str, now_ms: int) -> Delivery:
    """Return a test delivery. `mark` makes its id unique, because receivers ignore repeated ids."""
    real = _outcome_sample(rule, now_ms) if rule.source not in EVENT_SOURCES else _event_sample(rule, now_ms)
    message = msgspec.json.decode(real.body) | {"id": f"test_{mark}", "type": TYPE}
    return replace(real, id=message["id"], type=TYPE, body=msgspec.json.encode(message))


def _outcome_sample(rule: NotificationRule, now_ms: int) -> Delivery:
    return new_delivery(
        rule,
        outcome_key=OUTCOME_KEY,
        customer_key=OUTCOME_KEY,
        agent_key=rule.agent or OUTCOME_KEY,
        agent_name="Test",
        status="FAILED" if rule.source == "outcome_missed" else "CONFIRMED",
        resolved_at=now_ms,
        outcome_facts={"reversed_at": instant.render(now_ms)} if rule.source == "outcome_reversed" else {},
    )


def _event_sample(rule: NotificationRule, now_ms: int) -> Delivery:
    facts: Any = {"customerKey": SUBJECT_KEY, "invoiceId": SUBJECT_KEY, "invoiceNumber": None}
    details: Any = {}
    if rule.source == "endpoint_suspended":
        event = suspended_event(SUBJECT_KEY, SUBJECT_KEY, "test", now_ms)
        facts, details = event.facts, event.details
    elif rule.source == "settlement_blocked":
        event = blocked_event(None, "test", None)
        facts, details = event.facts, event.details
    elif rule.source == "credit_note_issued":
        facts = {**facts, "creditNoteId": SUBJECT_KEY, "creditNoteNumber": None}
    written: Any = WrittenEvent(
        at=now_ms,
        type=rule.source,  # type: ignore[arg-type]
        subject=SUBJECT_KEY,
        count=1,
        facts=facts,
        details=details,
    )
    return event_delivery(rule, written, event_message(written))
