"""`witnd deliveries`: list, show and resend webhook deliveries."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

import click
from msgspec.structs import replace

from witnd.app import deliveries as use
from witnd.app.catalogue import rules
from witnd.app.errors import not_found
from witnd.cli.console.author import author
from witnd.cli.console.context import as_json, config_option, json_option, run, session, table
from witnd.cli.console.failure import refusal_text
from witnd.cli.console.options import INSTANT_TEXT, DefaultGroup, page_options
from witnd.cli.console.output import print_page, printable
from witnd.cli.console.texts import TEXT
from witnd.cli.events.delivery import ATTEMPT_COLUMNS, COLUMNS, attempt_cells, cells, lines
from witnd.domain.webhooks.delivery import STANDINGS, Standing
from witnd.exit_codes import USAGE
from witnd.store.deliveries.reads import ENDED, LOOKED_AT_MAX


@click.group(cls=DefaultGroup)
def deliveries() -> None:
    """List and show webhook deliveries; resend them; resume a suspended endpoint.

    The default command is `list`.
    """


@deliveries.command("list")
@click.option("--state", type=click.Choice(STANDINGS), help="Only deliveries in this state.")
@click.option("--rule", type=TEXT, help="Only deliveries of this rule (name or id).")
@click.option("--key", type=TEXT, help="Only deliveries about this outcome.")
@page_options
@json_option
@config_option
def list_(
    *,
    state: Standing | None,
    rule: str | None,
    key: str | None,
    limit: int,
    after: str | None,
    json_output: bool,
    config_path: Path | None,
) -> None:
    """List deliveries, the newest first; with --state pending, the ones that are due next.

    pending: waits for its next attempt. delivered: the endpoint responded with 2xx. parked: the endpoint is
    suspended or the rule is not in effect; `resume` sends it. dead: given up after the last attempt;
    `resend` sends it.

    \b
    JSON: {"data": [DELIVERY…], "next_cursor": text or null}, a DELIVERY being
      {"id", "partition", "rule": {"id", "name"}, "subject_key", "outcome_key", "type", "created_at",
       "standing", "attempts", "next_at", "status", "reason"}
      `partition` and `outcome_key` are null for a billing event.

    \b
    Examples:
      witnd deliveries
      witnd deliveries --state dead --rule billing
      witnd deliveries --key ticket-4711 --json
    """
    run(_list(state, rule, key, limit, after, json_output, config_path))


async def _list(
    state: Standing | None,
    rule: str | None,
    key: str | None,
    limit: int,
    after: str | None,
    as_document: bool,
    config: Path | None,
) -> None:
    async with session(config) as opened:
        page = await use.page(
            opened.services,
            standing=state,
            rule=rule,
            outcome_key=key,
            limit=limit,
            after=after,
            looked_at_max=LOOKED_AT_MAX,
        )
    if key is None and state != "pending":
        page = replace(page, data=sorted(page.data, key=lambda one: one.created_at, reverse=True))
    print_page(page, COLUMNS, lambda rows: map(cells, rows), as_document=as_document)


@deliveries.command("show")
@click.argument("id_", metavar="ID")
@json_option
@config_option
def show(*, id_: str, json_output: bool, config_path: Path | None) -> None:
    """Show a delivery with its attempts, their responses, and the request body.

    \b
    JSON: the DELIVERY of `list` and
      {"suspended": the reason or null, "body": {…}, "history":
       [{"at", "manual", "status", "reason", "duration_ms", "detail"}…]}
    """
    run(_show(id_, json_output, config_path))


async def _show(id_: str, as_document: bool, config: Path | None) -> None:
    async with session(config) as opened:
        document = await use.in_full(opened.services, id_)
    if as_document:
        as_json(document)
        return
    for line in lines(document):
        click.echo(printable(line))
    click.echo()
    table(ATTEMPT_COLUMNS, [attempt_cells(one) for one in document.history])


@deliveries.command("resend")
@click.argument("ids", metavar="[ID…]", nargs=-1)
@click.option("--from", "from_", metavar="INSTANT", type=INSTANT_TEXT, help="Start of the range.")
@click.option("--to", metavar="INSTANT", type=INSTANT_TEXT, help="End of the range, exclusive.")
@click.option("--rule", type=TEXT, help="With a range: only deliveries of this rule (name or id).")
@click.option("--state", type=click.Choice(ENDED), help="With a range: only deliveries in this state.")
@json_option
@config_option
def resend(
    *,
    ids: tuple[str, ...],
    from_: str | None,
    to: str | None,
    rule: str | None,
    state: str | None,
    json_output: bool,
    config_path: Path | None,
) -> None:
    """Resend the deliveries with these IDs, or those of a time range, under the same ids.

    The range applies to the time of the resolution, and includes delivered, parked and dead deliveries. If a
    delivery is still being retried, this is one more attempt; unless it succeeds, the retries continue.

    \b
    JSON: {"queued": how many, "missing": [ID…]}

    \b
    Examples:
      witnd deliveries resend 5f0c…
      witnd deliveries resend --from 2027-01-01T00:00:00Z --to 2027-01-02T00:00:00Z --rule billing
    """
    ranged = from_ is not None and to is not None
    if bool(ids) == ranged or (ids and (from_, to, rule, state) != (None,) * 4):
        raise click.UsageError("give either IDs or a range with --from and --to")
    chosen = partial(use.resend_between, from_=from_ or "", to=to or "", rule=rule, standing=state, is_limited=False)
    run(_resend(ids, chosen, json_output, config_path))


async def _resend(
    ids: Sequence[str], resend_chosen: Callable[..., Awaitable[int]], as_document: bool, config: Path | None
) -> None:
    missing: list[str] = []
    async with session(config) as opened:
        services = opened.services
        if ids:
            unique = list(dict.fromkeys(ids))
            missing = await use.resend_each(services, author(), unique)
            queued = len(unique) - len(missing)
        else:
            queued = await resend_chosen(services, author())
    if as_document:
        as_json({"queued": queued, "missing": missing})
    else:
        click.echo(f"{queued} queued")
    for id_ in missing:
        click.echo(printable(f"witnd: {refusal_text(not_found('delivery', id_))}"), err=True)
    if missing:
        raise click.exceptions.Exit(USAGE)


@deliveries.command("resume")
@click.argument("rule", type=TEXT)
@json_option
@config_option
def resume(*, rule: str, json_output: bool, config_path: Path | None) -> None:
    """Resume the endpoint of RULE (name or id) and send its parked deliveries, the oldest first.

    \b
    JSON: {"resumed": how many}
    """
    run(_resume(rule, json_output, config_path))


async def _resume(rule: str, as_document: bool, config: Path | None) -> None:
    async with session(config) as opened:
        name = await use.rule_named(opened.services, rule)
        count = await rules.resume(opened.services, author(), name, is_limited=False)
    if as_document:
        as_json({"resumed": count})
    else:
        click.echo(f"{count} resumed")
