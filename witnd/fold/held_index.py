"""An index of held keys by what they wait for. A catalogue change checks only the keys that it can place."""

from collections.abc import Iterable

from witnd.domain.catalogue.routing import Need

# Entries of the index, of some 150 bytes each. With more, it is dropped, and the next change checks all held keys.
ENTRIES_MAX = 500_000


class HeldIndex:
    """Keys by what they wait for. It may contain keys that no longer wait. While `is_complete`, every waiting key is in
    it, or is being checked."""

    def __init__(self, most: int = ENTRIES_MAX) -> None:
        self.is_complete = False
        self.is_lost = False  # it had too many entries
        self._most = most
        self._keys: dict[Need, dict[str, None]] = {}  # ordered sets of keys
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def clear(self) -> None:
        """Remove all entries."""
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
            self.clear()
            self.is_lost = True

    def take(self, needs: Iterable[Need]) -> list[str]:
        """Remove and return the keys that wait for any of these needs, each once, in the order in which they were
        added."""
        found: dict[str, None] = {}
        for need in sorted(needs):
            keys = self._keys.pop(need, None)
            if keys is not None:
                self._count -= len(keys)
                found |= keys
        return list(found)
