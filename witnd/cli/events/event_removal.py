"""`witnd events remove`: reject held events on request."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click

from witnd.app.outcomes.fates import entry_named
from witnd.app.outcomes.retry import held_event
from witnd.app.outcomes.retry import remove as remove_event
from witnd.cli.console.author import author
from witnd.cli.console.context import as_json, config_option, json_option, run, session
from witnd.cli.console.options import CheckedText
from witnd.cli.console.output import printable

#: The id of an entry of the log.
ENTRY_ID = CheckedText("entry id", partial(entry_named, "id"))


@click.command()
@click.argument("entries", metavar="ID...", nargs=-1, required=True, type=ENTRY_ID)
@click.option("--partition", type=int, help="The partition of the events, if several have such an ID.")
@json_option
@config_option
def remove(entries: tuple[str, ...], partition: int | None, json_output: bool, config_path: Path | None) -> None:
    """Remove held events: the daemon rejects each event ID, with the reason REMOVED.

    The events are never counted, and their idempotency keys are free again. You cannot undo this. The daemon rejects
    them in its next step; `witnd events ID` shows when it has.

    \b
    JSON: {"removed": [{"id", "partition", "key", "control"}…]}

    \b
    Examples:
      witnd events --fate held
      witnd events remove 1789000000000-0
    """
    run(_remove(list(dict.fromkeys(entries)), partition, json_output, config_path))


async def _remove(entries: Sequence[str], partition: int | None, as_document: bool, config: Path | None) -> None:
    async with session(config) as opened:
        services = opened.services
        # All are looked up before the first is removed: a mistake removes nothing.
        found = [await held_event(services, entry, partition) for entry in entries]
        removed = [await remove_event(services, author(), fate) for fate in found]
    if as_document:
        as_json({"removed": removed})
        return
    for one in removed:
        click.echo(printable(f"{one.id} of {one.key}: the daemon rejects it in its next step"))
