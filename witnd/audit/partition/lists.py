"""Audit the lists of a partition: deadlines, held events, fates, resolutions, lines and the log."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final, cast

import msgspec

from witnd.audit.scope import LineSum, RepairedLine, Scope
from witnd.domain.outcomes.outcome import Outcome
from witnd.domain.outcomes.resolution import Line, resolve
from witnd.domain.outcomes.reversal import reverse
from witnd.domain.values import money
from witnd.domain.webhooks.sources import REVERSED
from witnd.store.errors import Unreadable, Unsafe
from witnd.store.query.reads import FATES, Entry, text_of
from witnd.store.records.codec import OutcomeRecord, held_record
from witnd.store.records.held_codec import decode_held
from witnd.store.records.json_record import decode_record
from witnd.store.records.line_record import LineEntry
from witnd.store.records.score import score_to_int

_json = msgspec.json.Encoder().encode
_HELD_CHUNK: Final = 20  # keys with up to 1000 held events each


async def check_due(scope: Scope) -> None:
    """Check that every stored deadline has an open outcome. A full audit checks its instant with the outcome."""
    async for page in scope.reads.scan_scores(scope.keys.due):
        names = [scope.keys.outcome(key) for key, _ in page]
        answers = await scope.reads.transaction(("MGET", *names), *(("ZSCORE", scope.keys.due, key) for key, _ in page))
        for (key, _), raw, score in zip(page, answers[0], answers[1:], strict=True):
            if score is None:
                continue  # resolved since the page was read
            record = scope.record(key, raw)
            if key in scope.damaged:
                continue
            if record is None:
                scope.differ(key, "stored deadline", "none: no outcome has this key", score.decode())
            elif record.processed_at is not None:
                scope.differ(key, "stored deadline", f"none: it is {record.status}", score.decode())
            elif scope.quick:
                scope.compare(key, "stored deadline", record.indexed_deadline, score_to_int(score))


async def check_held_events(scope: Scope) -> None:
    """Check that every held key has its marker and events, and every held event its fate."""
    keys = scope.keys
    async for page in scope.reads.scan_scores(keys.held):
        for at in range(0, len(page), _HELD_CHUNK):
            chunk = [key for key, _ in page[at : at + _HELD_CHUNK] if key not in scope.damaged]
            for key in chunk:
                score, record, items = await scope.reads.transaction(
                    ("ZSCORE", keys.held, key),
                    ("GET", keys.outcome(key)),
                    ("LRANGE", keys.held_events(key), 0, -1),
                )
                if score is not None:
                    await _check_held_key(scope, key, score_to_int(score), record, items)


async def _check_held_key(scope: Scope, key: str, score: int, record: bytes | None, items: Sequence[bytes]) -> None:
    if record != held_record(key):
        found = "no record" if record is None else "an outcome"
        scope.differ(key, "held events", "only for a key without an outcome", found)
    if not items:
        scope.differ(key, "held events", "at least one", "none")
        return
    try:
        entries = [decode_held(key, item)[0] for item in items]
    except Unreadable as damaged:
        scope.damage(key, f"its list of held events is unreadable: {damaged.reason}")
        return
    scope.compare(key, "instant of the first held event", entries[0][0], score)
    names = [text_of(entry) for entry in entries]
    for name, fate in zip(names, await scope.reads.fates_of(scope.keys, names), strict=True):
        found = "none" if fate is None else fate.fate
        if found != "held" and await _is_held(scope, key):
            scope.differ(key, f"fate of held event {name}", "held", found)


async def _is_held(scope: Scope, key: str) -> bool:
    return (await scope.reads.pipeline(("ZSCORE", scope.keys.held, key)))[0] is not None


async def check_fates(scope: Scope) -> None:
    """Compare fates with their indexes, and count them."""
    keys = scope.keys
    counts = await scope.reads.transaction(("HLEN", keys.fates), *(("ZCARD", keys.fates_of(fate)) for fate in FATES))
    scope.totals.fates.update(dict(zip(FATES, counts[1:], strict=True)))
    scope.compare("", "fates on record", sum(counts[1:]), counts[0])
    if scope.quick:
        return
    for fate in FATES:
        async for page in scope.reads.scan_scores(keys.fates_of(fate)):
            records = await scope.reads.fates_of(keys, [name for name, _ in page])
            for (name, ms), record in zip(page, records, strict=True):
                found = "none" if record is None else record.fate
                # An event that is placed meanwhile is not held any more; the sums show a lost one.
                if fate not in ("held", "waiting", found):
                    scope.differ("", f"fate of {name}", fate, found)
                scope.compare("", f"instant of {name}", name.partition("-")[0], str(ms))


# -- what resolved -------------------------------------------------------------------------------


async def check_resolutions(scope: Scope) -> None:
    totals = scope.totals
    async for page in scope.reads.entries(scope.keys.resolutions):
        for key, said, record in await _with_records(scope, "resolution", page):
            if key in scope.damaged:
                continue
            outcome = None if record is None else scope.outcome(key, record)
            if said.get("type") == REVERSED:
                totals.reversal_entries += 1
                totals.reversal_entries_mark += int(said["id"], 16)
                if scope.precise:
                    scope.reversed[key] += 1
                _check_reversal(scope, key, "reversal", outcome, 0, said)
                continue
            totals.resolutions += 1
            totals.resolutions_found_mark += int(said["id"], 16)
            if scope.precise:
                scope.resolved[key] += 1
            if outcome is None or not outcome.is_final:
                found = "no outcome" if outcome is None else outcome.status
                scope.differ(key, "outcome of a resolution", "CONFIRMED or FAILED", found)
            else:
                _compare_members(scope, key, "resolution", resolve(outcome)[0], said)


async def check_lines(scope: Scope) -> None:
    totals = scope.totals
    async for page in scope.reads.entries(scope.keys.lines):
        _check_numbers(scope, page)
        for key, said, record in await _with_records(scope, "line", page):
            is_reversal = said["kind"] == "reversal"
            if not is_reversal:
                _add(scope, said)
            if key in scope.damaged:
                continue
            outcome = None if record is None else scope.outcome(key, record)
            if is_reversal:
                totals.reversal_lines += 1
                totals.reversal_lines_mark += int(said["id"], 16)
                if scope.precise:
                    scope.corrected[key] += 1
                _check_reversal(scope, key, "reversal of a line", outcome, 1, said)
                continue
            totals.lines += 1
            totals.lines_found_mark += int(said["id"], 16)
            if scope.precise:
                scope.billed[key] += 1
            line = resolve(outcome)[1] if outcome is not None and outcome.is_final else None
            if line is None:
                found = "no outcome" if outcome is None else outcome.status
                scope.differ(key, "outcome of an invoice line", "CONFIRMED", found)
            else:
                _note_repair(scope, line)
                _compare_members(scope, key, "line", line, said)


def _check_reversal(
    scope: Scope, key: str, what: str, outcome: Outcome | None, stream: int, said: dict[str, Any]
) -> None:
    """Compare an entry of the stream of resolutions (0) or of lines (1) with the reversal of its outcome."""
    if outcome is None or outcome.reversed_by is None:
        found = "no outcome" if outcome is None else f"{outcome.status}, not reversed"
        scope.differ(key, f"outcome of a {what}", "CONFIRMED and reversed", found)
    else:
        _compare_members(scope, key, what, reverse(outcome)[stream], said)


def _check_numbers(scope: Scope, page: Sequence[Entry]) -> None:
    """Check that the lines are numbered 1, 2, 3 … without gaps."""
    for entry, _ in page:
        last = scope.totals.last_line
        if entry != (last + 1, 0):
            scope.differ("", f"number of the line after {last}", str(last + 1), text_of(entry))
        scope.totals.last_line = entry[0]


def _note_repair(scope: Scope, line: Line) -> None:
    """Record a line that is late because its outcome was on hold. It is not a difference."""
    if line.repaired_at is not msgspec.UNSET:
        scope.repaired.append(
            RepairedLine(
                partition=scope.keys.partition,
                key=line.outcome_key,
                resolved_at=line.resolved_at,
                repaired_at=line.repaired_at,
            )
        )


def _add(scope: Scope, said: dict[str, Any]) -> None:
    one = scope.totals.sums.setdefault(said["currency"], LineSum())
    one.lines += 1
    one.digits = max(one.digits, said["digits"])
    # Lines rated at close have no amount yet.
    if said["amount"] is None:
        scope.totals.unrated += 1
    else:
        one.amount = money.exact_sum((one.amount, Decimal(said["amount"])))


async def _with_records(
    scope: Scope, what: str, page: Sequence[Entry]
) -> list[tuple[str, dict[str, Any], OutcomeRecord | None]]:
    """Return each entry's content with the record of its outcome."""
    read_: list[tuple[str, dict[str, Any]]] = []
    for entry, fields in page:
        try:
            raw = dict(zip(fields[::2], fields[1::2], strict=True))[b"data"]
            said = decode_record(raw, dict[str, Any], f"{what} {text_of(entry)}")
            said.pop("v", None)
            if what == "line" and isinstance(msgspec.convert(said, cast("type[LineEntry]", LineEntry)), Line):
                Decimal(said["amount"] or 0)
            int(said["id"], 16)
            read_.append((said["outcome_key"], said))
        except Unsafe as wrong:
            scope.differ("", f"{what} {text_of(entry)}", "one that witnd wrote", wrong.reason)
        except (msgspec.MsgspecError, ArithmeticError, KeyError, TypeError, ValueError):
            scope.differ("", f"{what} {text_of(entry)}", "one that witnd wrote", "unreadable")
    if not read_:
        return []
    names = [scope.home(key).outcome(key) for key, _ in read_]
    records = (await scope.reads.pipeline(("MGET", *names)))[0]
    return [(key, said, scope.record(key, raw)) for (key, said), raw in zip(read_, records, strict=True)]


def _compare_members(scope: Scope, key: str, what: str, expected: msgspec.Struct, said: dict[str, Any]) -> None:
    must: dict[str, Any] = msgspec.json.decode(_json(expected))
    if must == said:
        return
    for name in dict.fromkeys((*must, *said)):
        scope.compare(key, f"{what}: {name}", must.get(name, "nothing"), said.get(name, "nothing"))
