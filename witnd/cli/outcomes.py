"""`witnd outcomes`: which outcomes there are, in the order they are due or in none."""

from collections.abc import AsyncIterator
from pathlib import Path

import click
from msgspec import Struct

from witnd.cli.context import Session, as_json, config_option, json_option, run, session, table
from witnd.cli.event import TEXT
from witnd.cli.events import no_cursor, partitions, place_of
from witnd.cli.output import printable
from witnd.domain import instant
from witnd.domain.catalogue import Catalogue
from witnd.domain.explain import SPOKEN
from witnd.domain.outcome import Outcome
from witnd.domain.recount import outcome_of
from witnd.domain.resolution import resolve
from witnd.store.catalogue import CatalogueStore
from witnd.store.codec import OutcomeRecord, decode_outcome, terms_of
from witnd.store.keys import Keys
from witnd.store.listing import earliest_due
from witnd.store.reads import LOOKED_AT_MAX, PAGE, Reads, reading

_SCANNED_MIN = 10
# Both spellings of a missed outcome are understood; people are shown the first.
STATUSES = {"open": "OPEN", "pending": "PENDING", "confirmed": "CONFIRMED", "missed": "FAILED"}


class Listed(Struct, frozen=True, kw_only=True):
    """One outcome of a list. Amounts are those of a confirmed one, null until its period closes where that decides."""

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


class _Wanted(Struct, frozen=True, kw_only=True):
    statuses: frozenset[str]
    customer: str | None
    agent: str | None
    due: bool
    limit: int
    after: str | None
    partition: int | None

    def has(self, outcome: Outcome) -> bool:
        return (
            outcome.status in self.statuses
            and self.customer in (None, outcome.customer_key)
            and self.agent in (None, outcome.contract.agent)
        )


@click.command()
@click.option(
    "--status",
    "spoken",
    type=click.Choice([*STATUSES, "failed"], case_sensitive=False),
    multiple=True,
    help="Only these; `failed` is another word for missed.",
)
@click.option("--customer", type=TEXT, help="Only those of this customer.")
@click.option("--agent", type=TEXT, help="Only those of this agent.")
@click.option("--due", is_flag=True, help="Open and pending ones, in the order they are due.")
@click.option("--partition", type=int, help="Only this partition.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@click.option("--after", metavar="CURSOR", help="Go on behind the list that ended with CURSOR.")
@json_option
@config_option
def outcomes(
    *,
    spoken: tuple[str, ...],
    customer: str | None,
    agent: str | None,
    due: bool,
    partition: int | None,
    limit: int,
    after: str | None,
    json_output: bool,
    config_path: Path | None,
) -> None:
    """List outcomes.

    Without --due they come in no order: their records are walked through, some hundreds at a time,
    so that a list may be a little longer than --limit, and name an outcome twice that changed while
    it was made. At most 100 000 records are looked at in one go; CURSOR then leads on. With --due
    the order is that of settlement, and the list is exact.

    \b
    JSON: {"data": [OUTCOME…], "next_cursor": text or null}, an OUTCOME being
      {"key", "partition", "status", "scheduled_resolution", "customer_key", "agent_key",
       "opened_at", "settles_at", "processed_at", "events_count", "unit", "amount", "currency"}

    \b
    Examples:
      witnd outcomes --due --limit 10
      witnd outcomes --status missed --agent support
      witnd outcomes --customer acme --json
    """
    statuses = frozenset(STATUSES.get(one.lower(), "FAILED") for one in spoken)
    wanted = _Wanted(
        statuses=statuses or frozenset(STATUSES.values()),
        customer=customer,
        agent=agent,
        due=due,
        limit=limit,
        after=after,
        partition=partition,
    )
    run(_outcomes(wanted, json_output, config_path))


async def _outcomes(wanted: _Wanted, as_document: bool, config: Path | None) -> None:
    found: list[Listed] = []
    cursor = None
    async with session(config) as opened, reading(opened.server) as reads:
        catalogue = await learned(opened)
        walk = _due(reads, opened, wanted) if wanted.due else _walk(reads, opened, wanted)
        looked_at = 0
        async for behind, page in walk:
            if len(found) >= wanted.limit or looked_at >= LOOKED_AT_MAX:
                break
            looked_at += len(page)
            for keys, key, record in page:
                outcome = recalled(key, record, catalogue)
                if wanted.has(outcome):
                    found.append(listed(keys, outcome))
            cursor = behind
        else:
            cursor = None
    if as_document:
        as_json({"data": found, "next_cursor": cursor})
        return
    columns = ("key", "status", "customer", "agent", "settles at", "events", "amount")
    table(columns, map(_row, found))
    if cursor is not None:
        click.echo(printable(f"more: --after {cursor}"))


def _row(one: Listed) -> tuple[object, ...]:
    status = SPOKEN[one.status]
    if one.scheduled_resolution is not None:
        status += f" ({SPOKEN[one.scheduled_resolution]})"
    amount = "at close" if one.amount is None else f"{one.amount} {one.currency}"
    return (
        one.key, status, one.customer_key, one.agent_key, one.settles_at, one.events_count,
        "" if one.unit is None else amount,
    )  # fmt: skip


_Page = list[tuple[Keys, str, OutcomeRecord]]


async def _due(reads: Reads, opened: Session, wanted: _Wanted) -> AsyncIterator[tuple[str, _Page]]:
    behind = None if wanted.after is None else place_of(wanted.after)
    async for place, record in earliest_due(reads, partitions(opened, wanted.partition), behind):
        yield str(place), [(opened.keys(place.partition), place.name, record)]


async def _walk(reads: Reads, opened: Session, wanted: _Wanted) -> AsyncIterator[tuple[str, _Page]]:
    first, cursor = 0, "0"
    # Pages no longer than the list, so that it hardly gets longer than was asked for.
    count = max(_SCANNED_MIN, min(wanted.limit, PAGE))
    if wanted.after is not None:
        number, colon, cursor = wanted.after.partition(":")
        if not (colon and number.isdigit() and cursor.isdigit()):
            no_cursor(wanted.after)
        first = int(number)
    for keys in partitions(opened, wanted.partition):
        if keys.partition < first:
            continue
        start = keys.outcome("")
        async for behind, names in reads.scan(start, cursor, count):
            records = (await reads.each(("MGET", *names)))[0] if names else []
            page: _Page = []
            for name, raw in zip(names, records, strict=True):
                record = None if raw is None else decode_outcome(raw)
                if record is not None:
                    page.append((keys, name[len(start.encode()) :].decode(), record))
            # A partition that is through leads to the next one.
            at = f"{keys.partition}:{behind}" if behind != "0" else f"{keys.partition + 1}:0"
            yield at, page
        cursor = "0"


def listed(keys: Keys, outcome: Outcome) -> Listed:
    line = resolve(outcome)[1] if outcome.final else None
    return Listed(
        key=outcome.key,
        partition=keys.partition,
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
    )


async def learned(opened: Session) -> Catalogue:
    """All of the catalogue."""
    catalogue = Catalogue()
    await CatalogueStore(opened.redis, opened.global_keys, opened.partitions).load(catalogue)
    return catalogue


def recalled(key: str, record: OutcomeRecord, catalogue: Catalogue) -> Outcome:
    return outcome_of(key, record, *terms_of(key, record, catalogue))
