"""Decides which daemon should have which partition."""

from collections.abc import Collection, Mapping


def plan(partitions: int, owned: Mapping[str, Collection[int]]) -> dict[str, list[int]]:
    """Return the partitions of each daemon. `owned` has the partitions that each running daemon has now.

    The counts differ by at most one, and as few partitions move as possible: a daemon keeps what it has up to its
    share. All daemons calculate the same from the same registry. If two claim one partition, the first name keeps it;
    the lease decides meanwhile.
    """
    if not owned:
        return {}
    kept: dict[str, list[int]] = {}
    free = set(range(partitions))
    for name in sorted(owned):
        kept[name] = sorted(free.intersection(owned[name]))
        free.difference_update(kept[name])
    # The larger shares go to those that have most, because then fewer partitions move.
    ranked = sorted(kept, key=lambda name: (-len(kept[name]), name))
    least, larger = divmod(partitions, len(ranked))
    shares = {name: least + (place < larger) for place, name in enumerate(ranked)}
    for name, share in shares.items():
        free.update(kept[name][share:])
        del kept[name][share:]
    rest = sorted(free, reverse=True)
    for name in ranked:
        while len(kept[name]) < shares[name]:
            kept[name].append(rest.pop())
        kept[name].sort()
    return kept
