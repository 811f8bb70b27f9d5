"""Outcomes as JSON: a row of a list, and one outcome with its explanation."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from witnd.app.outcomes.frozen_terms import Terms, terms
from witnd.app.outcomes.on_hold import OnHold, damaged, on_hold
from witnd.app.outcomes.reversal import ReversingEvent, reversing_event
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.invoices.invoice import PeriodJson, period_json
from witnd.domain.outcomes.event import EntryId
from witnd.domain.outcomes.explain import BilledUnit, Explainer, Reasoning
from witnd.domain.outcomes.outcome import Outcome
from witnd.domain.outcomes.resolution import Line, Resolution, resolve
from witnd.domain.values import instant
from witnd.store.deliveries.reads import Deliveries, FoundDelivery
from witnd.store.errors import Unreadable
from witnd.store.invoices.reads import Invoices
from witnd.store.keys import Keys
from witnd.store.partition.holds import hold_of
from witnd.store.query.outcomes import read_outcome
from witnd.store.query.reads import Reads, text_of
from witnd.store.records.held_codec import decode_held

# Events told of one outcome at a time: about a megabyte.
EVENTS_MOST: Final = 1000
# To tell any of them all before it are counted, some 10 µs each. Beyond this that is no request's business.
COUNTED_MOST: Final = 100_000


class Listed(Struct, frozen=True, kw_only=True):
    """An outcome in a list. The amounts of a confirmed outcome are null if they are calculated when the period
    closes. `reversed_at`: when an event reversed it, or null; its status is then still CONFIRMED."""

    key: str
    partition: int
    status: str
    scheduled_resolution: str | None
    customer_key: str
    agent_key: str
    opened_at: str
    settles_at: str
    processed_at: str | None
    events_count: int
    unit: str | None
    amount: str | None
    currency: str | None
    grade: str | None
    reversed_at: str | None = None


class HeldEvent(Struct, frozen=True, kw_only=True):
    """A held event, and the reason."""

    entry: str
    accepted_at: str
    action: str
    customer_key: str
    agent_key: str | None
    reason: str


class Told(Struct, frozen=True, kw_only=True):
    """A delivery of the outcome's resolution, or of its reversal."""

    id: str
    rule: str
    standing: str
    attempts: int
    due_at: str | None
    reason: str | None


class OnInvoice(PeriodJson, frozen=True, kw_only=True):
    """The invoice of the line. `amount` is the amount on the invoice; null until it is calculated, or if the invoice
    is too long to search."""

    id: str
    number: str | None
    status: str
    closed: bool
    amount: str | None


class Explained(Struct, frozen=True, kw_only=True):
    """An outcome with its explanation. For a key with only held events, all members except `key`, `partition` and
    `held` are null or empty; for an outcome on hold, all except `key`, `partition` and `on_hold`. `story.events` are
    the last events, or the events after `events_after`; continue with `events_next_cursor`. `story` is null for an
    outcome with too many events: use `witnd explain`. `reversal` is null unless an event reversed the outcome."""

    key: str
    partition: int
    outcome: Listed | None
    terms: Terms | None
    story: Reasoning | None
    events_next_cursor: str | None
    resolution: Resolution | None
    line: Line | None
    invoice: OnInvoice | None
    deliveries: list[Told]
    held: list[HeldEvent]
    reversal: ReversingEvent | None = None
    on_hold: OnHold | None = None


def listed(partition: int, outcome: Outcome) -> Listed:
    line = resolve(outcome)[1] if outcome.is_final else None
    return Listed(
        key=outcome.key,
        partition=partition,
        status=outcome.status,
        scheduled_resolution=outcome.scheduled_resolution,
        customer_key=outcome.customer_key,
        agent_key=outcome.contract.agent,
        opened_at=instant.render(outcome.opened_at),
        settles_at=instant.render(outcome.settles_at),
        processed_at=(None if outcome.processed_at is None else instant.render(outcome.processed_at)),
        events_count=outcome.events,
        unit=None if line is None else line.unit,
        amount=None if line is None else line.amount,
        currency=None if line is None else line.currency,
        grade=None if line is None else line.grade,
        reversed_at=None if outcome.reversed_at is None else instant.render(outcome.reversed_at),
    )


