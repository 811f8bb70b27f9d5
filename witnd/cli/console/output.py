"""Print tables for people and JSON for programs. No text can control the terminal."""

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import click
import msgspec

from witnd.store.page import Page

Item = TypeVar("Item")


def as_json(value: object) -> None:
    """Print one indented JSON document to standard output."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under headings, one line each. Nothing is truncated or wrapped, so that ids can be copied."""
    cells = [[printable(str(cell)) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _drawn(columns, cells)
        return
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    for row in (columns, *cells):
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(padded).rstrip())


def print_page(
    page: Page[Item],
    columns: Sequence[str],
    cells: Callable[[Sequence[Item]], Iterable[Sequence[object]]],
    document: Callable[[Item], object] = lambda item: item,
    *,
    as_document: bool,
    unreadable: str | None = None,
) -> None:
    """Print a page of a list: for people as a table, as a document for machines. `unreadable`: what its damaged entries
    are called, where a list can have some."""
    if as_document:
        answer = {"data": [document(one) for one in page.data], "next_cursor": page.cursor}
        as_json(answer if unreadable is None else answer | {"unreadable": page.unreadable})
        return
    table(columns, cells(page.data))
    for id_ in page.unreadable:
        click.echo(printable(f"unreadable: {unreadable} {id_} is damaged and not listed; run `witnd audit`"))
    if page.cursor is not None:
        click.echo(printable(f"more: --after {page.cursor}"))


def printable(text: str) -> str:
    """Return the text with escapes instead of control characters."""
    return "".join(one if one.isprintable() else _escape(one) for one in text)


def _escape(one: str) -> str:
    return one.encode("unicode_escape").decode()


def _drawn(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        drawn.add_column(column, no_wrap=True)
    for row in cells:
        drawn.add_row(*map(Text, row))
    console = Console(highlight=False)
    roomy = console.options.update(max_width=100_000)
    needed = Measurement.get(console, roomy, drawn).maximum
    console.width = max(console.width, needed)  # the terminal folds long lines, text stays whole
    console.print(drawn)
