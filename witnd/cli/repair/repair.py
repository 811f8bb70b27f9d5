"""`witnd repair`: repair data that the daemon refuses to process."""

from pathlib import Path

import click
from msgspec import to_builtins

from witnd.cli.console.context import as_json, config_option, json_option, run, session, table
from witnd.cli.repair.catalogue import catalogue
from witnd.cli.repair.clock import clock
from witnd.cli.repair.journal import journal
from witnd.cli.repair.outcome import outcome
from witnd.domain.values import instant
from witnd.store.log.ahead import AHEAD_MAX_MS, Ahead, repair_ahead
from witnd.store.log.gap import Gap, repair_gap
from witnd.store.meta import open_meta


@click.group()
def repair() -> None:
    """Repair an event log, catalogue, clock or outcome that the daemon refuses to process.

    Without --yes, a repair only shows what it would do; `witnd repair outcome` needs --dry-run for
    that. Running a repair twice changes nothing the second time. If Redis lost other data, restore a
    backup first. `witnd repair journal` then accepts what you cannot restore.
    """


repair.add_command(catalogue)
repair.add_command(clock)
repair.add_command(outcome)
repair.add_command(journal)


@repair.command()
@click.option("--partition", type=int, help="Only this partition.")
@click.option("--yes", is_flag=True, help="Apply the repair; default: only show it.")
@json_option
@config_option
def ahead(partition: int | None, yes: bool, json_output: bool, config_path: Path | None) -> None:
    """Move entries whose ids are more than 60 s ahead of the server's clock.

    Such entries come from a wrong clock or from explicit ids. The daemon applies nothing from the first of
    them on. Correct the clock of the Redis server first. The repair gives the entries new ids from the
    current time, with the same order and fields: they count as accepted now. The daemon may run; it applies
    nothing until the repair is complete. With more than 200 entries, events that arrive during the repair
    may get ids between theirs. An interrupted repair loses nothing: run it again.

    \b
    JSON: {"partitions": [{"partition", "needed", "done", "count",
      "entries" (the first of them): [{"old", "new" or null}…]}…]}

    \b
    Examples:
      witnd repair ahead
      witnd repair ahead --partition 3 --yes
    """
    run(_ahead(partition, yes, json_output, config_path))


@repair.command()
@click.option("--partition", type=int, help="Only this partition.")
@click.option("--yes", is_flag=True, help="Apply the repair; default: only show it.")
@json_option
@config_option
def gap(partition: int | None, yes: bool, json_output: bool, config_path: Path | None) -> None:
    """Accept an event log in which entries are missing.

    The daemon stops if entries were deleted or trimmed before it read them, or if the log was deleted
    and recreated: the missing events may have reversed an outcome. Send them again if you can. Events
    with idempotency keys count once, even if some were already applied. Then accept the gap and start
    the daemon. A later gap stops it again.

    `lost` is the number of missing entries, null if it is unknown. The command records it, and
    `witnd audit` shows it.

    \b
    JSON: {"partitions": [{"partition", "needed", "done", "cursor", "deleted",
      "lost" (a number or null), "reason" (or null)}…]}

    \b
    Examples:
      witnd repair gap
      witnd repair gap --yes
    """
    run(_gap(partition, yes, json_output, config_path))


async def _ahead(partition: int | None, do: bool, as_document: bool, config: Path | None) -> None:
    async with session(config) as opened:
        wanted = opened.chosen(partition)
        found: dict[int, Ahead] = {}
        for keys in wanted:
            plan = await repair_ahead(opened.redis, keys, do=False)
            if do and plan.needed:
                await opened.note_request("log.repair_ahead", str(keys.partition), entries=plan.count)
                plan = await repair_ahead(opened.redis, keys, do=True)
            found[keys.partition] = plan
    if as_document:
        as_json(
            {
                "partitions": [
                    {
                        "partition": number,
                        "needed": one.needed,
                        "done": one.done,
                        "count": one.count,
                        "entries": one.entries,
                    }
                    for number, one in found.items()
                ]
            }
        )
        return
    for number, one in found.items():
        _tell_ahead(number, one)
    if not do and any(one.needed for one in found.values()):
        click.echo("nothing was written; run this with --yes to repair it")


def _tell_ahead(number: int, one: Ahead) -> None:
    clock = f"the server's clock shows {instant.render(one.now_ms)}"
    if not one.needed:
        click.echo(f"partition {number}: no entry is more than {AHEAD_MAX_MS // 1000} s ahead; {clock}")
        return
    many = f"{one.count} entr{'y' if one.count == 1 else 'ies'}"
    verb = "moved" if one.done else "to move"
    click.echo(f"partition {number}: {many} {verb}; {clock}")
    if not one.count:
        click.echo("the last id of the log is ahead; its entries were already deleted")
    table(("old id", "new id"), [(moved.old, moved.new or "") for moved in one.entries])
    if one.count > len(one.entries):
        click.echo(f"and {one.count - len(one.entries)} more")


async def _gap(partition: int | None, do: bool, as_document: bool, config: Path | None) -> None:
    async with session(config) as opened:
        wanted = opened.chosen(partition)
        if do and opened.meta is None:
            # Before the first daemon: without it, a later start would take what a repair writes for lost data.
            await open_meta(opened.redis, opened.global_keys, opened.partitions)
        found: dict[int, Gap] = {}
        for keys in wanted:
            plan = await repair_gap(opened.redis, keys, do=False)
            if do and plan.needed:
                await opened.note_request("log.repair_gap", str(keys.partition), cursor=plan.cursor, lost=plan.lost)
                plan = await repair_gap(opened.redis, keys, do=True)
            found[keys.partition] = plan
    if as_document:
        rows = [{"partition": number, **to_builtins(one)} for number, one in found.items()]
        as_json({"partitions": rows})
        return
    for number, one in found.items():
        _tell_gap(number, one)
    if not do and any(one.needed for one in found.values()):
        click.echo("nothing was written; run this with --yes to repair it")


def _tell_gap(number: int, one: Gap) -> None:
    if not one.needed:
        click.echo(f"partition {number}: no entry is missing; the last processed entry is {one.cursor}")
        return
    verb = "accepted" if one.done else "to accept"
    many = "an unknown number of entries is" if one.lost is None else f"{one.lost} entries are"
    click.echo(f"partition {number}: {verb}: {one.reason} ({many} missing)")
