"""Decides which daemon should have which partition."""

from collections.abc import Mapping


def plan(partitions: int, owned: Mapping[str, Mapping[int, int]]) -> dict[str, list[int]]:
    """Return the partitions of each daemon. `owned` has what each running daemon claims to have now: partition → epoch
    of its lease.

    The counts differ by at most one, and as few partitions move as possible: a daemon keeps what it has up to its
    share. All daemons calculate the same from the same registry. If two claim one partition, the later lease counts: a
    daemon that has hung does not know yet that it lost its own.
    """
    if not owned:
        return {}
    claims = sorted((-epoch, name, number) for name, some in owned.items() for number, epoch in some.items())
    free = set(range(partitions))
    kept: dict[str, list[int]] = {name: [] for name in sorted(owned)}
    for _, name, number in claims:
        if number in free:
            free.remove(number)
            kept[name].append(number)
    for some in kept.values():
        some.sort()
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
