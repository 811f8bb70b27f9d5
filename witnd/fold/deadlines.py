"""When outcomes are due: a heap of lower bounds, moved lazily.

A reset of an outcome's timer writes a number on the actor and nothing else. Its entry here is looked at when its own
instant comes: then it moves on to the actor's deadline, or the outcome is due. A deadline that gets *earlier* adds a
second entry; the actor's `slot` says which one counts. Entries of keys that are not in memory come from Redis's sorted
set, which is complete up to `horizon`; beyond it only actors in memory have entries.
"""

import heapq
from collections.abc import Mapping

from witnd.fold.actor import Actor, OnHold


class Deadlines:
    """Entries are (instant in ms, outcome key). Text compares by code point, which is the bytewise order of UTF-8."""

    def __init__(self, known: Mapping[str, object]) -> None:
        # Public to the fold's hot loop, which compares its first instant with every entry of the log.
        self.heap: list[tuple[int, str]] = []
        self._known = known
        self.horizon = -1
        self.horizon_asked = -1  # a load up to here is under way

    def __len__(self) -> int:
        return len(self.heap)

    def arm(self, actor: Actor) -> None:
        """Make sure an entry at or before the actor's deadline exists."""
        if actor.slot is None or actor.settles_at < actor.slot:
            actor.slot = actor.settles_at
            heapq.heappush(self.heap, (actor.slot, actor.key))

    def add_stored(self, settles_at: int, key: str) -> None:
        """An entry read from Redis. Actors in memory know better and have their own."""
        if not isinstance(self._known.get(key), Actor):
            heapq.heappush(self.heap, (settles_at, key))

    def peek(self) -> tuple[int, str] | None:
        """The earliest (instant, key) that is due then, or whose outcome must be loaded to tell."""
        heap = self.heap
        while heap:
            slot, key = heap[0]
            actor = self._known.get(key)
            if isinstance(actor, OnHold):
                heapq.heappop(heap)  # it never settles while it is on hold
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
        """Drop what `peek` answered."""
        heapq.heappop(self.heap)

    def unloaded(self, until: int, most: int) -> list[str]:
        """Keys that are not in memory and may be due by `until`, earliest first, at most `most` of them."""
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
        """Drop entries that no longer count. Those of keys out of memory are kept up to the horizon, also to one
        that is just being asked for: its answer may not know of a change that was committed meanwhile."""
        reach, known = max(self.horizon, self.horizon_asked), self._known
        # Most entries lie beyond and belong to nobody any more: those of actors are made anew instead of looked up.
        kept = [entry for entry in self.heap if entry[0] <= reach and not isinstance(known.get(entry[1]), Actor)]
        for key, actor in known.items():
            if isinstance(actor, Actor) and actor.slot is not None and not actor.is_final:
                kept.append((actor.slot, key))
        heapq.heapify(kept)
        self.heap[:] = kept
