"""An index of what held keys wait for, so that a catalogue change checks only the keys that it can place."""

from collections.abc import Iterable

from witnd.domain.catalogue.routing import Need

# Entries of the index, of some 150 bytes each. Beyond, it is given up, and the next change looks at every held key.
ENTRIES_MAX = 500_000


class HeldIndex:
    """Keys by what they wait for. It may name keys that do not wait any more. While `is_complete`, every key that waits
    is in it, or was taken by somebody who looks at it."""

    def __init__(self, most: int = ENTRIES_MAX) -> None:
        self.is_complete = False
        self.is_lost = False  # there were too many entries
        self._most = most
        self._keys: dict[Need, dict[str, None]] = {}  # sets in the order in which the keys came
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def begin(self) -> None:
        """Remove everything."""
        self._keys.clear()
        self._count = 0
        self.is_complete = self.is_lost = False

    def add(self, key: str, needs: Iterable[Need]) -> None:
        if self.is_lost:
            return
        for need in needs:
            keys = self._keys.setdefault(need, {})
            if key not in keys:
                keys[key] = None
                self._count += 1
        if self._count > self._most:
            self.begin()
            self.is_lost = True

    def take(self, needs: Iterable[Need]) -> list[str]:
        """The keys that wait for any of these, each once, in the order in which they were added. They are no longer in
        the index under it any more."""
        taken: dict[str, None] = {}
        for need in sorted(needs):
            keys = self._keys.pop(need, None)
            if keys is not None:
                self._count -= len(keys)
                taken |= keys
        return list(taken)
