"""Removal of held events by an operator: the fold rejects them and frees their idempotency keys."""

from collections.abc import Sequence

from witnd.domain.outcomes.event import EntryId
from witnd.fold.actor import Held
from witnd.fold.step import Fate, Step


def remove(step: Step, held: Held, entries: Sequence[EntryId], counters: dict[str, int]) -> None:
    """Reject those of the entries that are held. Any other keeps its fate."""
    step.removals.extend(entries)
    gone = held.remove(frozenset(entries))
    for entry in gone:
        counters["held"] -= 1
        counters["rejected"] += 1
        step.unfated.append(entry)
        step.fates.append(Fate(entry, "rejected", "REMOVED", held.key))
    if gone:
        step.rewritten.append(held)
