"""Creates the objects in memory from stored records."""

from collections.abc import Iterable, Sequence
from sys import intern

from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.outcomes.event import EntryId, Event
from witnd.fold.actor import Actor, Held, Marks, Waiting
from witnd.fold.history import mark_of
from witnd.store.records.codec import OutcomeRecord, decode_outcome, frozen_terms
from witnd.store.records.held_codec import decode_held
from witnd.store.records.hold import Repair
from witnd.store.records.sealed import unseal_items


def hydrate(
    key: str,
    stored: OutcomeRecord | None,
    history: Sequence[bytes],
    held: Iterable[tuple[EntryId, Event]],
    catalogue: Catalogue,
) -> Actor | Held:
    """Return the actor of a key, or its held events. An unused key is a `Held` without events."""
    if stored is None:
        waiting = Held(key)
        for item in held:
            waiting.wait(Waiting(*item))
        waiting.stored = len(waiting.waiting)
        return waiting
    contract, prices = frozen_terms(key, stored, catalogue)
    # Set every slot once, without the constructor's defaults: with many outcomes, most events run this.
    actor = Actor.__new__(Actor)
    actor.key = key
    actor.customer_key = intern(stored.customer_key)
    actor.contract = contract
    actor.price = prices[stored.grade or 0]
    actor.graded = None if contract.grades is None else prices
    actor.grade = stored.grade
    actor.opened_at = stored.opened_at
    actor.settles_at = stored.settles_at
    actor.processed_at = stored.processed_at
    actor.status = actor.indexed = stored.status
    actor.holds = stored.holds
    actor.events = stored.events
    actor.counts = stored.counts
    actor.values = stored.values
    actor.orders = stored.orders
    actor.tally = stored.tally
    actor.is_repaired = stored.is_repaired
    actor.marks = Marks(b"".join(map(mark_of, history))) if history else None
    actor.reversal = stored.reversal
    actor.reversed_by = actor.reversed_at = None
    if stored.reversal:
        actor.reversed_by, actor.reversed_at = stored.reversed_by, stored.reversed_at
        actor.add_marks(mark_of(stored.reversal))
    actor.slot = None
    actor.tail = stored.tail
    actor.tailed = stored.tailed
    actor.touched = 0
    actor.dirty = actor.is_stale = False
    actor.indexed_deadline = stored.indexed_deadline
    return actor


def hydrate_repair(key: str, repair: Repair, catalogue: Catalogue) -> Actor | Held:
    """Return the repaired state of a key. Raises `Unreadable`."""
    record = None if repair.record is None else decode_outcome(key, repair.record)
    held = [decode_held(key, item) for item in repair.held]
    rebuilt = hydrate(key, record, unseal_items(key, repair.history), held, catalogue)
    if isinstance(rebuilt, Actor):
        rebuilt.indexed_deadline = 0  # the index of deadlines does not have it
    else:
        rebuilt.stored = 0  # no stored list has its events
    return rebuilt
