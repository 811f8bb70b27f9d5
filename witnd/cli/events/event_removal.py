"""`witnd events remove`: reject held events on request."""

from collections.abc import Sequence
from pathlib import Path

import click

from witnd.cli.console.context import as_json, config_option, json_option, run, session
from witnd.cli.console.output import printable
from witnd.cli.events.event_choice import entry_named, partitions, refuse
from witnd.domain.outcomes.event import EntryId
from witnd.store.keys import Keys
from witnd.store.log.removal import request_removal
from witnd.store.query.fates import Fate, fate_of
from witnd.store.query.reads import Reads, reading, text_of


@click.command()
@click.argument("entries", metavar="ID...", nargs=-1, required=True)
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
    run(_remove([entry_named("ID", text) for text in dict.fromkeys(entries)], partition, json_output, config_path))


async def _remove(entries: Sequence[EntryId], partition: int | None, as_document: bool, config: Path | None) -> None:
    removed: list[dict[str, object]] = []
    async with session(config) as opened, reading(opened.server) as reads:
        found = [(entry, await _find_held(reads, partitions(opened, partition), entry)) for entry in entries]
        for entry, fate in found:
            assert fate.key is not None, fate
            await opened.note_request("event.remove", fate.key, event=fate.id)
            control = await request_removal(opened.retry_requests(), opened.keys(fate.partition), fate.key, [entry])
            removed.append({"id": fate.id, "partition": fate.partition, "key": fate.key, "control": control})
    if as_document:
        as_json({"removed": removed})
        return
    for one in removed:
        click.echo(printable(f"{one['id']} of {one['key']}: the daemon rejects it in its next step"))


async def _find_held(reads: Reads, wanted: Sequence[Keys], entry: EntryId) -> Fate:
    """The one held event with this id. Ends the command if there is none, or if several partitions have one."""
    fates = [fate for keys in wanted if (fate := await fate_of(reads, keys, entry)) is not None]
    held = [fate for fate in fates if fate.fate == "held" and fate.key is not None]
    if not held:
        fate_now = f"is {fates[0].fate}" if fates else "is not on record"
        refuse(f"ID: event {text_of(entry)} {fate_now}; nothing was removed", "only held events can be removed")
    if len(held) > 1:
        numbers = ", ".join(str(fate.partition) for fate in held)
        refuse(f"ID: partitions {numbers} each have an entry {text_of(entry)}", "name one by --partition")
    return held[0]
