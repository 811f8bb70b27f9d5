"""A delivery as commands show it, to people and to machines."""

import msgspec
from msgspec import Struct
from msgspec.structs import asdict

from witnd.domain import instant
from witnd.domain.delivery import EndpointState, Try
from witnd.store.deliveries import Found

NO_ANSWER = "no answer on record: under way, or interrupted"


class Rule(Struct, frozen=True):
    id: str
    name: str


class Listed(Struct, frozen=True, kw_only=True):
    """One delivery of a list. `status` and `reason` are the latest there are."""

    id: str
    partition: int
    rule: Rule | None
    outcome_key: str | None
    type: str | None
    created_at: str
    state: str
    attempts: int
    next_at: str | None
    status: int | None
    reason: str | None


class Attempted(Struct, frozen=True, kw_only=True):
    at: str
    manual: bool
    status: int | None
    reason: str | None
    duration_ms: int | None
    detail: str | None


class Shown(Listed, frozen=True, kw_only=True):
    """One delivery in full; `history` has its last attempts, the oldest first."""

    suspended: str | None
    body: msgspec.Raw
    history: list[Attempted]


COLUMNS = ("state", "created", "rule", "outcome", "type", "attempts", "next", "last", "id")
ATTEMPT_COLUMNS = ("at", "by", "status", "ms", "reason", "answer")


def listed(found: Found) -> Listed:
    row, progress = found.row, found.row.progress
    delivery, last = row.delivery, progress.attempts[-1] if progress.attempts else None
    due_ms = progress.queued_ms
    return Listed(
        id=row.id,
        partition=found.partition,
        rule=None if delivery is None else Rule(delivery.rule_id, delivery.rule_name),
        outcome_key=None if delivery is None else delivery.outcome_key,
        type=None if delivery is None else delivery.type,
        created_at=instant.render(row.created_ms),
        state=progress.standing,
        attempts=progress.started,
        next_at=None if due_ms is None else instant.render(due_ms),
        status=None if last is None else last.status,
        reason=progress.reason or (None if last is None else _reason(last)),
    )


def shown(found: Found, endpoint: EndpointState) -> Shown:
    delivery = found.row.delivery
    return Shown(
        **asdict(listed(found)),
        suspended=endpoint.reason if endpoint.suspended else None,
        body=msgspec.Raw(b"null" if delivery is None else delivery.body),
        history=[
            Attempted(
                at=instant.render(one.at),
                manual=one.manual,
                status=one.status,
                reason=_reason(one),
                duration_ms=one.duration_ms,
                detail=one.detail,
            )
            for one in found.row.progress.attempts
        ],
    )


def cells(one: Listed) -> tuple[object, ...]:
    return (
        one.state,
        one.created_at,
        "–" if one.rule is None else one.rule.name,
        one.outcome_key or "–",
        one.type or "–",
        one.attempts,
        one.next_at or "–",
        one.reason or one.status or "–",
        one.id,
    )


def lines(one: Shown) -> list[str]:
    """Everything but the attempts, a line each."""
    facts = {
        "id": one.id,
        "partition": one.partition,
        "rule": None if one.rule is None else f"{one.rule.name} ({one.rule.id})",
        "outcome": one.outcome_key,
        "type": one.type,
        "created": one.created_at,
        "state": one.state,
        "attempts": one.attempts,
        "next": one.next_at,
        "reason": one.reason,
        "endpoint": None if one.suspended is None else f"suspended: {one.suspended}",
        "body": bytes(one.body).decode(),
    }
    return [f"{name:<10} {fact}" for name, fact in facts.items() if fact is not None]


def attempt_cells(one: Attempted) -> tuple[object, ...]:
    return (
        one.at,
        "hand" if one.manual else "schedule",
        one.status or "–",
        "–" if one.duration_ms is None else one.duration_ms,
        one.reason or "–",
        one.detail or "–",
    )


def _reason(attempt: Try) -> str | None:
    return NO_ANSWER if attempt.duration_ms is None and not attempt.reason else attempt.reason
