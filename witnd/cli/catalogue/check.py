"""`witnd check`: find every mistake in a file, without Redis."""

from pathlib import Path

import click

from witnd.cli.catalogue.logo import with_logo
from witnd.config import document, load
from witnd.domain.catalogue import file as catalogue_file
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.catalogue.checks.change import change_mistakes, change_warnings
from witnd.exit_codes import USAGE


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
def check(file: Path) -> None:
    """Find every mistake in FILE, a configuration or a catalogue.

    A file with a seller, taxes, customers, agents, rate_cards or notification_rules is read as a catalogue.
    References to things outside FILE are shown as notes; `witnd apply FILE --dry-run` looks them up. The command
    ignores the environment: it checks only FILE.

    \b
    Examples:
      witnd check /etc/witnd/witnd.toml
      witnd check catalogue.toml
    """
    content = document(file)
    if content.keys() & catalogue_file.SECTIONS.keys():
        content, mistakes = with_logo(content, file)
        found = catalogue_file.read(content)
        mistakes += found.mistakes
        # Checks between items need all of them.
        mistakes += [] if mistakes else change_mistakes(Catalogue(), found.items, 0)
        for mistake in mistakes:
            click.echo(f"{file}: {mistake}", err=True)
        remedy = "`witnd apply` refuses the file unless the catalogue has it"
        for unknown in catalogue_file.reference_mistakes(found, Catalogue(), remedy):
            click.echo(f"{file}: note: {unknown}", err=True)
        if not mistakes:
            for warning in change_warnings(Catalogue(), found.items, 0):
                click.echo(f"{file}: warning: {warning}", err=True)
        if mistakes:
            raise click.exceptions.Exit(USAGE)
        click.echo(f"ok: {file} is a catalogue of {len(found.items)} items")
        return
    load(file, {}).webhooks.tls()
    click.echo(f"ok: {file} is a configuration")
