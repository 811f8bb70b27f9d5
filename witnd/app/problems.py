"""Problems that need attention: counts, the first of each kind, and retry of held events."""

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from msgspec import Struct

from witnd.app.daemon_services import DaemonServices
from witnd.app.outcomes.on_hold import KeysOnHold, longest
from witnd.app.services import Services, rule_ids
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.invoices.invoice import Invoice, PeriodJson, period_json
from witnd.domain.outcomes.event import Event
from witnd.domain.values import instant
from witnd.domain.webhooks.notification import rule_id
from witnd.store.errors import DamagedInvoice, Unreadable
from witnd.store.keys import BillingKeys, Keys
from witnd.store.log.reader import entry_id
from witnd.store.query import overview
from witnd.store.query.cursor import Cursor
from witnd.store.query.fates import Fate, recorded_fate, shorten
from witnd.store.query.merged import newest_fates
from witnd.store.query.overview import StuckCounts
from witnd.store.query.reads import Reads, text_of
from witnd.store.records.held_codec import decode_held

# Of each kind; the lists behind the links have all.
SHOWN: Final = 20


class HeldKey(Struct, frozen=True, kw_only=True):
    """A key with held events. `reason` and `since` are those of its first one."""

    key: str
    partition: int
    since: str
    events: int
    reason: str
    href: str


class Waiting(Struct, frozen=True, kw_only=True):
    """A key with held events, and the first of them."""

    held: HeldKey
    first: Event


class HeldKeys(Struct, frozen=True, kw_only=True):
    """Keys with held events, the longest waiting first."""

    count: int
    items: list[HeldKey]
    href: str


class Rejected(Struct, frozen=True, kw_only=True):
    """Rejected events, the newest first. They are kept; `last_day` shows whether more arrive."""

    count: int
    last_day: int
    items: list[Fate]
    href: str


class StuckDelivery(Struct, frozen=True, kw_only=True):
    """A delivery that was given up (`dead`) or is parked (`parked`). `subject_key` and `type` as in a delivery;
    `outcome_key` is empty if it reports on no outcome."""

    id: str
    standing: str
    rule: str
    subject_key: str
    outcome_key: str
    type: str
    attempts: int
    reason: str | None
    href: str


class StuckDeliveries(Struct, frozen=True, kw_only=True):
    """The number of given up (`dead`) and parked (`parked`) deliveries."""

    dead: int
    parked: int
    items: list[StuckDelivery]
    dead_href: str
    parked_href: str


class FailingEndpoint(Struct, frozen=True, kw_only=True):
    """An endpoint whose last attempt failed. `suspended_at`: since when witnd sends nothing to it."""

    rule_id: str
    rule: str
    failing_since: str | None
    suspended_at: str | None
    reason: str | None
    parked: int
    href: str


class WaitingDraft(PeriodJson, frozen=True, kw_only=True):
    """A draft of a closed period."""

    id: str
    customer_key: str
    currency: str
    href: str


class WaitingDrafts(Struct, frozen=True, kw_only=True):
    """Drafts of closed periods, the oldest first. `count`: drafts that you must issue, or that are past the end of
    grace. `in_review`: drafts that witnd issues when `billing.grace` has passed."""

    count: int
    in_review: int
    items: list[WaitingDraft]
    href: str


class Problems(Struct, frozen=True, kw_only=True):
    """`count`: outcomes on hold, held keys, events rejected in the last 24 hours, dead and parked deliveries,
    suspended endpoints, waiting drafts, and troubles. `troubles`: why a partition or invoicing is blocked."""

    count: int
    on_hold: KeysOnHold
    held: HeldKeys
    rejected: Rejected
    deliveries: StuckDeliveries
    endpoints: list[FailingEndpoint]
    drafts: WaitingDrafts
    troubles: list[str]


async def stuck(services: Services, reads: Reads, catalogue: Catalogue) -> StuckCounts:
    billing = services.config.billing
    grace_ms = None if billing.issue == "manual" else int(billing.grace * 1000)
    return await overview.stuck_counts(reads, services.partitions, services.keys, rule_ids(catalogue), grace_ms)


def count(found: StuckCounts, troubles: Sequence[str]) -> int:
    """Return the number of problems."""
    suspended = sum(state.suspended for state in found.endpoints.values())
    deliveries = found.dead + sum(found.parked.values())
    return (
        found.on_hold + found.held + found.rejected_lately + deliveries + suspended + found.drafts_due + len(troubles)
    )


async def problems(services: DaemonServices, reads: Reads, catalogue: Catalogue) -> Problems:
    """Return all problems, with the first of each kind."""
    return (await needs(services, reads, catalogue))[0]


