"""The deadlines of outcomes: a heap of lower bounds that are moved lazily.

A new deadline only changes a number of the actor. Its heap entry is checked when its instant comes: then it moves to
the actor's deadline, or the outcome is due. An *earlier* deadline adds a second entry; the actor's `slot` shows which
one is valid. Entries of keys that are not in memory come from the index in Redis. They are complete up to `horizon`;
beyond it, only actors in memory have entries.
"""

import heapq
from collections.abc import Mapping

from witnd.fold.actor import Actor, OnHold


class Deadlines:
    """Entries are (instant in ms, outcome key). Text compares by code point, which is the bytewise order of UTF-8."""

    def __init__(self, known: Mapping[str, object]) -> None:
        # Public for the fold's hot loop, which compares its first instant with every entry of the log.
        self.heap: list[tuple[int, str]] = []
        self._known = known
        self.horizon = -1
        self.horizon_asked = -1  # a load up to this instant is in progress

    def __len__(self) -> int:
        return len(self.heap)

    def arm(self, actor: Actor) -> None:
        """Ensure an entry at or before the actor's deadline."""
        if actor.slot is None or actor.settles_at < actor.slot:
            actor.slot = actor.settles_at
            heapq.heappush(self.heap, (actor.slot, actor.key))

    def add_stored(self, settles_at: int, key: str) -> None:
        """Add an entry from Redis. An actor in memory already has one."""
        if not isinstance(self._known.get(key), Actor):
            heapq.heappush(self.heap, (settles_at, key))

    def peek(self) -> tuple[int, str] | None:
        """Return the earliest (instant, key). The outcome is due then, or must be loaded to know."""
        heap = self.heap
        while heap:
            slot, key = heap[0]
            actor = self._known.get(key)
            if isinstance(actor, OnHold):
                heapq.heappop(heap)  # a key on hold never settles
                continue
            if not isinstance(actor, Actor):
                return heap[0]
            if actor.slot != slot or actor.is_final:
                heapq.heappop(heap)
            elif actor.settles_at > slot:
                actor.slot = actor.settles_at
                heapq.heapreplace(heap, (actor.settles_at, key))
            else:
                return heap[0]
        return None

    def pop(self) -> None:
        """Remove the entry that `peek` returned."""
        heapq.heappop(self.heap)

    def unloaded(self, until: int, most: int) -> list[str]:
        """Return up to `most` keys that are not in memory and may be due by `until`, earliest first."""
        found: list[tuple[int, str]] = []
        keys: list[str] = []
        while len(keys) < most:
            first = self.peek()
            if first is None or first[0] > until:
                break
            found.append(heapq.heappop(self.heap))
            if not isinstance(self._known.get(first[1]), Actor):
                keys.append(first[1])
        for entry in found:
            heapq.heappush(self.heap, entry)
        return keys

    def compact(self) -> None:
        """Remove invalid entries. Keep those of keys out of memory up to the horizon, also one whose load is in
        progress: its answer may lack a change that was committed meanwhile."""
        reach, known = max(self.horizon, self.horizon_asked), self._known
        # Most entries are beyond the horizon and invalid, so those of actors are created again instead of looked up.
        kept = [entry for entry in self.heap if entry[0] <= reach and not isinstance(known.get(entry[1]), Actor)]
        for key, actor in known.items():
            if isinstance(actor, Actor) and actor.slot is not None and not actor.is_final:
                kept.append((actor.slot, key))
        heapq.heapify(kept)
        self.heap[:] = kept
