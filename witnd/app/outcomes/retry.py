"""Request the owner of a partition to retry or remove held events."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from witnd.app.errors import Refused, not_found
from witnd.app.outcomes import fates
from witnd.app.outcomes.list import keys_of
from witnd.app.paging import cursor_of, read_with_catalogue
from witnd.app.services import Services
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.catalogue.routing import Terms, opening_terms
from witnd.domain.outcomes.event import Event
from witnd.store.access.change_log import Author
from witnd.store.errors import Unreadable
from witnd.store.keys import Keys
from witnd.store.log.reader import entry_id
from witnd.store.log.removal import request_removal
from witnd.store.log.retry_request import RetryRequests
from witnd.store.query.cursor import Cursor, newest, text_of_cursor
from witnd.store.query.fates import Fate
from witnd.store.query.reads import Reads, open_reads
from witnd.store.records.held_codec import decode_held

# Held keys that one request looks at, and about how many events it reads for that.
KEYS_MOST: Final = 500
EVENTS_MOST: Final = 10_000


class Retried(Struct, frozen=True, kw_only=True):
    """The log entry at which witnd retries the held events. Events that still cannot be applied stay held."""

    key: str
    partition: int
    id: str


class Removed(Struct, frozen=True, kw_only=True):
    """A held event that the daemon rejects in its next step, with the reason REMOVED. This frees its idempotency key.
    `control`: the log entry at which the daemon rejects it."""

    key: str
    partition: int
    id: str
    control: str


class RetriedHeld(Struct, frozen=True, kw_only=True):
    """`retried`: the number of keys with held events that can be applied now; `looked_at`: the number of checked keys.
    If `next_cursor` is not null, continue with it."""

    retried: int
    looked_at: int
    next_cursor: str | None


class Placeable(Struct, frozen=True, kw_only=True):
    """`keys` have events that can be applied; `looked_at` keys were checked, up to `behind`, None after the last."""

    keys: list[tuple[Keys, str]]
    looked_at: int
    behind: Cursor | None


async def retry(services: Services, author: Author, key: str) -> Retried:
    """Retry the held events of a key."""
    retried, missing = await retry_each(services, author, [key])
    if missing:
        raise not_found("key with held events", key)
    return retried[0]


async def retry_each(services: Services, author: Author, names: Sequence[str]) -> tuple[list[Retried], list[str]]:
    """Retry the held events of these keys. Return also the keys without held events."""
    requests, retried, missing = _requests(services), list[Retried](), list[str]()
    async with open_reads(services.server) as reads:
        scores = await reads.pipeline(*(("ZSCORE", keys_of(services, key).held, key) for key in names))
    for key, score in zip(names, scores, strict=True):
        if score is None:
            missing.append(key)
            continue
        keys = keys_of(services, key)
        await services.changes.note_request(author, "outcome.retry", key)
        [entry] = await requests.append([(keys, key)])
        retried.append(Retried(key=key, partition=keys.partition, id=entry))
    return retried, missing


async def retry_every(services: Services, author: Author) -> list[Retried]:
    """Retry all held keys, whether their events can be applied or not."""
    requests = _requests(services)
    retried: list[Retried] = []
    async with open_reads(services.server) as reads:
        for keys in services.partitions:
            # Held keys do not come back by being asked for, so a set of them is enough.
            held = sorted({key async for page in reads.scan_scores(keys.held) for key, _ in page})
            for start in range(0, len(held), KEYS_MOST):
                page = held[start : start + KEYS_MOST]
                await services.changes.note_request(author, "problems.retry_held", "", keys=page)
                entries = await requests.append([(keys, key) for key in page])
                retried += [
                    Retried(key=key, partition=keys.partition, id=id_) for key, id_ in zip(page, entries, strict=True)
                ]
    return retried


async def held_event(services: Services, id_: str, partition: int | None = None) -> Fate:
    """Return the held event with this id, in one partition or any. Raise CONFLICT if the event is not held."""
    found = await fates.anywhere(services, id_, partition=partition)
    if not found:
        raise not_found("event", id_)
    held = [fate for fate in found if fate.fate == "held" and fate.key is not None]
    if not held:
        raise Refused("CONFLICT", f"event {id_} is {found[0].fate}", remedy="only a held event can be removed")
    if len(held) > 1:
        raise fates.in_several(held)
    return held[0]


async def remove(services: Services, author: Author, fate: Fate) -> Removed:
    """Request the owner of the partition to reject a held event."""
    assert fate.key is not None, fate
    keys = keys_of(services, fate.key)
    await services.changes.note_request(author, "event.remove", fate.key, event=fate.id)
    retried = await request_removal(_requests(services), keys, fate.key, [entry_id(fate.id)])
    return Removed(key=fate.key, partition=fate.partition, id=fate.id, control=retried)


async def retry_held(services: Services, author: Author, after: str | None) -> RetriedHeld:
    """Retry the held keys after `after` that have events that can be applied now."""
    behind = cursor_of(services, after)
    found = await read_with_catalogue(
        services, lambda reads, catalogue: placeable(reads, services.partitions, catalogue, behind)
    )
    if found.keys:
        await services.changes.note_request(author, "problems.retry_held", "", keys=[key for _, key in found.keys])
        await _requests(services).append(found.keys)
    return RetriedHeld(
        retried=len(found.keys),
        looked_at=found.looked_at,
        next_cursor=text_of_cursor(found.behind),
    )


def _requests(services: Services) -> RetryRequests:
    return RetryRequests(services.client, services.keys, services.now_ms())


async def placeable(reads: Reads, partitions: Sequence[Keys], catalogue: Catalogue, behind: Cursor | None) -> Placeable:
    """Return held keys with events that the catalogue in effect can apply, the most recently held first."""
    [time] = await reads.pipeline(("TIME",))
    now_ms = int(time[0]) * 1000 + int(time[1]) // 1000
    by_number = {keys.partition: keys for keys in partitions}
    found: list[tuple[Keys, str]] = []
    looked_at, events, last = 0, 0, behind
    async for at in newest(reads, [(keys, [keys.held]) for keys in partitions], behind, KEYS_MOST):
        if looked_at == KEYS_MOST or events > EVENTS_MOST:
            return Placeable(keys=found, looked_at=looked_at, behind=last)
        keys = by_number[at.partition]
        [items] = await reads.pipeline(("LRANGE", keys.held_events(at.name), 0, -1))
        waiting = _readable(at.name, items)
        if any(isinstance(_terms(catalogue, event, now_ms), Terms) for event in waiting):
            found.append((keys, at.name))
        looked_at, events, last = looked_at + 1, events + len(waiting), at
    return Placeable(keys=found, looked_at=looked_at, behind=None)


def _readable(key: str, items: Sequence[bytes]) -> list[Event]:
    """Return the held events of a key; none if one is damaged, because the key is then on hold."""
    try:
        return [decode_held(key, item)[1] for item in items]
    except Unreadable:
        return []


def _terms(catalogue: Catalogue, event: Event, at: int) -> Terms | str:
    return opening_terms(
        catalogue, action=event.action, agent_key=event.agent_key, customer_key=event.customer_key, at=at
    )
