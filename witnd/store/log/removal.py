"""Requests to remove a held event. The owner of the partition carries them out.

The request and the control entry that triggers it are one write in one slot. The owner rejects the event in its next
step, with the reason REMOVED, and deletes the request in the same commit. A request for an event that is not held any
more has no effect.
"""

from collections.abc import Sequence

from witnd.domain.outcomes.event import EntryId
from witnd.store.keys import Keys
from witnd.store.log.retry_request import RetryRequests
from witnd.store.records.log_snapshot import text_of


def by_key(flat: Sequence[bytes]) -> dict[str, list[EntryId]]:
    """Return the requests by outcome key, from the reply to HGETALL."""
    found: dict[str, list[EntryId]] = {}
    for entry, key in zip(flat[::2], flat[1::2], strict=True):
        ms, _, seq = entry.partition(b"-")
        found.setdefault(key.decode(), []).append((int(ms), int(seq)))
    return found


async def request_removal(requests: RetryRequests, keys: Keys, key: str, entries: list[EntryId]) -> str:
    """Request that these held events of an outcome key are rejected. Return the id of the control entry.

    After `StoreUnavailable` the call may be repeated.
    """
    fields = [word for entry in entries for word in (text_of(entry), key)]
    return await requests.append_with(keys, key, "HSET", keys.removals, *fields)