async def needs(services: DaemonServices, reads: Reads, catalogue: Catalogue) -> tuple[Problems, list[Waiting]]:
    """Return the problems, and what the held keys wait for."""
    found = await stuck(services, reads, catalogue)
    partitions, health = services.partitions, services.health()
    drafts, damaged = await _drafts(services, reads)
    troubles = [*health.troubles, *health.alarms, *damaged]
    held = await _waiting(reads, partitions)
    rejected: list[Fate] = []
    async for at, record in newest_fates(reads, partitions, ["rejected"], None, SHOWN):
        if record is not None:
            rejected.append(recorded_fate(at.partition, entry_id(at.name), record, None))
        if len(rejected) == SHOWN:
            break
    told = Problems(
        count=count(found, troubles),
        on_hold=KeysOnHold(count=found.on_hold, items=await longest(reads, partitions, SHOWN)),
        held=HeldKeys(count=found.held, items=[one.held for one in held], href="/v1/events?fate=held"),
        rejected=Rejected(
            count=found.rejected,
            last_day=found.rejected_lately,
            items=[shorten(one) for one in rejected],
            href="/v1/events?fate=rejected",
        ),
        deliveries=StuckDeliveries(
            dead=found.dead,
            parked=sum(found.parked.values()),
            items=await _deliveries(services, found),
            dead_href="/v1/deliveries?standing=dead",
            parked_href="/v1/deliveries?standing=parked",
        ),
        endpoints=_endpoints(found, catalogue),
        drafts=WaitingDrafts(
            count=found.drafts_due,
            in_review=found.drafts - found.drafts_due,
            items=drafts,
            href="/v1/invoices?status=draft",
        ),
        troubles=troubles,
    )
    return told, held


async def _waiting(reads: Reads, partitions: Sequence[Keys]) -> list[Waiting]:
    """Return the keys that have waited the longest."""
    first: list[Cursor] = []
    for keys in partitions:
        page = await reads.score_range(keys.held, "-inf", "+inf", 0, SHOWN)
        first += [Cursor(ms, keys.partition, key) for key, ms in page]
    by_number = {keys.partition: keys for keys in partitions}
    found: list[Waiting] = []
    for at in sorted(first)[:SHOWN]:
        keys = by_number[at.partition]
        events, items = await reads.transaction(
            ("LLEN", keys.held_events(at.name)), ("LRANGE", keys.held_events(at.name), 0, 0)
        )
        if not items:
            continue  # placed meanwhile
        try:
            entry, event = decode_held(at.name, items[0])
        except Unreadable:
            continue  # it is on hold, and listed there
        [fate] = await reads.fates_of(keys, [text_of(entry)])
        found.append(
            Waiting(
                first=event,
                held=HeldKey(
                    key=at.name,
                    partition=at.partition,
                    since=instant.render(at.ms),
                    events=events,
                    reason=(fate and fate.reason) or "",
                    href=f"/v1/outcomes/{quote(at.name, safe='')}",
                ),
            )
        )
    return found


async def _deliveries(services: Services, found: StuckCounts) -> list[StuckDelivery]:
    deliveries = await services.deliveries()
    rows = await deliveries.newest(["dead"], None, SHOWN) if found.dead else []
    for rule in found.parked:
        if len(rows) < SHOWN:
            rows += await deliveries.newest(["parked"], rule, SHOWN - len(rows))
    return [
        StuckDelivery(
            id=one.row.id,
            standing=one.row.progress.standing,
            rule="" if one.row.delivery is None else one.row.delivery.rule_name,
            subject_key="" if one.row.delivery is None else one.row.delivery.outcome_key,
            outcome_key="" if one.row.delivery is None or one.partition is None else one.row.delivery.outcome_key,
            type="" if one.row.delivery is None else one.row.delivery.type,
            attempts=one.row.progress.started,
            reason=one.row.progress.reason,
            href=f"/v1/deliveries/{one.row.id}",
        )
        for one in rows
    ]


def _endpoints(found: StuckCounts, catalogue: Catalogue) -> list[FailingEndpoint]:
    names = {rule_id(name): name for name in catalogue.keys("notification_rule")}
    return [
        FailingEndpoint(
            rule_id=rule,
            rule=names[rule],
            failing_since=None if state.failing_since is None else instant.render(state.failing_since),
            suspended_at=None if state.suspended_at is None else instant.render(state.suspended_at),
            reason=state.reason,
            parked=found.parked.get(rule, 0),
            href=f"/v1/notification-rules/{rule}",
        )
        for rule, state in sorted(found.endpoints.items(), key=lambda one: (not one[1].suspended, one[0]))
        if rule in names
    ]


async def _drafts(services: Services, reads: Reads) -> tuple[list[WaitingDraft], list[str]]:
    """Return the first drafts, and errors of those with damaged data."""
    [ids] = await reads.pipeline(("ZRANGE", BillingKeys(services.keys.prefix).to_issue, 0, SHOWN - 1))
    found: list[Invoice | None] = []
    damaged: list[str] = []
    for id_ in ids:
        try:
            found.append(await services.invoices.get(id_.decode()))
        except DamagedInvoice as wrong:
            damaged.append(str(wrong))
    drafts = [
        WaitingDraft(
            id=one.id,
            customer_key=one.customer_key,
            currency=one.currency,
            **period_json(one),
            href=f"/v1/invoices/{one.id}",
        )
        for one in found
        if one is not None
    ]
    return drafts, damaged
