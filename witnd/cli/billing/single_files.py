"""Write each document of an export to its own file: pages, PDF files and electronic invoices."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, cast

import click

from witnd.app.errors import Refused
from witnd.app.invoices import exports
from witnd.app.invoices.files import FileForm
from witnd.billing.export.bill import Bill, Note
from witnd.billing.export.page import Detail
from witnd.cli.billing.documents import Named
from witnd.cli.billing.whole_file import STDOUT, whole_file
from witnd.cli.console.failure import refuse
from witnd.cli.console.output import printable
from witnd.exit_codes import USAGE

#: The formats with one file for each document, and how their names end.
ENDINGS: Final[dict[str, str]] = {"html": "html", **{str(form): ending for form, (_, ending) in exports.FILES.items()}}
_UNSAFE_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9._-]", re.ASCII)


async def write_files(
    documents: Named, papers: AsyncIterator[Bill | Note], form: str, detail: Detail | None, output: str, *, is_one: bool
) -> None:
    """Write each document to a file in a directory; a single one may also go to a file or standard output. A document
    without such a file is reported, and the others are written."""
    directory = _directory(output)
    if directory is None and not is_one:
        refuse("several pages need a directory, such as --output invoices/ (with a trailing slash)")
    count = refused = 0
    async for paper in papers:
        place = output if directory is None else str(directory / f"{_file_name(paper)}.{ENDINGS[form]}")
        try:
            await _write(documents, paper, form, detail, place)
            count += 1
        except Refused as wrong:
            refused += 1
            click.echo(printable(f"witnd: {wrong.message}"), err=True)
    if count or not refused:
        report_written(count, "page" if form == "html" else "document", output)
    if refused:
        raise click.exceptions.Exit(USAGE)


async def _write(documents: Named, paper: Bill | Note, form: str, detail: Detail | None, place: str) -> None:
    if form != "html":
        made = await documents.file(paper, cast("FileForm", form), detail if isinstance(paper, Bill) else None)
        with whole_file(place) as write:
            write(made)
        return
    from witnd.billing.export.page import invoice_page, note_page

    with whole_file(place) as write:
        if isinstance(paper, Bill):
            parts = invoice_page(paper, detail or "full")
        else:
            parts = note_page(await documents.with_parties(paper))
        async for chunk in parts:
            write(chunk)


def _directory(output: str) -> Path | None:
    """Return the output directory, created if needed; None if the output is a file."""
    path = Path(output)
    if not output.endswith("/") and not path.is_dir():
        return None
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as wrong:
        refuse(f"{output}: {wrong.strerror}; choose another directory")
    return path


def report_written(count: int, noun: str, output: str) -> None:
    many = f"{count} {noun}" + ("" if count == 1 else "s")
    if output != STDOUT:
        click.echo(printable(f"witnd: {many} written to {output}"), err=True)
    elif not count:
        click.echo(f"witnd: no {noun} matches", err=True)


def _file_name(paper: Bill | Note) -> str:
    """Return the number, or the whole id: two drafts must not share a file."""
    head = paper.invoice if isinstance(paper, Bill) else paper.note
    return _UNSAFE_IN_NAMES.sub("_", head.number or head.id).lstrip(".") or head.id
