"""`witnd outcomes`: list outcomes."""

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import click

from witnd.app.outcomes import list as outcome_list
from witnd.app.outcomes.list import SPELLINGS
from witnd.app.outcomes.view import Listed
from witnd.cli.console.context import config_option, json_option, run, session
from witnd.cli.console.options import page_options
from witnd.cli.console.output import print_page
from witnd.cli.console.texts import TEXT
from witnd.domain.outcomes.explain import STATUS_TEXT
from witnd.store.page import Page
from witnd.store.query.reads import LOOKED_AT_MAX


@click.command()
@click.option(
    "--status",
    "spoken",
    type=click.Choice([*SPELLINGS], case_sensitive=False),
    multiple=True,
    help="Only outcomes with this status; `failed` means missed.",
)
@click.option("--customer", type=TEXT, help="Only outcomes of this customer.")
@click.option("--agent", type=TEXT, help="Only outcomes of this agent.")
@click.option("--key", type=TEXT, help="Only the outcome with this key.")
@click.option("--prefix", type=TEXT, help="Only keys with this prefix; results are sorted by key.")
@click.option("--due", is_flag=True, help="Open and pending outcomes, in the order they settle.")
@click.option("--partition", type=int, help="Only this partition.")
@page_options
@json_option
@config_option
def outcomes(
    *,
    spoken: tuple[str, ...],
    customer: str | None,
    agent: str | None,
    key: str | None,
    prefix: str | None,
    due: bool,
    partition: int | None,
    limit: int,
    after: str | None,
    json_output: bool,
    config_path: Path | None,
) -> None:
    """List outcomes, the newest first.

    With --due, the outcomes that settle first come first; with --prefix, the list is sorted by key. The
    command reads at most 100 000 records. If few of them match, a page may be short and still end with a
    CURSOR: continue with --after.

    \b
    JSON: {"data": [OUTCOME…], "next_cursor": text or null}, an OUTCOME being
      {"key", "partition", "status", "scheduled_resolution", "customer_key", "agent_key",
       "opened_at", "settles_at", "processed_at", "events_count", "unit", "amount", "currency",
       "grade", "reversed_at"}

    \b
    Examples:
      witnd outcomes --due --limit 10
      witnd outcomes --status missed --agent support
      witnd outcomes --customer acme --json
    """
    if key is not None and (due or partition is not None):
        raise click.UsageError("--key selects one outcome; leave out --due and --partition")
    if due and prefix is not None:
        raise click.UsageError("--due and --prefix sort differently; give only one of them")
    wanted = partial(
        outcome_list.page,
        status=",".join(spoken) or None,
        customer=customer,
        agent=agent,
        key=key,
        prefix=prefix,
        is_due=due,
        partition=partition,
        limit=limit,
        after=after,
        looked_at_max=LOOKED_AT_MAX,
    )
    run(_outcomes(wanted, json_output, config_path))


async def _outcomes(wanted: Callable[..., Awaitable[Page[Listed]]], as_document: bool, config: Path | None) -> None:
    async with session(config) as opened:
        page = await wanted(opened.services)
    columns = ("key", "status", "customer", "agent", "settles at", "events", "amount")
    print_page(page, columns, lambda rows: map(_row, rows), as_document=as_document)


def _row(one: Listed) -> tuple[object, ...]:
    status = STATUS_TEXT[one.status]
    if one.scheduled_resolution is not None:
        status += f" ({STATUS_TEXT[one.scheduled_resolution]})"
    if one.reversed_at is not None:
        status += " (reversed)"
    amount = "at close" if one.amount is None else f"{one.amount} {one.currency}"
    return (
        one.key, status, one.customer_key, one.agent_key, one.settles_at, one.events_count,
        "" if one.unit is None else amount,
    )  # fmt: skip
