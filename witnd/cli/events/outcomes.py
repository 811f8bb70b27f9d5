"""`witnd outcomes`: which outcomes there are, the newest first, or by when they are due, or by key."""

from collections.abc import Sequence
from pathlib import Path

import click

from witnd.app.outcomes.list import STATUSES
from witnd.app.outcomes.view import Listed, listed
from witnd.cli.console.context import as_json, config_option, json_option, load_catalogue, run, session, table
from witnd.cli.console.output import printable
from witnd.cli.console.texts import TEXT
from witnd.cli.events.event_choice import partitions
from witnd.cli.events.events import place_of
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.outcomes.explain import STATUS_TEXT
from witnd.domain.outcomes.outcome import Outcome
from witnd.domain.outcomes.recount import restore_outcome
from witnd.store.keys import Keys
from witnd.store.query import outcomes as store
from witnd.store.query.cursor import Place
from witnd.store.query.merged import earliest_due
from witnd.store.query.outcomes import Page, Wanted
from witnd.store.query.reads import LOOKED_AT_MAX, Reads, reading
from witnd.store.records.codec import terms_of


@click.command()
@click.option(
    "--status",
    "spoken",
    type=click.Choice([*STATUSES], case_sensitive=False),
    multiple=True,
    help="Only these; `failed` is another word for missed.",
)
@click.option("--customer", type=TEXT, help="Only those of this customer.")
@click.option("--agent", type=TEXT, help="Only those of this agent.")
@click.option("--prefix", type=TEXT, help="Only those whose key begins so, in the order of their keys.")
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
    prefix: str | None,
    due: bool,
    partition: int | None,
    limit: int,
    after: str | None,
    json_output: bool,
    config_path: Path | None,
) -> None:
    """List outcomes.

    The newest come first; with --due those that settle first, and with --prefix in the order of
    their keys. At most 100 000 records are looked at in one go: where what is asked for is rare, a
    list may be short and still end with a CURSOR, which then leads on.

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
    wanted = Wanted(
        statuses=frozenset(STATUSES[one.lower()] for one in spoken or STATUSES),
        customer=customer,
        agent=agent,
        prefix=prefix,
    )
    if due and prefix is not None:
        raise click.UsageError("--due and --prefix are two orders: give one of them")
    run(_outcomes(wanted, partition, limit, after, config_path, due=due, as_document=json_output))


async def _outcomes(
    wanted: Wanted, partition: int | None, limit: int, after: str | None, config: Path | None,
    *, due: bool, as_document: bool,
) -> None:  # fmt: skip
    behind = None if after is None else place_of(after)
    async with session(config) as opened, reading(opened.server) as reads:
        chosen = partitions(opened, partition)
        catalogue = await load_catalogue(opened)
        look_for = _due if due else store.listed
        page = await look_for(
            reads, chosen, catalogue, wanted, limit=limit, look=LOOKED_AT_MAX, behind=behind
        )  # fmt: skip
    found = [listed(place.partition, outcome) for place, outcome in page.data]
    cursor = None if page.behind is None else str(page.behind)
    if as_document:
        as_json({"data": found, "next_cursor": cursor})
        return
    columns = ("key", "status", "customer", "agent", "settles at", "events", "amount")
    table(columns, map(_row, found))
    if cursor is not None:
        click.echo(printable(f"more: --after {cursor}"))


def _row(one: Listed) -> tuple[object, ...]:
    status = STATUS_TEXT[one.status]
    if one.scheduled_resolution is not None:
        status += f" ({STATUS_TEXT[one.scheduled_resolution]})"
    amount = "at close" if one.amount is None else f"{one.amount} {one.currency}"
    return (
        one.key, status, one.customer_key, one.agent_key, one.settles_at, one.events_count,
        "" if one.unit is None else amount,
    )  # fmt: skip


async def _due(
    reads: Reads, chosen: Sequence[Keys], catalogue: Catalogue, wanted: Wanted,
    *, limit: int, look: int, behind: Place | None,
) -> Page:  # fmt: skip
    """Open ones by when they settle."""
    found: list[tuple[Place, Outcome]] = []
    looked_at, last = 0, behind
    async for place, record in earliest_due(reads, chosen, behind):
        outcome = restore_outcome(place.name, record, *terms_of(place.name, record, catalogue))
        if looked_at == look or (wanted.has(outcome) and len(found) == limit):
            return Page(found, last)
        if wanted.has(outcome):
            found.append((place, outcome))
        looked_at, last = looked_at + 1, place
    return Page(found, None)
