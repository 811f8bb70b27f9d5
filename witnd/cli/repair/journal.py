"""`witnd repair journal`: accept what Redis lost."""

from pathlib import Path

import click
from msgspec import to_builtins

from witnd.cli.console.author import author
from witnd.cli.console.context import as_json, config_option, json_option, run, session
from witnd.store.journal.repair import Acceptance, accept_losses


@click.command()
@click.option("--yes", "--accept", "yes", is_flag=True, help="Apply the repair; default: only show it.")
@json_option
@config_option
def journal(yes: bool, json_output: bool, config_path: Path | None) -> None:
    """Accept that Redis lost data. First restore everything that you can.

    The daemon does not start while Redis has less than the journal in the state directory. This
    command shows what is missing. With --yes, it sets the journal to what Redis has now, and adds an
    entry to the change log. No invoice number is used twice: each series continues after the last
    number in the journal, and `witnd audit` counts the numbers between as lost.

    Run it with the daemon's settings and as its user, so that it finds the journal.

    \b
    JSON: {"journal", "needed", "done", "losses": [{"reason", "remedy"}…], "numbers": {series: n}}

    \b
    Examples:
      witnd repair journal
      witnd repair journal --yes
    """
    run(_journal(yes, json_output, config_path))


async def _journal(do: bool, as_document: bool, config: Path | None) -> None:
    async with session(config) as opened:
        found = await accept_losses(
            opened.redis,
            opened.config.daemon.state_dir,
            opened.config.redis.prefix,
            opened.partitions,
            do=do,
            who=author().who,
        )
    if as_document:
        as_json(
            {**to_builtins(found), "losses": [{"reason": one.reason, "remedy": one.remedy} for one in found.losses]}
        )
    else:
        _print(found, do=do)


def _print(found: Acceptance, *, do: bool) -> None:
    if not found.needed:
        click.echo(f"Redis has everything that {found.journal} records: nothing to accept")
        return
    for loss in found.losses:
        click.echo(f"lost: {loss.reason}")
    for name, number in found.numbers.items():
        click.echo(f"numbers: {name} continues after {number}")
    click.echo(
        "accepted: the daemon can start" if do else "nothing was written; run this with --yes to accept the loss"
    )
