"""The JSON form of deliveries."""

import msgspec
from msgspec import Struct

from witnd.domain.values import instant
from witnd.domain.webhooks.delivery import AttemptRecord, EndpointState, Progress, Standing
from witnd.domain.webhooks.message import Delivery

NO_ANSWER = "no response recorded: in progress, or interrupted"


class RuleJson(Struct, frozen=True):
    """The rule with its name at the time of the delivery."""

    id: str
    name: str


class DeliveryJson(Struct, frozen=True, kw_only=True):
    """One message to one endpoint. `status` (HTTP) and `reason` are those of the last attempt.

    `attempts`: the number of started attempts. `next_at`: when the next attempt is due, or null. `subject_key`: what it
    reports on: an outcome key, the id of an invoice, credit note or rule, or what is blocked. `outcome_key` and
    `partition` are null if that is no outcome. `rule`, `subject_key` and `type` are null if the message is missing.
    """

    id: str
    partition: int | None
    rule: RuleJson | None
    subject_key: str | None
    outcome_key: str | None
    type: str | None
    created_at: str
    standing: Standing
    attempts: int
    next_at: str | None
    status: int | None
    reason: str | None


class AttemptJson(Struct, frozen=True, kw_only=True):
    """One attempt. `manual`: it was a resend. `detail`: the start of the response."""

    at: str
    manual: bool
    status: int | None
    reason: str | None
    duration_ms: int | None
    detail: str | None


class DeliveryDetailJson(DeliveryJson, frozen=True, kw_only=True):
    """One delivery with its body, which is the same in every attempt, and its last attempts, oldest first.

    `suspended`: why the rule's endpoint is suspended, or null.
    """

    suspended: str | None
    body: msgspec.Raw
    history: list[AttemptJson]


def delivery_json(
    partition: int | None, id_: str, created_ms: int, delivery: Delivery | None, progress: Progress
) -> DeliveryJson:
    """Return the JSON form of a delivery. `delivery` is None if its message is missing."""
    last = progress.attempts[-1] if progress.attempts else None
    due_ms = progress.queued_ms
    return DeliveryJson(
        id=id_,
        partition=partition,
        rule=None if delivery is None else RuleJson(delivery.rule_id, delivery.rule_name),
        subject_key=None if delivery is None else delivery.outcome_key,
        outcome_key=None if delivery is None or partition is None else delivery.outcome_key,
        type=None if delivery is None else delivery.type,
        created_at=instant.render(created_ms),
        standing=progress.standing,
        attempts=progress.started,
        next_at=None if due_ms is None else instant.render(due_ms),
        status=None if last is None else last.status,
        reason=progress.reason or (None if last is None else _reason(last)),
    )


def delivery_detail_json(
    partition: int | None,
    id_: str,
    created_ms: int,
    delivery: Delivery | None,
    progress: Progress,
    endpoint: EndpointState,
) -> DeliveryDetailJson:
    head = delivery_json(partition, id_, created_ms, delivery, progress)
    return DeliveryDetailJson(
        **{name: getattr(head, name) for name in DeliveryJson.__struct_fields__},
        suspended=endpoint.reason if endpoint.suspended else None,
        body=msgspec.Raw(b"null" if delivery is None else delivery.body),
        history=[
            AttemptJson(
                at=instant.render(one.at),
                manual=one.manual,
                status=one.status,
                reason=_reason(one),
                duration_ms=one.duration_ms,
                detail=one.detail,
            )
            for one in progress.attempts
        ],
    )


def _reason(attempt: AttemptRecord) -> str | None:
    return NO_ANSWER if attempt.duration_ms is None and not attempt.reason else attempt.reason
