"""`witnd repartition`: multiply the partitions of a stopped deployment."""

import sys
from pathlib import Path

import click

from witnd.app.repartition import Deployment, Repartitioned
from witnd.app.repartition import repartition as change_partitions
from witnd.cli.console.author import author
from witnd.cli.console.context import as_json, config_option, json_option, run, server
from witnd.clock import Clock
from witnd.config import load
from witnd.store.server.routing.client import connect
from witnd.store.server.safety import check_kind


@click.command()
@click.argument("partitions", metavar="N", type=click.IntRange(min=1))
@click.option("--dry-run", is_flag=True, help="Check whether the command can begin, and write nothing.")
@json_option
@config_option
def repartition(partitions: int, dry_run: bool, json_output: bool, config_path: Path | None) -> None:
    """Change the number of partitions to N, a multiple of the current number.

    Every event in the logs must be applied, and no daemon may run: stop the producers, repeat the
    command with --dry-run until it succeeds, then stop the daemons. The command moves each outcome,
    with all that belongs to it, to its new partition. Logs, resolutions and invoice lines stay where
    they are.

    If the command is interrupted, run it again: it continues. Until it has finished, no daemon and no
    other command starts. Then set `redis.partitions` to N and start the daemons. If producers still
    append events to the old log of a key, the daemons forward them to its new log.

    \b
    JSON: {"before", "partitions", "done", "forwarded", "left": [key…]}

    \b
    Examples:
      witnd repartition 4 --dry-run
      witnd repartition 4
    """
    result = run(_repartition(partitions, dry_run, config_path))
    if json_output:
        as_json(result)
    else:
        _print(result, dry_run)


async def _repartition(wanted: int, dry_run: bool, config_path: Path | None) -> Repartitioned:
    config = load(config_path)
    where = server(config)
    async with connect(where) as client:
        await check_kind(client)
        deployment = Deployment(
            client=client,
            server=where,
            prefix=config.redis.prefix,
            durability=config.redis.durability,
            lease_ms=int(config.daemon.lease * 1000),
            now_ms=Clock().now_ms,
        )
        return await change_partitions(deployment, author(), wanted, _progress, is_dry_run=dry_run)


def _progress(line: str) -> None:
    """Overwrite one line of progress on a terminal; print nothing elsewhere."""
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[K{line}", err=True, nl=False)


def _print(result: Repartitioned, dry_run: bool) -> None:
    if result.before == result.partitions:
        click.echo(f"the number of partitions is already {result.partitions}: nothing to do")
    elif dry_run:
        click.echo(
            f"the repartition from {result.before} to {result.partitions} partitions can begin once all daemons are "
            "stopped; nothing was written"
        )
        return
    else:
        click.echo(f"moved the outcomes of {result.before} partitions to {result.partitions}")
        if result.forwarded:
            click.echo(f"forwarded {result.forwarded} events that arrived meanwhile")
        for name in result.left:
            click.echo(f"left a key that witnd did not write: {name}; see `witnd audit`")
    click.echo(f"set redis.partitions to {result.partitions}, then start the daemons")
