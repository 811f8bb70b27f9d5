"""A delivery as text for people. `--json` prints what the API returns."""

from witnd.domain.webhooks.delivery_json import AttemptJson, DeliveryDetailJson, DeliveryJson

COLUMNS = ("standing", "created", "rule", "subject", "type", "attempts", "next", "last", "id")
ATTEMPT_COLUMNS = ("at", "by", "status", "ms", "reason", "answer")


def cells(one: DeliveryJson) -> tuple[object, ...]:
    return (
        one.standing,
        one.created_at,
        "–" if one.rule is None else one.rule.name,
        one.subject_key or "–",
        one.type or "–",
        one.attempts,
        one.next_at or "–",
        one.reason or one.status or "–",
        one.id,
    )


def lines(one: DeliveryDetailJson) -> list[str]:
    """Everything but the attempts, a line each."""
    facts = {
        "id": one.id,
        "partition": one.partition,
        "rule": None if one.rule is None else f"{one.rule.name} ({one.rule.id})",
        "subject": one.subject_key,
        "type": one.type,
        "created": one.created_at,
        "standing": one.standing,
        "attempts": one.attempts,
        "next": one.next_at,
        "reason": one.reason,
        "endpoint": None if one.suspended is None else f"suspended: {one.suspended}",
        "body": bytes(one.body).decode(),
    }
    return [f"{name:<10} {fact}" for name, fact in facts.items() if fact is not None]


def attempt_cells(one: AttemptJson) -> tuple[object, ...]:
    return (
        one.at,
        "hand" if one.manual else "schedule",
        one.status or "–",
        "–" if one.duration_ms is None else one.duration_ms,
        one.reason or "–",
        one.detail or "–",
    )
