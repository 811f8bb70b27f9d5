"""Outcomes on hold, for the API, the dashboard and commands."""

from collections.abc import Sequence
from urllib.parse import quote

from msgspec import Struct

from witnd.domain.values import instant
from witnd.fold.hold import Hold
from witnd.store.keys import Keys
from witnd.store.partition.holds import holds, undetected_hold
from witnd.store.query.reads import Reads


class OnHold(Struct, frozen=True, kw_only=True):
    """Why an outcome waits for `witnd repair outcome`, and the events that wait with it. `status` is the last
    status in the lists, null for a key without an outcome."""

    reason: str
    since: str
    status: str | None
    waiting: int


class KeyOnHold(Struct, frozen=True, kw_only=True):
    """An outcome on hold: it does not settle, and its events wait."""

    key: str
    since: str
    reason: str
    href: str


class KeysOnHold(Struct, frozen=True, kw_only=True):
    """Outcomes that wait for `witnd repair outcome`."""

    count: int
    items: list[KeyOnHold]


async def damaged(reads: Reads, keys: Keys, key: str) -> OnHold | None:
    """Return the error of a key that the daemon has not put on hold yet; None if its data is readable."""
    hold = await undetected_hold(reads, keys, key)
    return None if hold is None else await on_hold(reads, keys, key, hold)


async def on_hold(reads: Reads, keys: Keys, key: str, hold: Hold) -> OnHold:
    """Return the hold with the number of waiting events."""
    [waiting] = await reads.transaction_with_errors(("LLEN", keys.waiting(key)))
    return OnHold(
        reason=hold.reason,
        since=instant.render(hold.since),
        status=hold.status,
        waiting=waiting if isinstance(waiting, int) else 0,
    )


async def longest(reads: Reads, partitions: Sequence[Keys], most: int) -> list[KeyOnHold]:
    """Return the outcomes that have been on hold the longest."""
    found = await holds(reads, partitions)
    return [
        KeyOnHold(
            key=key, since=instant.render(hold.since), reason=hold.reason, href=f"/v1/outcomes/{quote(key, safe='')}"
        )
        for key, hold in sorted(found.items(), key=lambda one: (one[1].since, one[0]))[:most]
    ]
