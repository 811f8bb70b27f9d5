"""Reads who owns each partition and the invoices, how far each partition is behind, and what it settles next."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from witnd.store.keys import BillingKeys, Keys
from witnd.store.query.reads import Reads
from witnd.store.records.codec import OutcomeRecord, outcome_record
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
            next_due=await _next_due(reads, keys),
        )
        for keys, lease, read in zip(partitions, answers[::2], answers[1::2], strict=True)
    ]


async def billing_owner(reads: Reads, prefix: str) -> str | None:
    """Return the instance of the daemon that makes the invoices."""
    return _instance((await reads.pipeline(("GET", BillingKeys(prefix).owner)))[0])


def _instance(lease: bytes | None) -> str | None:
    return None if lease is None else Holder(lease.decode(errors="replace"), 0).instance


async def _next_due(reads: Reads, keys: Keys) -> int | None:
    """Return the earliest deadline. The index has lower bounds, so it is compared with the records."""
    first: int | None = None
    skip = 0
    while page := await reads.score_range(keys.due, "-inf", "+inf" if first is None else str(first), skip, DUE_PAGE):
        records = (await reads.pipeline(("MGET", *(keys.outcome(key) for key, _ in page))))[0]
        for (key, _), sealed in zip(page, records, strict=True):
            record = outcome_record(key, sealed)
            if isinstance(record, OutcomeRecord) and record.status in ("OPEN", "PENDING"):
                first = record.settles_at if first is None else min(first, record.settles_at)
        if len(page) < DUE_PAGE or (first is not None and page[-1][1] >= first):
            break
        skip += len(page)
    return first
