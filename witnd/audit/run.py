"""Audit one partition: recount every outcome and compare the sums.

Each outcome is read in one transaction, so the audit also works on a running system. Sums cover the whole partition
and are exact only if it did not change meanwhile; otherwise they are repeated a few times. If they differ, a second
pass finds the outcomes. Nothing is written.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

from msgspec import Struct

from witnd.audit.partition.lists import (
    check_due,
    check_fates,
    check_held_events,
    check_lines,
    check_log,
    check_resolutions,
)
from witnd.audit.partition.lookups import check_customers, check_days, check_lookups, compare_lookups
from witnd.audit.partition.outcomes import check_outcomes
from witnd.audit.scope import DamagedOutcome, LineSum, Mismatch, RepairedLine, Scope, Totals, accepted_count
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.store.errors import Unsafe
from witnd.store.keys import Keys
from witnd.store.partition.holds import holds
from witnd.store.query.reads import FATES, Command, Position, Reads
from witnd.store.records.log_snapshot import check_snapshot

ATTEMPTS: Final = 4
_FATES: Final = ("applied", *FATES)
_STATUSES: Final = ("OPEN", "PENDING", "CONFIRMED", "FAILED")

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


async def audit_partition(
    reads: Reads, keys: Keys, load_catalogue: LoadCatalogue, *, quick: bool, progress: Progress
) -> PartitionAudit:
    """Audit a partition. Raises the errors of reads. `load_catalogue` returns the current catalogue."""
    precise = False
    for attempt in range(ATTEMPTS):
        before = await reads.position(keys)
        catalogue = await load_catalogue()
        revision = catalogue.revision
        scope = Scope(reads, keys, catalogue, quick=quick, precise=precise)
        for key, hold in (await holds(reads, [keys])).items():
            scope.hold(key, hold)
        _check_gap(scope, before)
        await _walk(scope, progress)
        complete = before.snapshot.added == before.snapshot.length and not before.gaps
        await _find_statuses(scope)
        await _check_lists(scope, before, complete=complete, progress=progress)
        lost = await _trimmed_counts(reads, keys)
        after = await reads.position(keys)
        # Outcomes can open under newer terms meanwhile.
        exact = after.sequence == before.sequence and (await load_catalogue()).revision == revision
        if exact:
            wrong = scope.count
            _check_sums(scope, before, complete=complete, trimmed=lost)
            if scope.count > wrong and not precise and attempt < ATTEMPTS - 1:
                precise = True  # repeat to find the outcomes, counting every key once
                continue
            break
        progress(f"partition {keys.partition} changed meanwhile; summing again")
    return _result(scope, before, exact=exact, complete=complete)


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
            commands: list[Command] = [("ZSCORE", scope.keys.with_status(status), key) for status in _STATUSES]
            scores = await scope.reads.pipeline(*commands)
            listed = [status for status, score in zip(_STATUSES, scores, strict=True) if score is not None]
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
        await check_log(scope, before.cursor)


async def _trimmed_counts(reads: Reads, keys: Keys) -> dict[str, int]:
    """Return how many entries were trimmed from the result streams."""
    gone = {}
    for name, stream in (("resolutions", keys.resolutions), ("lines", keys.lines)):
        added, length = await reads.entry_counts(stream)
        gone[name] = added - length
    return gone


def _check_sums(scope: Scope, before: Position, *, complete: bool, trimmed: dict[str, int]) -> None:
    """Compare the sums, which are equal if the partition did not change meanwhile."""
    totals, counters = scope.totals, before.counters
    if scope.damaged:
        # Only the counter includes events of unreadable outcomes.
        found, counted = totals.fates["applied"], counters.get("applied", 0)
        if counted < found:
            scope.differ("", "counter of applied events", f"{found} or more", counted)
        totals.fates["applied"] = counted
    else:
        scope.compare("", "held events", totals.fates["held"], totals.held_items)
        scope.compare("", "events of all histories", totals.events_on_record, totals.fates["applied"])
    for fate in _FATES:
        scope.compare("", f"counter of {fate} events", totals.fates[fate], counters.get(fate, 0))
    for status in _STATUSES:
        found = counters.get(status, 0)
        expected = totals.statuses[status] + scope.damaged_count(status, also_on_hold=False)
        scope.compare("", f"counter of {status} outcomes", expected, found)
    if complete:
        scope.compare("", "events of the log", accepted_count(totals.fates), totals.log_entries)
        if not scope.quick and totals.log_mark != totals.history_mark:
            _report_histories(scope, "applied events", scope.log_marks, scope.history_marks)
    finals = totals.statuses["CONFIRMED"] + totals.statuses["FAILED"]
    if not (trimmed["resolutions"] and scope.damaged):  # their outcomes are unknown
        scope.compare("", "resolutions", finals, totals.resolutions + trimmed["resolutions"])
    if not trimmed["resolutions"] and totals.resolutions_mark != totals.resolutions_found_mark:
        _report_counts(scope, "resolutions", scope.resolved)
    scope.compare("", "invoice lines", totals.statuses["CONFIRMED"], totals.lines)
    scope.compare("", "number of the last invoice line", before.lines, totals.last_line)
    if totals.lines_mark != totals.lines_found_mark:
        _report_counts(scope, "invoice lines", scope.billed)
    compare_lookups(scope)


def _report_histories(scope: Scope, what: str, expected: Counter[str], found: Counter[str]) -> None:
    """Report outcomes whose history differs from the log; in the first pass, only that some do."""
    if not scope.precise:
        scope.differ("", what, "those of the log", "others")
    for key in expected.keys() | found.keys():
        if expected[key] != found[key]:
            scope.differ(key, what, "those of the log", "others")


def _report_counts(scope: Scope, what: str, surplus: Counter[str]) -> None:
    """Report outcomes with too many or too few entries; `surplus` is found minus expected."""
    if not scope.precise:
        scope.differ("", what, "one for each", "another set")
    for key, count in surplus.items():
        if count:
            expected = 1 if count == -1 else "1 or none"
            scope.differ(key, what, expected, f"{abs(count)} too {'many' if count > 0 else 'few'}")


def _result(scope: Scope, before: Position, *, exact: bool, complete: bool) -> PartitionAudit:
    totals: Totals = scope.totals
    gone = before.snapshot.added - before.snapshot.length
    why = f"{gone} of its entries are trimmed" if gone > 0 else "a gap in it was accepted"
    return PartitionAudit(
        partition=scope.keys.partition,
        exact=exact,
        log="compared" if complete else f"not compared: {why}",
        gaps=before.gaps,
        lost=before.lost,
        outcomes={status: totals.statuses[status] for status in _STATUSES},
        events={fate: totals.fates[fate] for fate in _FATES},
        deliveries=totals.deliveries,
        sums=dict(sorted(totals.sums.items())),
        differences=scope.differences,
        difference_count=scope.count,
        repaired=scope.repaired,
    )
