"""`witnd events`: what became of an event, lists of those that were not applied, asking again."""

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click
from msgspec import Struct

from witnd.cli.console.context import Session, as_json, config_option, json_option, run, session, table
from witnd.cli.console.output import printable
from witnd.cli.console.texts import TEXT
from witnd.cli.events.event_choice import entry_named, partitions, refuse
from witnd.cli.events.event_removal import remove
from witnd.domain.outcomes.event import EntryId
from witnd.domain.outcomes.partitioning import partition_of
from witnd.exit_codes import USAGE
from witnd.store.keys import Keys
from witnd.store.log.reader import entry_id
from witnd.store.query.cursor import Place
from witnd.store.query.fates import Fate, fate_of, listed, with_events
from witnd.store.query.merged import newest_fates
from witnd.store.query.reads import FATES, LOOKED_AT_MAX, PAGE, reading, text_of

_SHOWN = 100  # characters of a rejected event in a list; alone it is shown whole


class _Default(click.Group):
    """A group whose first command needs no name."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or args[0] not in self.commands:
            args = ["show", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Default)
def events() -> None:
    """Show the fate of events; retry or remove held ones."""


events.add_command(remove)


@events.command("show")
@click.argument("entry", metavar="[ID]", required=False)
@click.option("--fate", "fates", type=click.Choice(FATES), multiple=True, help="Only these fates.")
@click.option("--key", type=TEXT, help="Only events of this outcome.")
@click.option("--partition", type=int, help="Only this partition.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@click.option("--after", metavar="CURSOR", help="Go on behind the list that ended with CURSOR.")
@json_option
@config_option
def show(
    *,
    entry: str | None,
    fates: tuple[str, ...],
    key: str | None,
    partition: int | None,
    limit: int,
    after: str | None,
    json_output: bool,
    config_path: Path | None,
) -> None:
    """The fate of the event with entry ID, or a list of events that were not applied.

    The fate of one: applied, duplicate, conflict, late, held, rejected; `waiting` until it is read,
    `control` for the daemon's own entries. Once the log is trimmed, an applied event is found only
    with --key. A list has the newest first, and no applied events: `witnd explain KEY` has those.

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
        chosen = fates or FATES
        wanted = _Wanted(fates=chosen, key=key, partition=partition, limit=limit, after=after)
        run(_list(wanted, json_output, config_path))
    elif after is not None or fates:
        raise click.UsageError("with an ID there is no list: leave out --fate and --after")
    else:
        run(_one(entry_named("ID", entry), key, partition, json_output, config_path))


@events.command("retry")
@click.argument("outcome_keys", metavar="[KEY]...", nargs=-1, type=TEXT)
@click.option("--all", "everything", is_flag=True, help="Every key with held events.")
@json_option
@config_option
def retry(outcome_keys: tuple[str, ...], everything: bool, json_output: bool, config_path: Path | None) -> None:
    """Ask again whether the held events of each KEY can be placed.

    The daemon does so by itself when the catalogue changes, and at each start. Asking is harmless:
    what cannot be placed stays held. `witnd events --fate held` shows what remains, and why.

    \b
    JSON: {"asked": [{"key", "partition", "id"}…], "not_held": [KEY…]}

    \b
    Examples:
      witnd events retry ticket-4711
      witnd events retry --all
    """
    if everything == bool(outcome_keys):
        raise click.UsageError("name the keys, or ask for --all of them")
    run(_retry(outcome_keys, json_output, config_path))


# -- one event -----------------------------------------------------------------------------------


async def _one(entry: EntryId, key: str | None, partition: int | None, as_document: bool, config: Path | None) -> None:
    found: list[Fate] = []
    async with session(config) as opened, reading(opened.server) as reads:
        for keys in partitions(opened, partition):
            fate = await fate_of(reads, keys, entry, key)
            found += [fate] if fate is not None else []
    if not found:
        refuse(f"ID: no entry {text_of(entry)} is on record", "see `witnd events --help`: --key")
    if len(found) > 1:
        numbers = ", ".join(str(fate.partition) for fate in found)
        problem = f"ID: partitions {numbers} each have an entry {text_of(entry)}"
        refuse(problem, "name one by --partition")
    if as_document:
        as_json(found[0])
        return
    rows = [(name, value) for name in Fate.__struct_fields__ if (value := getattr(found[0], name))]
    for name, value in rows:
        if name == "fields":
            for field, text in value:
                click.echo(printable(f"  {field}: {text}"))
        else:
            click.echo(printable(f"{name}: {value}"))


