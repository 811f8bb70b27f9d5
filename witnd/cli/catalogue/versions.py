"""Shared parts of the commands for kinds of catalogue entries: list, show and compare versions.

What is particular to a kind (its columns, its words) is left to `agents`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from msgspec import Struct
from msgspec.structs import replace

from witnd.app.catalogue import read
from witnd.app.catalogue.read import Thing
from witnd.cli.console.context import as_json, config_option, json_option, run, session, table
from witnd.cli.console.options import INSTANT_TEXT
from witnd.cli.console.output import printable
from witnd.cli.console.texts import TEXT
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.catalogue.versions.history import IN_EFFECT, SCHEDULED, Version
from witnd.domain.catalogue.versions.text import FieldDifference, fields, line, text
from witnd.domain.values import instant

# More keys than this in one line are not read by anybody; JSON has all.
_NAMED = 10


class View(Struct, frozen=True, kw_only=True):
    """How to show a kind of entry: `row` in a list, `words` for one version, `also` added to JSON."""

    kind: read.Kind
    columns: tuple[str, ...]
    row: Callable[[Version], tuple[object, ...]]
    words: Callable[[Version], Sequence[str]] = lambda _: ()
    also: Callable[[Version], dict[str, Any]] = lambda _: {}
    # Keys of other things that bear on this one, under the heading in words and the name in JSON.
    related: tuple[str, str, Callable[[Catalogue, str, int], list[str]]] | None = None

    @property
    def word(self) -> str:
        return self.kind.word

    def title(self, key: str | None) -> str:
        """Return the kind and the key, unless there is only one entry."""
        return f"{self.word} {text(key)}" if self.kind.key_name else self.word


class Asked(Struct, frozen=True, kw_only=True):
    """The options of the command. Without a key, it lists."""

    key: str | None
    everything: bool = False
    at: str | None
    number: int | None
    pair: tuple[int, int] | None
    customer: str | None = None
    rate_card: str | None = None


def version_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the shared options, which become the members of `Asked`."""
    command = one_version_options(command)
    for option in (
        click.option("--all", "everything", is_flag=True, help="Include archived ones."),
        click.argument("key", type=TEXT, required=False),
    ):
        command = option(command)
    return command


