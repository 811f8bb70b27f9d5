"""Refuse fees and commitments that are charged by days if periods are hours."""

from collections.abc import Mapping, Sequence
from typing import Any

from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.catalogue.file import Item
from witnd.domain.pricing.recurring import COMMITMENT, FEES
from witnd.domain.values.fields import field_path
from witnd.domain.values.mistake import Mistake
from witnd.domain.values.period import HOUR

_REMEDY = "remove it, or set billing.period to day, week or month"


def prorate_mistakes(items: Sequence[Item], period: str) -> list[Mistake]:
    """Return the mistakes of a change. `period`: the kind of the deployment's periods."""
    if period != HOUR:
        return []
    problem = f"is refused with billing.period = {HOUR!r}, because an hour has no days; {_REMEDY}"
    return [
        Mistake(field_path(item.path, path), problem)
        for item in items
        if not item.archived
        for path in _paths(item.content)
    ]


def terms_by_days(catalogue: Catalogue, at: int) -> list[str]:
    """Return the fees and commitments in effect at an instant (ms), or later, that are charged by days."""
    found = []
    for kind in ("rate_card", "customer"):
        for key in catalogue.keys(kind):
            current = catalogue.entry(kind, key, at)
            later = [one for one in catalogue.versions(kind, key) if one.effective_from > at]
            for entry in later if current is None else [current, *later]:
                if not entry.archived:
                    found += [f"{path} of {kind.replace('_', ' ')} {key}" for path in _paths(entry.content)]
    return found


def _paths(content: Mapping[str, Any]) -> list[str]:
    found = [f"{FEES}[{fee['key']}].prorate" for fee in content.get(FEES, ()) if fee.get("prorate")]
    return [*found, f"{COMMITMENT}.prorate"] if content.get(COMMITMENT, {}).get("prorate") else found