# -- lists ---------------------------------------------------------------------------------------


class _Wanted(Struct, frozen=True, kw_only=True):
    fates: Sequence[str]
    key: str | None
    partition: int | None
    limit: int
    after: str | None


async def _list(asked: _Wanted, as_document: bool, config: Path | None) -> None:
    behind = None if asked.after is None else place_of(asked.after)
    found: list[Fate] = []
    looked_at, last, cursor = 0, behind, None
    async with session(config) as opened, reading(opened.server) as reads:
        wanted = partitions(opened, asked.partition)
        async for place, record in newest_fates(reads, wanted, asked.fates, behind):
            if len(found) == asked.limit or looked_at == LOOKED_AT_MAX:
                cursor = str(last)
                break
            looked_at, last = looked_at + 1, place
            if record is not None and asked.key in (None, record.key):
                found.append(listed(place.partition, entry_id(place.name), record, None))
        found = await with_events(reads, wanted, found)
    if as_document:
        as_json({"data": found, "next_cursor": cursor})
        return
    table(("entry", "partition", "fate", "reason", "key", "customer", "message"), map(_row, found))
    if cursor is not None:
        click.echo(f"more: --after {cursor}")


def _row(fate: Fate) -> tuple[object, ...]:
    told = fate.message or ""
    if fate.fields is not None:
        raw = " ".join(word for pair in fate.fields for word in pair)
        told += f" — {raw[:_SHOWN]}{'…' if len(raw) > _SHOWN else ''}"
    return fate.id, fate.partition, fate.fate, fate.reason or "", fate.key or "", fate.customer_key or "", told


# -- asking again --------------------------------------------------------------------------------


async def _retry(outcome_keys: Sequence[str], as_document: bool, config: Path | None) -> None:
    asked: list[dict[str, object]] = []
    missing: list[str] = []
    async with session(config) as opened, reading(opened.server) as reads:
        if outcome_keys:
            for key in dict.fromkeys(outcome_keys):
                keys = opened.keys(partition_of(key, opened.partitions))
                held = (await reads.each(("ZSCORE", keys.held, key)))[0] is not None
                if held:
                    await opened.note_request("outcome.retry", key)
                    asked += await _request(opened, keys, [key])
                missing += [] if held else [key]
        else:
            for keys in partitions(opened, None):
                # Held keys do not come back by being asked for, so a set of them is enough.
                held_keys = {key async for page in reads.scored(keys.held) for key, _ in page}
                ordered = sorted(held_keys)
                for at in range(0, len(ordered), PAGE):
                    page = ordered[at : at + PAGE]
                    await opened.note_request("problems.retry_held", "", keys=page)
                    asked += await _request(opened, keys, page)
    if as_document:
        as_json({"asked": asked, "not_held": missing})
    else:
        count = f"{len(asked)} key{'' if len(asked) == 1 else 's'}"
        click.echo(f"asked again for {count}; see `witnd events --fate held` for what remains")
        for key in missing:
            click.echo(printable(f"witnd: {key!r}: nothing is held for this key"), err=True)
    if missing and not asked:
        raise click.exceptions.Exit(USAGE)


async def _request(opened: Session, keys: Keys, held: Sequence[str]) -> list[dict[str, object]]:
    entries = await opened.retry_requests().append([(keys, key) for key in held])
    return [{"key": key, "partition": keys.partition, "id": id_} for key, id_ in zip(held, entries, strict=True)]


# -- what is asked for ---------------------------------------------------------------------------


def place_of(text: str) -> Place:
    try:
        return Place.parse(text)
    except ValueError:
        no_cursor(text)


def no_cursor(text: str) -> NoReturn:
    raise click.UsageError(f"--after: {text!r} is no cursor; give one that an earlier list ended with")
