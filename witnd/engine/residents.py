"""The keys in memory: a bounded number of actors, the rest passivated in Redis.

Knows which of them may be forgotten and what has to be written first. What happens to them is the fold's business.
"""

from collections.abc import Container, Iterable

from witnd.engine.actor import Actor, Held
from witnd.engine.deadlines import Deadlines


class Residents:
    """`known` by key, with their deadlines. `behind` have a stored bound that must be brought up to the deadline."""

    __slots__ = ("_compact_beyond", "behind", "deadlines", "known")

    def __init__(self) -> None:
        self.known: dict[str, Actor | Held] = {}
        self.deadlines = Deadlines(self.known.get)
        self.behind: list[Actor] = []
        self._compact_beyond = 0

    def install(self, loaded: Iterable[Actor | Held], batch: int) -> None:
        """Take what was loaded. A key that came into memory meanwhile has the newer state and stays."""
        for one in loaded:
            there = self.known.setdefault(one.key, one)
            there.touched = max(there.touched, batch)
            if there is one and isinstance(one, Actor) and not one.final:
                self.deadlines.arm(one)
                self._mirror_again(one)

    def _mirror_again(self, actor: Actor) -> bool:
        """Whether the stored bound of an actor must be written before it can be forgotten: it lies behind the horizon
        and would not be read again, while the deadline lies beyond and has no entry that is kept."""
        reach = max(self.deadlines.horizon, self.deadlines.horizon_asked)
        if not actor.mirrored <= reach < actor.settles_at:
            return False
        if not actor.behind:
            actor.behind = True
            self.behind.append(actor)
        return True

    def passivate(self, most: int, committed: int, wanted: Container[str]) -> None:
        """Forget the longest unused keys beyond `most` (down to nine tenths of it). Only keys whose last batch is
        committed can go, since Redis has their state; `wanted` are just being loaded."""
        known = self.known
        if len(known) <= most:
            return
        excess = len(known) - most * 9 // 10
        # Oldest first in the order they came into memory; what was used in about the last half turn-over stays.
        gone: list[str] = []
        for newest in (committed - most // 2000, committed):
            for key, one in known.items():
                if len(gone) == excess:
                    break
                if one.touched > newest or key in wanted:
                    continue
                if isinstance(one, Actor) and not one.final and self._mirror_again(one):
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
