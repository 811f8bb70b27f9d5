"""Audit outcomes: recount each from its history, and check its deliveries."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Final, Protocol

import msgspec

from witnd.audit.scope import Scope
from witnd.domain.outcomes.event import EntryId
from witnd.domain.outcomes.outcome import Outcome
from witnd.domain.outcomes.recount import Recount, reversal_differences
from witnd.domain.outcomes.report import deliveries, reversal_deliveries
from witnd.domain.outcomes.resolution import derived_id, resolve
from witnd.domain.outcomes.reversal import reverse
from witnd.domain.values import instant
from witnd.domain.webhooks.message import Delivery
from witnd.fold.history import HistoryItem, decode_history
from witnd.store.deliveries.fan_out_codec import decode_unqueued
from witnd.store.deliveries.outbox import decode_progress, decode_row, read_row
from witnd.store.errors import Unreadable
from witnd.store.query.reads import Command
from witnd.store.records.codec import OutcomeRecord
from witnd.store.records.score import score_to_int
from witnd.store.records.sealed import unseal_items

CHUNK: Final = 100  # outcomes per atomic read
FIRST_ITEMS: Final = 100  # of a history; the rest is read in pages

_pack = msgspec.msgpack.Encoder().encode


async def check_outcomes(scope: Scope, names: Sequence[str]) -> None:
    """Check and count the outcomes of these keys."""
    if scope.quick:
        await _count(scope, names)
        return
    for at in range(0, len(names), CHUNK):
        await _recount(scope, names[at : at + CHUNK])


async def _count(scope: Scope, names: Sequence[str]) -> None:
    if not names:
        return
    records = (await scope.reads.pipeline(("MGET", *map(scope.keys.outcome, names))))[0]
    for key, raw in zip(names, records, strict=True):
        record = scope.record(key, raw)
        if record is not None:
            _count_outcome(scope, key, record)


def _count_outcome(scope: Scope, key: str, record: OutcomeRecord) -> None:
    """Count an outcome and the entries it requires."""
    totals = scope.totals
    totals.statuses[record.status] += 1
    totals.events_on_record += record.events
    totals.fates["applied"] += record.tailed
    if record.processed_at is None:
        return
    totals.resolutions_mark += int(derived_id("resolution", key), 16)
    if scope.precise:
        scope.resolved[key] -= 1
    if record.status == "CONFIRMED":
        totals.lines_mark += int(derived_id("line", key), 16)
        if scope.precise:
            scope.billed[key] -= 1
    if record.reversal:
        totals.reversals += 1
        totals.reversals_mark += int(derived_id("reversal", key), 16)
        if scope.precise:
            scope.reversed[key] -= 1
            scope.corrected[key] -= 1


async def _recount(scope: Scope, names: Sequence[str]) -> None:
    keys = scope.keys
    commands: list[Command] = []
    for key in names:
        commands += (
            ("GET", keys.outcome(key)),
            ("LLEN", keys.history(key)),
            ("LRANGE", keys.history(key), 0, FIRST_ITEMS - 1),
            ("ZSCORE", keys.due, key),
        )
    answers = await scope.reads.transaction_with_errors(*commands)
    told: list[Delivery] = []
    for place, key in enumerate(names):
        raw, length, items, due = answers[4 * place : 4 * place + 4]
        if isinstance(due, Exception):
            await scope.reads.pipeline(("ZSCORE", keys.due, key))  # raises: it concerns every outcome
        wrong = [one for one in (raw, length) if isinstance(one, Exception)]
        if wrong and key not in scope.damaged:
            scope.damage(key, f"its record or history is another type of key: {wrong[0]}")
        record = scope.record(key, raw)
        if record is None:
            continue
        outcome = scope.outcome(key, record)
        counted = None if outcome is None else Recount(outcome.contract)
        mark = 0
        try:
            history = unseal_items(key, items)
            if length <= FIRST_ITEMS:
                history += record.items
            mark = _add_history(key, counted, [decode_history(item) for item in history[: record.events]])
            if record.reversal:
                mark += _add_history(key, None, [decode_history(record.reversal)])
            if length > FIRST_ITEMS:
                async for page in scope.reads.history(keys, key, most=record.events, skip=FIRST_ITEMS):
                    mark += _add_history(key, counted, page)
        except Unreadable as damaged:
            scope.damage(key, f"its history is unreadable: {damaged.reason}", record.status)
            continue
        _count_outcome(scope, key, record)
        scope.totals.history_mark += mark
        if scope.precise:
            scope.history_marks[key] += mark
        scope.compare(key, "length of the history", record.events, length + record.tailed)
        if outcome is None or counted is None:
            continue
        for one in counted.differences(record):
            scope.differ(key, one.what, one.expected, one.found)
        if record.reversal:
            for one in reversal_differences(outcome.contract, record, decode_history(record.reversal)):
                scope.differ(key, one.what, one.expected, one.found)
        _check_terms(scope, outcome, counted.opened_at)
        bound = None if outcome.is_final else record.indexed_deadline
        scope.compare(key, "stored deadline", bound, None if due is None else score_to_int(due))
        if bound is not None and bound > record.settles_at:
            scope.differ(key, "stored deadline", f"{record.settles_at} or before", bound)
        if outcome.is_final:
            told += _deliveries(scope, outcome)
    await _check_deliveries(scope, told)


def _add_history(key: str, counted: Recount | None, items: Sequence[HistoryItem]) -> int:
    """Add history items. Return the sum of their marks."""
    mark = 0
    for item in items:
        if counted is not None:
            counted.add(item)
        mark += applied_mark(key, item.entry, item)
    return mark


def applied_mark(key: str, entry: EntryId, item: Any) -> int:
    """Return the mark of an applied event, an integer digest of its relevant fields."""
    attribution = None if item.attribution is None else str(item.attribution)
    said = (key, entry, item.action, item.timestamp, item.value, attribution, item.pin, item.mark)
    return int.from_bytes(blake2b(_pack(said), digest_size=16).digest())


def _check_terms(scope: Scope, outcome: Outcome, opened_at: int) -> None:
    """Check that the frozen terms were in effect when the outcome opened."""
    catalogue, key = scope.catalogue, outcome.key
    when = instant.render(opened_at)
    contract = catalogue.agent(outcome.contract.agent, opened_at)
    customer = catalogue.customer(outcome.customer_key, opened_at)
    if contract is not None and customer is not None:
        contract = catalogue.contract_for(customer, contract)
    expected = "none in effect" if contract is None else contract.hash
    scope.compare(key, f"contract at {when}", expected, outcome.contract.hash)
    if customer is None:
        scope.differ(key, f"customer at {when}", "in effect", f"unknown: {outcome.customer_key}")
        return
    entries = catalogue.entries(customer, outcome.contract.agent, opened_at)
    if isinstance(entries, str):
        scope.compare(key, f"price at {when}", entries, outcome.price.hash)
        return
    grades = [None] if outcome.contract.grades is None else [grade["key"] for grade in outcome.contract.grades]
    for place, grade in enumerate(grades):
        price = entries.get(grade) or entries.get(None)
        found = outcome.price if outcome.graded is None else outcome.graded[place]
        of = "price" if grade is None else f"price of grade {grade}"
        scope.compare(key, f"{of} at {when}", "none" if price is None else price.hash, found.hash)


# -- deliveries ----------------------------------------------------------------------------------


def _deliveries(scope: Scope, outcome: Outcome) -> list[Delivery]:
    """Return the expected deliveries of a final outcome, and of its reversal."""
    resolution, line = resolve(outcome)
    found = list(deliveries(scope.catalogue, outcome, resolution, line))
    if outcome.reversed_by is not None:
        found += reversal_deliveries(scope.catalogue, outcome, reverse(outcome)[1])
    return found


async def _check_deliveries(scope: Scope, told: Sequence[Delivery]) -> None:
    keys = scope.keys
    scope.totals.deliveries += len(told)
    # Read first, so that deliveries that are queued meanwhile have their row.
    waiting = await _queued_rows(scope, sorted({one.outcome_key for one in told}))
    for at in range(0, len(told), CHUNK):
        chunk = told[at : at + CHUNK]
        commands: list[Command] = []
        for one in chunk:
            commands += (
                ("HGET", keys.deliveries, one.id),
                ("HGET", keys.messages, one.outcome_key),
                ("HGET", keys.attempts, one.id),
                ("ZSCORE", keys.outbox(one.rule_id), one.id),
                ("ZSCORE", keys.parked(one.rule_id), one.id),
                ("ZSCORE", keys.dead, one.id),
                ("ZSCORE", keys.delivered, one.id),
                ("SISMEMBER", keys.outbox_rules, one.rule_id),
            )
        answers = await scope.reads.transaction(*commands)
        for place, one in enumerate(chunk):
            check_delivery(scope, one, answers[8 * place : 8 * place + 8], waiting.get(one.id))


async def _queued_rows(scope: Scope, outcomes: Sequence[str]) -> dict[str, bytes]:
    """Return the queue rows that the relay has not processed yet, by delivery."""
    found: dict[str, bytes] = {}
    if not outcomes:
        return found
    keys = scope.keys
    rules, messages = await scope.reads.transaction(
        ("HMGET", keys.unqueued, *outcomes), ("HMGET", keys.messages, *outcomes)
    )
    for outcome, record, message in zip(outcomes, rules, messages, strict=True):
        if record is None:
            continue
        try:
            found |= {row.id: row.row for row in decode_unqueued(outcome, record, message).rows}
        except Unreadable as damaged:
            scope.differ(
                outcome, "deliveries to be queued", "the rules of this outcome", f"unreadable: {damaged.reason}"
            )
    return found


class Report(Protocol):
    """Takes differences of a key."""

    def differ(self, key: str, what: str, expected: object, found: object) -> None: ...

    def compare(self, key: str, what: str, expected: object, found: object) -> None: ...


def check_delivery(scope: Report, expected: Delivery, found: Sequence[Any], waiting: bytes | None) -> None:
    """Compare a delivery with its row, state and lists. `waiting`: its row if it is not queued yet."""
    record, message, stored, queued, parked, dead, delivered, named = found
    key, what = expected.outcome_key, f"delivery {expected.id}"
    is_waiting = record is None and waiting is not None
    if is_waiting:
        record = waiting
    if record is None:
        scope.differ(key, what, f"one for rule {expected.rule_name}", "none")
        return
    try:
        if decode_row(expected.id, record, message) != expected:
            scope.differ(key, what, "the message of this outcome", "another message")
        if stored is not None:
            decode_progress(stored)
        progress = read_row(expected.id, record, message, stored).progress
    except Unreadable as damaged:
        scope.differ(key, what, "the message of this outcome", f"unreadable: {damaged.reason}")
        return
    waits = None if queued is None else score_to_int(queued)
    scope.compare(key, f"{what}: due in the outbox", None if is_waiting else progress.queued_ms, waits)
    if queued is not None and not named:
        scope.differ(key, f"{what}: rule in the outbox", expected.rule_id, "not named")
    lists = {"parked": parked, "dead": dead, "delivered": delivered}
    for name, score in lists.items():
        there = progress.standing == name
        scope.compare(key, f"{what}: in the list {name}", there, score is not None)
