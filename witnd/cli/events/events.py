"""`witnd events`: show the fate of events, list events that were not applied, and retry held ones."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

import click

from witnd.app.outcomes import fates
from witnd.app.outcomes import retry as retrying
from witnd.cli.console.author import author
from witnd.cli.console.context import as_json, config_option, json_option, run, session
from witnd.cli.console.options import DefaultGroup, page_options
from witnd.cli.console.output import print_page, printable
from witnd.cli.console.texts import TEXT
from witnd.cli.events.event_removal import ENTRY_ID, remove
from witnd.exit_codes import USAGE
from witnd.store.page import Page
from witnd.store.query.fates import Fate
from witnd.store.query.reads import FATES, LOOKED_AT_MAX

_SHOWN = 100  # characters of a rejected event in a list; alone it is shown whole


@click.group(cls=DefaultGroup, default="show")
def events() -> None:
    """Show the fate of events; retry or remove held ones.

    The default command is `show`.
    """


events.add_command(remove)


@events.command("show")
@click.argument("entry", metavar="[ID]", required=False, type=ENTRY_ID)
@click.option("--fate", "chosen", type=click.Choice(FATES), multiple=True, help="Only events with this fate.")
@click.option("--key", type=TEXT, help="Only events of this outcome.")
@click.option("--partition", type=int, help="Only this partition.")
@page_options
@json_option
@config_option
def show(
    *,
    entry: str | None,
    chosen: tuple[str, ...],
    key: str | None,
    partition: int | None,
    limit: int,
    after: str | None,
    json_output: bool,
    config_path: Path | None,
) -> None:
    """Show the fate of the event ID, or list events that were not applied.

    The fate is applied, duplicate, conflict, reversed, late, held or rejected. It is `waiting` until the daemon
    processes the event, and `control` for entries that the daemon appends. After the log is trimmed, add
    --key to find an applied event. The list shows the newest events first. For applied events, use
    `witnd explain KEY`.

    \b
    JSON: {"data": [EVENT…], "next_cursor": text or null}, for an ID the one EVENT:
      {"id", "partition", "accepted_at", "fate", "key", "reason", "message",
       "action", "customer_key", "agent_key", "fields": [[name, value]…] or null}

    \b
    Examples:
      witnd events 1789000000000-0
      witnd events --fate rejected --limit 10
      witnd events --fate held --key ticket-4711 --json
      witnd events retry --all
    """
    if entry is None:
        fate = ",".join(chosen) or None
        wanted = partial(fates.page, fate=fate, key=key, partition=partition, limit=limit, after=after)
        run(_list(wanted, json_output, config_path))
    elif after is not None or chosen:
        raise click.UsageError("--fate and --after apply to lists; leave them out with an ID")
    else:
        run(_one(entry, key, partition, json_output, config_path))


@events.command("retry")
@click.argument("outcome_keys", metavar="[KEY]...", nargs=-1, type=TEXT)
@click.option("--all", "everything", is_flag=True, help="Retry every key with held events.")
@json_option
@config_option
def retry(outcome_keys: tuple[str, ...], everything: bool, json_output: bool, config_path: Path | None) -> None:
    """Retry the held events of each KEY.

    The daemon retries held events when the catalogue changes and when it starts. Events that still cannot be
    applied stay held. `witnd events --fate held` shows them with the reason.

    \b
    JSON: {"queued": [{"key", "partition", "id"}…], "not_held": [KEY…]}

    \b
    Examples:
      witnd events retry ticket-4711
      witnd events retry --all
    """
    if everything == bool(outcome_keys):
        raise click.UsageError("give one or more KEYs, or --all")
    run(_retry(outcome_keys, json_output, config_path))


# -- one event -----------------------------------------------------------------------------------


async def _one(entry: str, key: str | None, partition: int | None, as_document: bool, config: Path | None) -> None:
    async with session(config) as opened:
        found = await fates.one(opened.services, entry, partition=partition, key=key)
    if as_document:
        as_json(found)
        return
    rows = [(name, value) for name in Fate.__struct_fields__ if (value := getattr(found, name))]
    for name, value in rows:
        if name == "fields":
            for field, text in value:
                click.echo(printable(f"  {field}: {text}"))
        else:
            click.echo(printable(f"{name}: {value}"))


# -- lists ---------------------------------------------------------------------------------------


async def _list(wanted: Callable[..., Awaitable[Page[Fate]]], as_document: bool, config: Path | None) -> None:
    async with session(config) as opened:
        page = await wanted(opened.services, looked_at_max=LOOKED_AT_MAX, is_shortened=False)
    columns = ("entry", "partition", "fate", "reason", "key", "customer", "message")
    print_page(page, columns, lambda rows: map(_row, rows), as_document=as_document)


def _row(fate: Fate) -> tuple[object, ...]:
    told = fate.message or ""
    if fate.fields is not None:
        raw = " ".join(word for pair in fate.fields for word in pair)
        told += f" — {raw[:_SHOWN]}{'…' if len(raw) > _SHOWN else ''}"
    return fate.id, fate.partition, fate.fate, fate.reason or "", fate.key or "", fate.customer_key or "", told


# -- asking again --------------------------------------------------------------------------------


async def _retry(outcome_keys: Sequence[str], as_document: bool, config: Path | None) -> None:
    missing: list[str] = []
    async with session(config) as opened:
        services = opened.services
        if outcome_keys:
            retried, missing = await retrying.retry_each(services, author(), list(dict.fromkeys(outcome_keys)))
        else:
            retried = await retrying.retry_every(services, author())
    if as_document:
        as_json({"queued": retried, "not_held": missing})
    else:
        count = f"{len(retried)} key{'' if len(retried) == 1 else 's'}"
        click.echo(f"{count} queued for retry; `witnd events --fate held` lists the events that stay held")
        for key in missing:
            click.echo(printable(f"witnd: {key!r}: no held events for this key"), err=True)
    if missing and not retried:
        raise click.exceptions.Exit(USAGE)
