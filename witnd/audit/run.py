"""Audit partitions: recount every outcome and compare the sums.

Each outcome is read in one transaction, so the audit also works on a running system. Sums cover a whole partition, or
all partitions that repartitions made of one. They are exact only if nothing changed meanwhile; otherwise they are
repeated a few times. If they differ, a second pass finds the outcomes. Nothing is written.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from msgspec import Struct

from witnd.audit.partition.lists import (
    check_due,
    check_fates,
    check_held_events,
    check_lines,
    check_resolutions,
)
from witnd.audit.partition.log import check_log
from witnd.audit.partition.lookups import check_customers, check_days, check_lookups
from witnd.audit.partition.outcomes import check_outcomes
from witnd.audit.partition.sums import ALL_FATES, check_sums
from witnd.audit.scope import (
    DamagedOutcome,
    Family,
    LineSum,
    Mismatch,
    PassState,
    RepairedLine,
    Scope,
    Totals,
    joined_totals,
)
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.outcomes.outcome import STATUSES
from witnd.store.errors import Unsafe
from witnd.store.keys import Keys
from witnd.store.partition.holds import holds
from witnd.store.query.reads import Command, Position, Reads
from witnd.store.records.lineage import Lineage
from witnd.store.records.log_snapshot import check_snapshot

ATTEMPTS: Final = 4

Progress = Callable[[str], None]
LoadCatalogue = Callable[[], Awaitable[Catalogue]]


class PartitionAudit(Struct, frozen=True, kw_only=True):
    """The result of an audit of a partition.

    `exact` is false if the partition changed during every attempt; then ignore the sums. `log` states whether the sums
    include the log, or why not. `gaps` counts accepted gaps of the log, `lost` their entries, as far as known.
    """

    partition: int
    exact: bool
    log: str
    gaps: int
    lost: int
    outcomes: dict[str, int]
    events: dict[str, int]
    deliveries: int
    sums: dict[str, LineSum]
    differences: list[Mismatch]
    difference_count: int
    repaired: list[RepairedLine]


async def audit_partitions(
    reads: Reads,
    partitions: Sequence[Keys],
    load_catalogue: LoadCatalogue,
    *,
    quick: bool,
    progress: Progress,
    only: int | None = None,
) -> list[PartitionAudit]:
    """Audit all partitions, or the family of one (`only`). Raises the errors of reads. `load_catalogue` returns the
    current catalogue."""
    found: list[PartitionAudit] = []
    for family in families(partitions, await reads.lineages(partitions)):
        if only is None or any(keys.partition == only for keys in family.partitions):
            found += await _audit_family(reads, family, load_catalogue, quick=quick, progress=progress)
    return sorted(found, key=lambda one: one.partition)


def families(partitions: Sequence[Keys], lineages: Sequence[Lineage]) -> list[Family]:
    """Group partitions by the one that repartitions made them of."""
    found: dict[int, list[Keys]] = {}
    for keys, lineage in zip(partitions, lineages, strict=True):
        root = lineage.origins[0].number if lineage.origins else keys.partition
        found.setdefault(root, []).append(keys)
    return [Family(members, len(partitions)) for members in found.values()]


async def _audit_family(
    reads: Reads, family: Family, load_catalogue: LoadCatalogue, *, quick: bool, progress: Progress
) -> list[PartitionAudit]:
    precise = False
    for attempt in range(ATTEMPTS):
        before = [await reads.position(keys) for keys in family.partitions]
        catalogue = await load_catalogue()
        shared = PassState()
        scopes = [
            Scope(reads, keys, catalogue, quick=quick, precise=precise, family=family, shared=shared)
            for keys in family.partitions
        ]
        complete = all(one.snapshot.added == one.snapshot.length and not one.gaps for one in before)
        trimmed = await _pass(scopes, before, complete=complete, progress=progress)
        after = [await reads.position(keys) for keys in family.partitions]
        is_same = [one.sequence for one in after] == [one.sequence for one in before]
        # Outcomes can open under newer terms meanwhile.
        exact = is_same and (await load_catalogue()).revision == catalogue.revision
        if exact:
            wrong = sum(scope.count for scope in scopes)
            _compare(scopes, before, complete=complete, trimmed=trimmed)
            is_worse = sum(scope.count for scope in scopes) > wrong
            if is_worse and not precise and attempt < ATTEMPTS - 1:
                precise = True  # repeat to find the outcomes, counting every key once
                continue
            break
        progress(f"{_words(family)} changed meanwhile; summing again")
    return [
        _result(scope, position, exact=exact, complete=complete) for scope, position in zip(scopes, before, strict=True)
    ]


async def _pass(
    scopes: Sequence[Scope], before: Sequence[Position], *, complete: bool, progress: Progress
) -> dict[str, int]:
    """Check and count everything once. Return how many entries were trimmed from the result streams."""
    for scope, position in zip(scopes, before, strict=True):
        for key, hold in (await holds(scope.reads, [scope.keys])).items():
            scope.hold(key, hold)
        _check_gap(scope, position)
    for scope in scopes:
        await _walk(scope, progress)
    await _find_statuses(scopes[0])
    trimmed: Counter[str] = Counter()
    for scope, position in zip(scopes, before, strict=True):
        await _check_lists(scope, position, complete=complete, progress=progress)
        trimmed.update(await _trimmed_counts(scope.reads, scope.keys))
    return trimmed


def _compare(scopes: Sequence[Scope], before: Sequence[Position], *, complete: bool, trimmed: dict[str, int]) -> None:
    """Compare the sums of all partitions of the family together. Differences are those of the first one."""
    counters: Counter[str] = Counter()
    for scope, position in zip(scopes, before, strict=True):
        counters.update(position.counters)
        scope.compare("", "number of the last invoice line", position.lines, scope.totals.last_line)
    first = scopes[0]
    own = first.totals
    if len(scopes) > 1:
        first.totals = joined_totals(scope.totals for scope in scopes)
    check_sums(first, counters, complete=complete, trimmed=trimmed)
    if len(scopes) > 1:
        first.totals = own


def _words(family: Family) -> str:
    numbers = [str(keys.partition) for keys in family.partitions]
    return f"partition {numbers[0]}" if len(numbers) == 1 else f"partitions {', '.join(numbers)}"


def _check_gap(scope: Scope, before: Position) -> None:
    try:
        check_snapshot(before.snapshot, before.cursor, before.read)
    except Unsafe as gap:
        scope.differ("", "log", "every entry is read or still to be read", f"{gap.reason}; {gap.remedy}")


async def _walk(scope: Scope, progress: Progress) -> None:
    """Check all keys of the partition."""
    keys, totals, looked_at = scope.keys, scope.totals, 0
    starts = keys.outcome(""), keys.history(""), keys.held_events(""), keys.of_customer(""), keys.day("")
    outcome, history, held, customer, day = (start.encode() for start in starts)
    async for _, names in scope.reads.scan(f"{keys.base}:"):
        fresh = [name for name in names if scope.is_new(name)]
        await check_outcomes(scope, _keys_behind(outcome, fresh))
        totals.fates["applied"] += await _histories(scope, _keys_behind(history, fresh))
        held_keys = [key for key in _keys_behind(held, fresh) if key not in scope.damaged]
        totals.held_items += await _lengths(scope, held_keys, keys.held_events)
        await check_customers(scope, _keys_behind(customer, fresh))
        await check_days(scope, _keys_behind(day, fresh))
        looked_at += len(fresh)
        progress(f"partition {keys.partition}: {looked_at} keys")


async def _find_statuses(scope: Scope) -> None:
    """Find the listed status of unreadable outcomes."""
    for key, damaged in scope.damaged.items():
        if not damaged.is_on_hold and damaged.status is None:
            commands: list[Command] = [("ZSCORE", scope.home(key).with_status(status), key) for status in STATUSES]
            scores = await scope.reads.pipeline(*commands)
            listed = [status for status, score in zip(STATUSES, scores, strict=True) if score is not None]
            scope.damaged[key] = DamagedOutcome(listed[-1] if listed else None, is_on_hold=False)


def _keys_behind(start: bytes, names: list[bytes]) -> list[str]:
    return [name[len(start) :].decode() for name in names if name.startswith(start)]


async def _histories(scope: Scope, keys: list[str]) -> int:
    """Count the events of histories, each of which must have an outcome."""
    if not keys:
        return 0
    records = (await scope.reads.pipeline(("MGET", *map(scope.keys.outcome, keys))))[0]
    for key, record in zip(keys, records, strict=True):
        if record is None and key not in scope.damaged:
            scope.differ(key, "history", "none: no outcome has this key", "there is one")
    return await _lengths(scope, keys, scope.keys.history)


async def _lengths(scope: Scope, keys: list[str], list_of: Callable[[str], str]) -> int:
    """Sum the lengths of the lists of these keys. A key of another type marks the outcome as damaged."""
    if not keys:
        return 0
    total = 0
    for key, length in zip(
        keys, await scope.reads.transaction_with_errors(*(("LLEN", list_of(key)) for key in keys)), strict=True
    ):
        if isinstance(length, int):
            total += length
        else:
            scope.damage(key, f"{list_of(key)} is another type of key: {length}")
    return total


async def _check_lists(scope: Scope, before: Position, *, complete: bool, progress: Progress) -> None:
    parts = [check_due, check_held_events, check_fates, check_lookups, check_resolutions, check_lines]
    for part in parts:
        progress(f"partition {scope.keys.partition}: {part.__name__.removeprefix('check_')}")
        await part(scope)
    if complete:
        progress(f"partition {scope.keys.partition}: the log")
        await check_log(scope, before.cursor, before.lineage)


async def _trimmed_counts(reads: Reads, keys: Keys) -> dict[str, int]:
    """Return how many entries were trimmed from the result streams."""
    gone = {}
    for name, stream in (("resolutions", keys.resolutions), ("lines", keys.lines)):
        added, length = await reads.entry_counts(stream)
        gone[name] = added - length
    return gone


def _result(scope: Scope, before: Position, *, exact: bool, complete: bool) -> PartitionAudit:
    totals: Totals = scope.totals
    gone = before.snapshot.added - before.snapshot.length
    why = f"{gone} of its entries are trimmed" if gone > 0 else "a gap in it was accepted"
    if not gone and not before.gaps:
        why = "the log of a partition that shared its outcomes is not complete"
    return PartitionAudit(
        partition=scope.keys.partition,
        exact=exact,
        log="compared" if complete else f"not compared: {why}",
        gaps=before.gaps,
        lost=before.lost,
        outcomes={status: totals.statuses[status] for status in STATUSES},
        events={fate: totals.fates[fate] for fate in ALL_FATES},
        deliveries=totals.deliveries,
        sums=dict(sorted(totals.sums.items())),
        differences=scope.differences,
        difference_count=scope.count,
        repaired=scope.repaired,
    )
