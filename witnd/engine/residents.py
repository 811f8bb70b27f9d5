"""The keys in memory: a bounded number of actors, the rest passivated in Redis.

Knows which of them may be forgotten and what has to be written first. What happens to them is the fold's business.
"""

from collections.abc import Iterable

from witnd.engine.actor import Actor, Held
from witnd.engine.deadlines import Deadlines


class Residents:
    """`known` by key, with their deadlines. `behind` have a stored bound that must be brought up to the deadline."""

    __slots__ = ("_compact_beyond", "behind", "deadlines", "known")

    def __init__(self) -> None:
        self.known: dict[str, Actor | Held] = {}
        self.deadlines = Deadlines(self.known)
        self.behind: list[Actor] = []
        self._compact_beyond = 0

    def install(self, loaded: Iterable[Actor | Held], batch: int) -> None:
        """Take what was loaded. A key that came into memory meanwhile has the newer state and stays."""
        known, reach = self.known, self._reach()
        for one in loaded:
            there = known.setdefault(one.key, one)
            if there.touched < batch:  # noqa: PLR1730  (`max` costs five times as much)
                there.touched = batch
            if there is one and type(one) is Actor and one.processed_at is None:
                self.deadlines.arm(one)
                if one.mirrored <= reach < one.settles_at:
                    self._mirror_again(one)

    def _reach(self) -> int:
        """Up to here stored bounds were read, and will not be read again: where the bound of an actor lies before it
        and its deadline behind, the bound must be written anew before the actor can be forgotten."""
        return max(self.deadlines.horizon, self.deadlines.horizon_asked)

    def _mirror_again(self, actor: Actor) -> None:
        if not actor.behind:
            actor.behind = True
            self.behind.append(actor)

    def passivate(self, most: int, committed: int, loading: Iterable[Iterable[str]]) -> None:
        """Forget the longest unused keys beyond `most` (down to nine tenths of it). Only keys whose last batch is
        committed can go, since Redis has their state; those of `loading` are on their way here."""
        known = self.known
        if len(known) <= most:
            return
        wanted: set[str] = set().union(*loading)
        excess, reach = len(known) - most * 9 // 10, self._reach()
        # Oldest first in the order they came into memory; what was used in about the last half turn-over stays (of full
        # batches).
        gone: list[str] = []
        for newest in (committed - most // 1000, committed):
            for key, one in known.items():
                if len(gone) == excess:
                    break
                if one.touched > newest or key in wanted:
                    continue
                if type(one) is Actor and one.processed_at is None and one.mirrored <= reach < one.settles_at:
                    self._mirror_again(one)
                    continue
                gone.append(key)
            for key in gone:
                known.pop(key, None)
            excess -= len(gone)
            gone.clear()
        # Entries of the next minute stay however many there are: only a heap that doubled is worth another look.
        if len(self.deadlines) > max(2 * len(known) + 1024, self._compact_beyond):
            self.deadlines.compact()
            self._compact_beyond = 2 * len(self.deadlines)

    def take_behind(self) -> list[Actor]:
        """Those of `behind` that no change brings into the next commit anyway."""
        taken = [actor for actor in self.behind if actor.behind and not actor.dirty]
        self.behind.clear()
        return taken