def one_version_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the shared options of commands for a kind with only one entry."""
    for option in (
        config_option,
        json_option,
        click.option("--compare", "pair", type=int, nargs=2, metavar="N M", help="Compare version N with version M."),
        click.option("--version", "number", type=click.IntRange(1), metavar="N", help="Show version N in full."),
        click.option(
            "--at", metavar="INSTANT", type=INSTANT_TEXT, help="Show the version in effect at this instant in full."
        ),
    ):
        command = option(command)
    return command


def ask(view: View, asked: Asked, as_document: bool, config: Path | None) -> None:
    """Run the command."""
    if asked.key is None and (asked.pair or asked.number or asked.at is not None or asked.customer is not None):
        raise click.UsageError(f"KEY is required: give the key of the {view.word}")
    if (asked.at is not None) + (asked.number is not None) + (asked.pair is not None) > 1:
        raise click.UsageError("--at, --version and --compare cannot be combined")
    if asked.customer is not None and (asked.number or asked.pair):
        raise click.UsageError("--customer can be combined only with --at")
    if asked.key is not None and asked.rate_card is not None:
        raise click.UsageError("--rate-card filters a list; leave it out with a KEY")
    run(_ask(view, asked, as_document, config))


async def _ask(view: View, asked: Asked, as_document: bool, config: Path | None) -> None:
    async with session(config) as opened:
        services, key = opened.services, asked.key
        if key is None:
            found = await read.every(services, view.kind)
            if asked.rate_card is not None:
                found = [one for one in found if one.version.content["rate_card"] == asked.rate_card]
            _list(view, found, asked.everything, as_document)
        elif asked.pair is not None:
            _compare(view, key, await read.difference(services, view.kind, key, *asked.pair), as_document)
        elif asked.at is None and asked.number is None and asked.customer is None:
            versions, _ = await read.versions(services, view.kind, key, (read.ALL, None))
            now = await services.catalogue_store.next_instant()
            _show_all(view, services.catalogue, key, versions, now, as_document)
        else:
            thing = await read.read(services, view.kind, key, at=asked.at, version=asked.number)
            version = thing.version
            if asked.number is None and asked.at is not None:
                version = replace(version, standing=IN_EFFECT)  # as it was, or will be, at that instant
            if asked.customer is not None:
                at = await services.catalogue_store.next_instant() if asked.at is None else instant.parse(asked.at)
                version = await read.agreed(services, replace(thing, version=version), asked.customer, at)
            _show(view, asked, version, thing.count, as_document)


def _list(view: View, found: Sequence[Thing], everything: bool, as_document: bool) -> None:
    listed = [thing for thing in found if everything or not thing.version.archived]
    if as_document:
        data = [{"key": one.key, "versions": one.count} | _document(view, one.version) for one in listed]
        as_json({"data": data})
        return
    rows = [(one.key, *view.row(one.version), one.count, _standing(one.version)) for one in listed]
    table(("key", *view.columns, "versions", "state"), rows)
    if hidden := len(found) - len(listed):
        click.echo(f"{hidden} archived not shown; --all lists them")


def _show_all(
    view: View, catalogue: Catalogue, key: str, versions: Sequence[Version], now: int, as_document: bool
) -> None:
    related = [] if view.related is None else view.related[2](catalogue, key, now)
    if as_document:
        named = {} if view.related is None else {view.related[1]: related}
        data = [_document(view, version) | {"changes": version.changes} for version in versions]
        as_json({"key": key} | named | {"versions": data})
        return
    count = f"{len(versions)} version{'s' if len(versions) > 1 else ''}"
    click.echo(printable(f"{view.title(key)}: {count}"))
    if view.related is not None and related:
        more = f" and {len(related) - _NAMED} more" if len(related) > _NAMED else ""
        click.echo(printable(f"{view.related[0]}: {', '.join(related[:_NAMED])}{more}"))
    for version in versions:
        address = "" if version.hash is None else f"  {version.hash}"
        click.echo(f"\n{version.number}  from {instant.render(version.effective_from)}  {_standing(version)}{address}")
        for change in version.changes:
            click.echo(printable(f"    {line(change)}"))


def _show(view: View, asked: Asked, version: Version, count: int, as_document: bool) -> None:
    if as_document:
        named = {} if asked.customer is None else {"customer": asked.customer}
        as_json({"key": asked.key, **named, "versions": count} | _document(view, version))
        return
    until = "" if version.until is None else f" until {instant.render(version.until)}"
    whose = "" if asked.customer is None else f", with the individual terms of customer {text(asked.customer)}"
    number = f"version {version.number} of {count}"
    click.echo(printable(f"{view.title(asked.key)}: {number}, {_standing(version)}{whose}"))
    click.echo(f"from {instant.render(version.effective_from)}{until}")
    for said in view.words(version):
        click.echo(printable(said))
    for path, value in fields(version.content, archived=version.archived).items():
        click.echo(printable(f"    {path}: {value}"))


def _compare(
    view: View, key: str, found: tuple[Version, Version, Sequence[FieldDifference]], as_document: bool
) -> None:
    before, after, changes = found
    if as_document:
        as_json({"key": key, "before": _document(view, before), "after": _document(view, after), "changes": changes})
        return
    click.echo(printable(f"{view.title(key)}: version {before.number} → {after.number}"))
    for change in changes:
        click.echo(printable(f"    {line(change)}"))
    if not changes:
        click.echo("    no differences")


def _document(view: View, version: Version) -> dict[str, Any]:
    address = {} if version.hash is None else {"hash": version.hash}
    return {
        "version": version.number,
        "effective_from": instant.render(version.effective_from),
        "until": None if version.until is None else instant.render(version.until),
        "standing": version.standing,
        "archived": version.archived,
        **address,
        **version.content,
        **view.also(version),
    }


def _standing(version: Version) -> str:
    said = version.standing
    if said == SCHEDULED:
        said += f" for {instant.render(version.effective_from)}"
    if version.archived:
        said = "archived" if version.standing == IN_EFFECT else f"{said}, archived"
    return said
