"""`witnd status`: which daemon has which partition."""

from pathlib import Path

import click

from witnd.app.owners import owners
from witnd.cli.console.context import as_json, config_option, json_option, run, session, table
from witnd.domain.values import instant

COLUMNS = ("partition", "owner", "lag", "next due")
NO_OWNER = "none"


@click.command()
@json_option
@config_option
def status(*, json_output: bool, config_path: Path | None) -> None:
    """Show which daemon owns each partition and makes the invoices.

    `lag` is the number of events that are accepted but not yet applied. `next due` is the earliest deadline of an open
    outcome.

    \b
    JSON: {"partitions": [{"partition", "owner", "lag", "next_due"}…], "billing": {"owner"}};
      "owner" and "next_due" are null if there is none

    \b
    Examples:
      witnd status
      witnd status --json
    """
    run(_status(json_output, config_path))


async def _status(as_document: bool, config: Path | None) -> None:
    async with session(config) as opened:
        found = await owners(opened.services)
    due = [None if one.next_due is None else instant.render(one.next_due) for one in found.partitions]
    if as_document:
        rows = [
            {"partition": one.partition, "owner": one.owner, "lag": one.lag, "next_due": next_due}
            for one, next_due in zip(found.partitions, due, strict=True)
        ]
        as_json({"partitions": rows, "billing": {"owner": found.billing}})
        return
    cells = zip(found.partitions, due, strict=True)
    table(COLUMNS, [(one.partition, one.owner or NO_OWNER, one.lag, next_due or "–") for one, next_due in cells])
    click.echo(f"Invoices are made by {found.billing}." if found.billing else "No daemon makes invoices.")
