"""Deliveries as programs read them over HTTP. How they are stored and found is left to others."""

import msgspec
from msgspec import Struct

from witnd.domain.values import instant
from witnd.domain.webhooks.delivery import AttemptRecord, EndpointState, Progress, Standing
from witnd.domain.webhooks.message import Delivery

NO_ANSWER = "no answer on record: under way, or interrupted"


class RuleJson(Struct, frozen=True):
    """The rule as it was called when the delivery was made."""

    id: str
    name: str


class DeliveryJson(Struct, frozen=True, kw_only=True):
    """One message to one endpoint. `status` (of HTTP) and `reason` are the latest there are.

    `attempts`: how many were begun. `next_at`: when it is sent next, null where nothing is to be sent. `rule`,
    `outcome_key` and `type` are null where the message itself is gone.
    """

    id: str
    partition: int
    rule: RuleJson | None
    outcome_key: str | None
    type: str | None
    created_at: str
    standing: Standing
    attempts: int
    next_at: str | None
    status: int | None
    reason: str | None


class AttemptJson(Struct, frozen=True, kw_only=True):
    """One try to send it. `manual`: somebody asked for it. `detail`: the beginning of what was answered."""

    at: str
    manual: bool
    status: int | None
    reason: str | None
    duration_ms: int | None
    detail: str | None


class DeliveryDetailJson(DeliveryJson, frozen=True, kw_only=True):
    """One delivery with the body that is sent, the same in every attempt, and its last attempts, the oldest first.

    `suspended`: why the rule's endpoint is, or null.
    """

    suspended: str | None
    body: msgspec.Raw
    history: list[AttemptJson]


def delivery_json(
    partition: int, id_: str, created_ms: int, delivery: Delivery | None, progress: Progress
) -> DeliveryJson:
    """`delivery` None: its message is gone."""
    last = progress.attempts[-1] if progress.attempts else None
    due_ms = progress.queued_ms
    return DeliveryJson(
        id=id_,
        partition=partition,
        rule=None if delivery is None else RuleJson(delivery.rule_id, delivery.rule_name),
        outcome_key=None if delivery is None else delivery.outcome_key,
        type=None if delivery is None else delivery.type,
        created_at=instant.render(created_ms),
        standing=progress.standing,
        attempts=progress.started,
        next_at=None if due_ms is None else instant.render(due_ms),
        status=None if last is None else last.status,
        reason=progress.reason or (None if last is None else _reason(last)),
    )


def delivery_detail_json(
    partition: int, id_: str, created_ms: int, delivery: Delivery | None, progress: Progress, endpoint: EndpointState
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
