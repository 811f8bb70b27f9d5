"""An audit of one partition: every outcome counted again, and the sums of all of it.

What belongs to one outcome is read at one time, so it holds on a running system too. Sums are of a
whole partition, and exact only where it stood still while they were taken: they are taken again a
few times, and given up where it does not. Where they differ, a second walk finds for whom.
Nothing is written.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

from msgspec import Struct

from witnd.audit.partition.lists import check_due, check_fates, check_held, check_lines, check_log, check_resolutions
from witnd.audit.partition.lookups import check_customers, check_days, check_lookups, compare_lookups
from witnd.audit.partition.outcomes import check_outcomes
from witnd.audit.scope import Damaged, Mismatch, Repaired, Scope, Sum, Totals, accepted
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
Learn = Callable[[], Awaitable[Catalogue]]


class Verdict(Struct, frozen=True, kw_only=True):
    """What an audit of a partition came to.

    `exact` is false where the partition moved on during every attempt: then the sums say nothing.
    `log` says whether the log itself was part of the sums, or why not. `gaps` is how often somebody accepted that
    entries of the log are missing, `lost` how many those were, as far as that could be known.
    """

    partition: int
    exact: bool
    log: str
    gaps: int
    lost: int
    outcomes: dict[str, int]
    events: dict[str, int]
    deliveries: int
    sums: dict[str, Sum]
    differences: list[Mismatch]
    difference_count: int
    repaired: list[Repaired]


async def audit(reads: Reads, keys: Keys, learn: Learn, *, quick: bool, progress: Progress) -> Verdict:
    """Raises what reads raise. `learn` answers with the catalogue as it is by now."""
    precise = False
    for attempt in range(ATTEMPTS):
        before = await reads.position(keys)
        catalogue = await learn()
        revision = catalogue.revision
        scope = Scope(reads, keys, catalogue, quick=quick, precise=precise)
        for key, hold in (await holds(reads, [keys])).items():
            scope.hold(key, hold)
        _check_gap(scope, before)
        await _walk(scope, progress)
        complete = before.snapshot.added == before.snapshot.length and not before.gaps
        await _find_statuses(scope)
        await _check_lists(scope, before, complete=complete, progress=progress)
        lost = await _trimmed(reads, keys)
        after = await reads.position(keys)
        # A newer catalogue may have terms that an outcome opened under meanwhile.
        exact = after.sequence == before.sequence and (await learn()).revision == revision
        if exact:
            wrong = scope.count
            _check_sums(scope, before, complete=complete, trimmed=lost)
            if scope.count > wrong and not precise and attempt < ATTEMPTS - 1:
                precise = True  # walk again to tell whom it concerns, counting every key once
                continue
            break
        progress(f"partition {keys.partition} moved on; its sums are taken again")
    return _verdict(scope, before, exact=exact, complete=complete)


def _check_gap(scope: Scope, before: Position) -> None:
    try:
        check_snapshot(before.snapshot, before.cursor, before.read)
    except Unsafe as gap:
        scope.differ("", "log", "every entry is read or still to be read", f"{gap.reason}; {gap.remedy}")


async def _walk(scope: Scope, progress: Progress) -> None:
    """All keys of the partition, whatever they hold."""
    keys, totals, looked_at = scope.keys, scope.totals, 0
    starts = keys.outcome(""), keys.history(""), keys.held_events(""), keys.of_customer(""), keys.day("")
    outcome, history, held, customer, day = (start.encode() for start in starts)
    async for _, names in scope.reads.scan(f"{keys.base}:"):
        fresh = [name for name in names if scope.fresh(name)]
        await check_outcomes(scope, _keys_behind(outcome, fresh))
        totals.fates["applied"] += await _histories(scope, _keys_behind(history, fresh))
        held_keys = [key for key in _keys_behind(held, fresh) if key not in scope.damaged]
        totals.held_items += await _lengths(scope, held_keys, keys.held_events)
        await check_customers(scope, _keys_behind(customer, fresh))
        await check_days(scope, _keys_behind(day, fresh))
        looked_at += len(fresh)
        progress(f"partition {keys.partition}: {looked_at} keys")


async def _find_statuses(scope: Scope) -> None:
    """What the lists say of the outcomes that cannot be read."""
    for key, damaged in scope.damaged.items():
        if not damaged.is_on_hold and damaged.status is None:
            commands: list[Command] = [("ZSCORE", scope.keys.with_status(status), key) for status in _STATUSES]
            scores = await scope.reads.pipeline(*commands)
            listed = [status for status, score in zip(_STATUSES, scores, strict=True) if score is not None]
            scope.damaged[key] = Damaged(listed[-1] if listed else None, is_on_hold=False)


def _keys_behind(start: bytes, names: list[bytes]) -> list[str]:
    return [name[len(start) :].decode() for name in names if name.startswith(start)]


async def _histories(scope: Scope, keys: list[str]) -> int:
    """How many events these histories have; each must belong to an outcome."""
    if not keys:
        return 0
    records = (await scope.reads.pipeline(("MGET", *map(scope.keys.outcome, keys))))[0]
    for key, record in zip(keys, records, strict=True):
        if record is None and key not in scope.damaged:
            scope.differ(key, "history", "none: no outcome has this key", "there is one")
    return await _lengths(scope, keys, scope.keys.history)


async def _lengths(scope: Scope, keys: list[str], list_of: Callable[[str], str]) -> int:
    """How many items these keys have in their lists; one whose list is another type of key is damaged."""
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
    parts = [check_due, check_held, check_fates, check_lookups, check_resolutions, check_lines]
    for part in parts:
        progress(f"partition {scope.keys.partition}: {part.__name__.removeprefix('check_')}")
        await part(scope)
    if complete:
        progress(f"partition {scope.keys.partition}: the log")
        await check_log(scope, before.cursor)


async def _trimmed(reads: Reads, keys: Keys) -> dict[str, int]:
    """How many entries of the streams of results are not there any more."""
    gone = {}
    for name, stream in (("resolutions", keys.resolutions), ("lines", keys.lines)):
        added, length = await reads.entry_counts(stream)
        gone[name] = added - length
    return gone


def _check_sums(scope: Scope, before: Position, *, complete: bool, trimmed: dict[str, int]) -> None:
    """What must be equal once a partition stands still."""
    totals, counters = scope.totals, before.counters
    if scope.damaged:
        # How many events were applied to an outcome that cannot be read is known from the counter alone.
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
        expected = totals.statuses[status] + scope.of_damaged(status, also_on_hold=False)
        scope.compare("", f"counter of {status} outcomes", expected, found)
    if complete:
        scope.compare("", "events of the log", accepted(totals.fates), totals.log_entries)
        if not scope.quick and totals.log_mark != totals.history_mark:
            _tell(scope, "applied events", scope.log_marks, scope.history_marks)
    finals = totals.statuses["CONFIRMED"] + totals.statuses["FAILED"]
    if not (trimmed["resolutions"] and scope.damaged):  # it is unknown of which outcomes those were
        scope.compare("", "resolutions", finals, totals.resolutions + trimmed["resolutions"])
    if not trimmed["resolutions"] and totals.resolutions_mark != totals.resolutions_found_mark:
        _tell_number(scope, "resolutions", scope.resolved)
    scope.compare("", "invoice lines", totals.statuses["CONFIRMED"], totals.lines)
    scope.compare("", "number of the last invoice line", before.lines, totals.last_line)
    if totals.lines_mark != totals.lines_found_mark:
        _tell_number(scope, "invoice lines", scope.billed)
    compare_lookups(scope)


def _tell(scope: Scope, what: str, expected: Counter[str], found: Counter[str]) -> None:
    """Which outcomes have another history than the log gives them; in the first walk, that some do."""
    if not scope.precise:
        scope.differ("", what, "those of the log", "others")
    for key in expected.keys() | found.keys():
        if expected[key] != found[key]:
            scope.differ(key, what, "those of the log", "others")


def _tell_number(scope: Scope, what: str, surplus: Counter[str]) -> None:
    """Which outcomes have too many or too few; `surplus` is found less expected."""
    if not scope.precise:
        scope.differ("", what, "one for each", "another set")
    for key, count in surplus.items():
        if count:
            expected = 1 if count == -1 else "1 or none"
            scope.differ(key, what, expected, f"{abs(count)} too {'many' if count > 0 else 'few'}")


def _verdict(scope: Scope, before: Position, *, exact: bool, complete: bool) -> Verdict:
    totals: Totals = scope.totals
    gone = before.snapshot.added - before.snapshot.length
    why = f"{gone} of its entries are trimmed" if gone > 0 else "a gap in it was accepted"
    return Verdict(
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
