"""Reads who owns each partition and the invoices, how far each partition is behind, and what it settles next."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from witnd.store.keys import BillingKeys, Keys
from witnd.store.query.reads import Reads
from witnd.store.records.codec import OutcomeRecord, outcome_record
from witnd.store.records.score import score_to_int
from witnd.store.records.state_fields import StateFields
from witnd.store.server.lease import Holder

DUE_PAGE: Final = 50


class Ownership(Struct, frozen=True, kw_only=True):
    """A partition. `owner`: instance of the daemon that has its lease, or None. `lag`: events that are accepted and not
    yet applied. `next_due`: the earliest deadline of an open outcome in ms, or None."""

    partition: int
    owner: str | None
    lag: int
    next_due: int | None


async def read_owners(reads: Reads, partitions: Sequence[Keys]) -> list[Ownership]:
    """Return the ownership of each partition. Raises `Unsafe` if a position is damaged."""
    logs = await reads.pipeline(*(("EXISTS", keys.events) for keys in partitions))
    # A stream that does not exist has no information.
    existing = [keys for keys, exists in zip(partitions, logs, strict=True) if exists]
    infos = await reads.pipeline(*(("XINFO", "STREAM", keys.events) for keys in existing)) if existing else []
    added = {
        keys.partition: dict(zip(info[::2], info[1::2], strict=True))[b"entries-added"]
        for keys, info in zip(existing, infos, strict=True)
    }
    commands = [command for keys in partitions for command in (("GET", keys.owner), ("HGET", keys.state, "read"))]
    answers = await reads.pipeline(*commands)
    return [
        Ownership(
            partition=keys.partition,
            owner=_instance(lease),
            lag=max(0, added.get(keys.partition, 0) - StateFields.from_value(keys.state, "read", read).number("read")),
            next_due=next_due,
        )
        for keys, lease, read, next_due in zip(
            partitions, answers[::2], answers[1::2], await _next_due(reads, partitions), strict=True
        )
    ]


async def billing_owner(reads: Reads, prefix: str) -> str | None:
    """Return the instance of the daemon that makes the invoices."""
    return _instance((await reads.pipeline(("GET", BillingKeys(prefix).owner)))[0])


def _instance(lease: bytes | None) -> str | None:
    return None if lease is None else Holder(lease.decode(errors="replace"), 0).instance


async def _next_due(reads: Reads, partitions: Sequence[Keys]) -> list[int | None]:
    """Return the earliest deadline of each partition. The index has lower bounds, so it is compared with the records.

    A page of all partitions is read at the same time.
    """
    first: dict[int, int] = {}
    skip, left = 0, list(partitions)
    while left:
        ranges = [("ZRANGEBYSCORE", keys.due, "-inf", "+inf", "WITHSCORES", "LIMIT", skip, DUE_PAGE) for keys in left]
        pages = [(keys, flat) for keys, flat in zip(left, await reads.pipeline(*ranges), strict=True) if flat]
        names = [[key.decode(errors="backslashreplace") for key in flat[::2]] for _, flat in pages]
        commands = [("MGET", *map(keys.outcome, some)) for (keys, _), some in zip(pages, names, strict=True)]
        records = await reads.pipeline(*commands) if commands else []
        left = []
        for (keys, flat), some, found in zip(pages, names, records, strict=True):
            number = keys.partition
            for key, sealed in zip(some, found, strict=True):
                record = outcome_record(key, sealed)
                if isinstance(record, OutcomeRecord) and record.status in ("OPEN", "PENDING"):
                    first[number] = min(first.get(number, record.settles_at), record.settles_at)
            is_last = len(some) < DUE_PAGE or (number in first and score_to_int(flat[-1]) >= first[number])
            if not is_last:
                left.append(keys)
        skip += DUE_PAGE
    return [first.get(keys.partition) for keys in partitions]
