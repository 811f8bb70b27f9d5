"""A cache of keys: a bounded number of actors, and all keys on hold. The others are only in Redis.

The cache decides which keys may be evicted, and what must be written first.
"""

from collections.abc import Iterable
from itertools import islice

from witnd.fold.actor import Actor, Cached, OnHold
from witnd.fold.deadlines import Deadlines


class ActorCache:
    """The cached keys (`known`) and their deadlines. `stale` are actors whose stored deadline must be rewritten;
    `new_holds` are holds that no commit has written yet."""

    __slots__ = ("_compact_beyond", "deadlines", "known", "new_holds", "on_hold", "stale")

    def __init__(self) -> None:
        self.known: dict[str, Cached] = {}
        self.deadlines = Deadlines(self.known)
        self.stale: list[Actor] = []
        self.new_holds: list[OnHold] = []
        self.on_hold: dict[str, OnHold] = {}  # all holds, for display
        self._compact_beyond = 0

    def install(self, loaded: Iterable[Cached], batch: int) -> None:
        """Add loaded keys. A key that was added meanwhile has the newer state and stays."""
        known, reach = self.known, self._reach()
        for new in loaded:
            cached = known.setdefault(new.key, new)
            if cached.touched < batch:  # noqa: PLR1730  (`max` costs five times as much)
                cached.touched = batch
            if cached is new and type(new) is Actor and new.processed_at is None:
                self.deadlines.arm(new)
                if new.indexed_deadline <= reach < new.settles_at:
                    self._mark_stale(new)
            elif cached is new and type(new) is OnHold:
                self.put_on_hold(new)

    def put_on_hold(self, on_hold: OnHold, *, is_stored: bool = False) -> None:
        """Replace the cached state of a key. The next commit writes a hold that is not stored yet."""
        self.known[on_hold.key] = self.on_hold[on_hold.key] = on_hold
        if not is_stored:
            self.new_holds.append(on_hold)

    def alarms(self, most: int) -> list[str]:
        """Return alarms about outcomes on hold; the first `most` with key and reason."""
        alarms = [
            f"outcome {key} is on hold: {on_hold.hold.reason}; waiting events: {on_hold.count}"
            for key, on_hold in islice(self.on_hold.items(), most)
        ]
        more = len(self.on_hold) - len(alarms)
        return [*alarms, f"{more} more outcomes are on hold"] if more else alarms

    def replace_hold(self, key: str, rebuilt: Cached) -> None:
        """End a hold with the repaired state."""
        self.known[key] = rebuilt
        self.on_hold.pop(key, None)

    def _reach(self) -> int:
        """Return the instant up to which stored deadlines were read. They are not read again: if the stored deadline of
        an actor is before it and its real deadline after it, the stored one must be rewritten before an eviction."""
        return max(self.deadlines.horizon, self.deadlines.horizon_asked)

    def _mark_stale(self, actor: Actor) -> None:
        if not actor.is_stale:
            actor.is_stale = True
            self.stale.append(actor)

    def passivate(self, most: int, committed: int, loading: Iterable[Iterable[str]]) -> None:
        """Evict the least recently used keys beyond `most`, down to nine tenths of it. A key can be evicted only if its
        last batch is committed, so that Redis has its state, and if it is not in `loading`."""
        known = self.known
        if len(known) <= most:
            return
        in_use: set[str] = set().union(*loading)
        excess, reach = len(known) - most * 9 // 10, self._reach()
        # In the order in which keys were added. The first pass spares keys of the last `most // 1000` batches, which is
        # about half a turn-over of full batches.
        evicted: list[str] = []
        for newest in (committed - most // 1000, committed):
            for key, one in known.items():
                if len(evicted) == excess:
                    break
                if one.touched > newest or key in in_use or type(one) is OnHold:
                    continue
                if type(one) is Actor and one.processed_at is None and one.indexed_deadline <= reach < one.settles_at:
                    self._mark_stale(one)
                    continue
                evicted.append(key)
            for key in evicted:
                known.pop(key, None)
            excess -= len(evicted)
            evicted.clear()
        # Entries of the next minute always stay, so compact again only when the heap has doubled.
        if len(self.deadlines) > max(2 * len(known) + 1024, self._compact_beyond):
            self.deadlines.compact()
            self._compact_beyond = 2 * len(self.deadlines)

    def take_stale(self) -> list[Actor]:
        """Return and remove the stale actors that are not in the next commit anyway."""
        stale = [actor for actor in self.stale if actor.is_stale and not actor.dirty]
        self.stale.clear()
        return stale
