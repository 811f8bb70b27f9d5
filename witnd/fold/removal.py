"""The removal of held events by an operator: rejects them and frees their idempotency keys."""

from collections.abc import Sequence

from witnd.domain.outcomes.event import EntryId
from witnd.fold.actor import Held
from witnd.fold.step import Fate, Step


def remove(step: Step, held: Held, entries: Sequence[EntryId], counters: dict[str, int]) -> None:
    """Reject the held events among these entries. Others keep their fate."""
    step.removals.extend(entries)
    removed_entries = held.remove(frozenset(entries))
    for entry in removed_entries:
        counters["held"] -= 1
        counters["rejected"] += 1
        step.unfated.append(entry)
        step.fates.append(Fate(entry, "rejected", "REMOVED", held.key))
    if removed_entries:
        step.rewritten.append(held)