async def explained(
    reads: Reads,
    keys: Keys,
    key: str,
    catalogue: Catalogue,
    deliveries: Deliveries,
    invoices: Invoices,
    *,
    after: EntryId | None = None,
    most: int | None = None,
    is_whole: bool = False,
) -> tuple[Explained | None, BilledUnit | None]:
    """Return an outcome with at most `most` of its events, or all; None if the key is unused. Also return its billing
    unit, if it has a `story`."""
    outcome, held, held_back = await found_of(reads, keys, key, catalogue)
    if outcome is None or held_back is not None:
        is_unused = not held and held_back is None
        return None if is_unused else without_outcome(keys, key, held_back, held), None
    try:
        told, unit, cursor = None, None, None
        if is_whole or outcome.events <= COUNTED_MOST:
            shown = outcome.events if is_whole else EVENTS_MOST if most is None else most
            told, unit, cursor = await _story(reads, keys, outcome, after, shown)
    except Unreadable:
        return without_outcome(keys, key, await damaged(reads, keys, key)), None
    resolution, line = resolve(outcome) if outcome.is_final else (None, None)
    invoice = None if line is None else await on_invoice(invoices, line)
    ends = None if invoice is None else instant.parse(invoice.period_end)
    found = Explained(
        key=key,
        partition=keys.partition,
        outcome=listed(keys.partition, outcome),
        terms=terms(outcome),
        story=told,
        events_next_cursor=cursor,
        resolution=resolution,
        line=line,
        invoice=invoice,
        deliveries=deliveries_told(await deliveries.of_outcome(key)) if outcome.is_final else [],
        held=[],
        reversal=None if line is None else await reversing_event(reads, keys, outcome, line, invoices, ends),
    )
    return found, unit


def without_outcome(keys: Keys, key: str, held_back: OnHold | None = None, held: Sequence[HeldEvent] = ()) -> Explained:
    """Return a key without a readable outcome."""
    return Explained(
        key=key, partition=keys.partition, outcome=None, terms=None, story=None, events_next_cursor=None,
        resolution=None, line=None, invoice=None, deliveries=[], held=list(held), on_hold=held_back,
    )  # fmt: skip


async def found_of(
    reads: Reads, keys: Keys, key: str, catalogue: Catalogue
) -> tuple[Outcome | None, list[HeldEvent], OnHold | None]:
    """Return the outcome of a key, its held events, or the error of damaged data."""
    hold = await hold_of(reads, keys, key)
    if hold is None:
        outcome = await read_outcome(reads, keys, key, catalogue)
        if outcome is not None:
            return outcome, [], None
        if (held_back := await damaged(reads, keys, key)) is not None:
            return None, [], held_back
        if held := await held_events(reads, keys, key):
            return None, held, None
        # The events may have been placed between the two reads.
        return await read_outcome(reads, keys, key, catalogue), [], None
    return None, [], await on_hold(reads, keys, key, hold)


async def _story(
    reads: Reads, keys: Keys, outcome: Outcome, after: EntryId | None, most: int
) -> tuple[Reasoning, BilledUnit, str | None]:
    """Return the explanation with the last events, or the events after `after`; the billing unit; the next cursor."""
    telling, count, shown, last = Explainer(outcome), 0, 0, None
    async for page in reads.history(keys, outcome.key, most=outcome.events):
        for item in page:
            count += 1
            wanted = count > outcome.events - most if after is None else item.entry > after
            told = wanted and shown < most
            telling.add(item, is_shown=told, is_last=count == outcome.events)
            if told:
                shown, last = shown + 1, (count, item.entry)
    more = last is not None and last[0] < outcome.events
    return telling.explanation(), telling.unit, text_of(last[1]) if last is not None and more else None


async def held_events(reads: Reads, keys: Keys, key: str) -> list[HeldEvent]:
    """Return the held events of a key in log order."""
    [waiting] = await reads.pipeline(("LRANGE", keys.held_events(key), 0, -1))
    events = [decode_held(key, item) for item in waiting]
    fates = await reads.fates_of(keys, [text_of(entry) for entry, _ in events])
    return [
        HeldEvent(
            entry=text_of(entry),
            accepted_at=instant.render(entry[0]),
            action=event.action,
            customer_key=event.customer_key,
            agent_key=event.agent_key,
            reason=(fate and fate.reason) or "",
        )
        for (entry, event), fate in zip(events, fates, strict=True)
    ]


def deliveries_told(found: Sequence[FoundDelivery]) -> list[Told]:
    return [
        Told(
            id=each.row.id,
            rule="" if each.row.delivery is None else each.row.delivery.rule_name,
            standing=each.row.progress.standing,
            attempts=each.row.progress.started,
            due_at=None if each.row.progress.due_ms is None else instant.render(each.row.progress.due_ms),
            reason=each.row.progress.reason,
        )
        for each in found
    ]


async def on_invoice(invoices: Invoices, line: Line) -> OnInvoice | None:
    """Return the invoice of a line; None if the line is not on an invoice yet."""
    found = await invoices.of_outcome(line.customer_key, line.currency, line.billed_at)
    if found is None:
        return None
    amount = line.amount
    if amount is None and found.closed:
        row = await invoices.rows.of_outcome(found, line.outcome_key, line.billed_at)
        amount = None if row is None else row.amount
    return OnInvoice(
        id=found.id,
        number=found.number,
        status=found.status,
        closed=found.closed,
        **period_json(found),
        amount=amount,
    )
