"""Asking again for everything that is held and can be placed now, some hundreds of keys at a time."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from witnd.domain.catalogue import Catalogue
from witnd.domain.event import Event
from witnd.domain.routing import Terms, place
from witnd.store.codec import decode_held
from witnd.store.keys import Keys
from witnd.store.places import Place, newest
from witnd.store.reads import Reads

# Held keys that one request looks at, and about how many events it reads for that.
KEYS_MOST: Final = 500
EVENTS_MOST: Final = 10_000


class Placeable(Struct, frozen=True, kw_only=True):
    """`keys` can be placed; `looked_at` keys were asked about, up to `behind`, None after the last."""

    keys: list[tuple[Keys, str]]
    looked_at: int
    behind: Place | None


async def placeable(reads: Reads, partitions: Sequence[Keys], catalogue: Catalogue, behind: Place | None) -> Placeable:
    """Held keys of which some event can be placed under what is in force now, those held last first."""
    [time] = await reads.each(("TIME",))
    now_ms = int(time[0]) * 1000 + int(time[1]) // 1000
    by_number = {keys.partition: keys for keys in partitions}
    found: list[tuple[Keys, str]] = []
    looked_at, events, last = 0, 0, behind
    async for at in newest(reads, [(keys, [keys.held]) for keys in partitions], behind, KEYS_MOST):
        if looked_at == KEYS_MOST or events > EVENTS_MOST:
            return Placeable(keys=found, looked_at=looked_at, behind=last)
        keys = by_number[at.partition]
        [items] = await reads.each(("LRANGE", keys.held_events(at.name), 0, -1))
        waiting = [decode_held(at.name, item)[1] for item in items]
        if any(isinstance(_terms(catalogue, event, now_ms), Terms) for event in waiting):
            found.append((keys, at.name))
        looked_at, events, last = looked_at + 1, events + len(waiting), at
    return Placeable(keys=found, looked_at=looked_at, behind=None)


def _terms(catalogue: Catalogue, event: Event, at: int) -> Terms | str:
    return place(catalogue, action=event.action, agent_key=event.agent_key, customer_key=event.customer_key, at=at)
