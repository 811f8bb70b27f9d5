"""Which events a command is about: by the id of an entry, in all partitions or in one."""

import re
from typing import NoReturn

import click

from witnd.cli.console.context import Session
from witnd.cli.console.output import printable
from witnd.domain.outcomes.event import EntryId
from witnd.exit_codes import USAGE
from witnd.store.keys import Keys

_ID = re.compile("([0-9]{1,20})-([0-9]{1,20})", re.ASCII)


def partitions(opened: Session, number: int | None) -> list[Keys]:
    """All partitions, or the one that was named."""
    if number is None:
        return [opened.keys(one) for one in range(opened.partitions)]
    if not 0 <= number < opened.partitions:
        most = opened.partitions - 1
        raise click.UsageError(f"--partition: there is no {number}; they are numbered 0 to {most}")
    return [opened.keys(number)]


def entry_named(name: str, text: str) -> EntryId:
    form = _ID.fullmatch(text)
    if form is None:
        raise click.UsageError(
            f"{name}: {text!r} is no entry id; it looks like 1789000000000-0 "
            "(for a list of an outcome's events give --key)"
        )
    return int(form[1]), int(form[2])


def refuse(problem: str, remedy: str) -> NoReturn:
    click.echo(printable(f"witnd: {problem}; {remedy}"), err=True)
    raise click.exceptions.Exit(USAGE)
