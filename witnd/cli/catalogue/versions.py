"""What the commands for agents, customers and rate cards share: a list, versions, one version, two compared.

What is particular to a kind (its columns, its words) is left to `agents`.
"""

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

import click
from msgspec import Struct

from witnd.cli.console.context import as_json, config_option, json_option, run, session, table
from witnd.cli.console.output import printable
from witnd.cli.console.texts import TEXT
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.catalogue.history import IN_FORCE, SCHEDULED, Version, current_version, field_changes, history
from witnd.domain.catalogue.text import fields, line, text
from witnd.domain.values import instant
from witnd.exit_codes import USAGE
from witnd.store.catalogue.versions import CatalogueStore

# More keys than this in one line are not read by anybody; JSON has all.
_NAMED = 10


class Kind(Struct, frozen=True, kw_only=True):
    """A kind of thing and how it is told: `row` in a list, `words` of one version, `also` from JSON."""

    name: str
    command: str
    columns: tuple[str, ...]
    row: Callable[[Version], tuple[object, ...]]
    words: Callable[[Version], Sequence[str]] = lambda _: ()
    also: Callable[[Version], dict[str, Any]] = lambda _: {}
    # Keys of other things that bear on this one, under the heading in words and the name in JSON.
    related: tuple[str, str, Callable[[Catalogue, str, int], list[str]]] | None = None

    @property
    def word(self) -> str:
        return self.name.replace("_", " ")


class Asked(Struct, frozen=True, kw_only=True):
    """What the command line asks for. Without a key, the list."""

    key: str | None
    everything: bool
    at: int | None
    number: int | None
    pair: tuple[int, int] | None
    customer: str | None = None


def _instant(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int | None:
    try:
        return None if value is None else instant.parse(value)
    except ValueError as wrong:
        raise click.BadParameter(f"{value!r} {wrong}") from wrong


def version_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds what every kind can be asked for, as the members of `Asked`."""
    for option in (
        config_option,
        json_option,
        click.option(
            "--compare", "pair", type=int, nargs=2, metavar="N M", help="What version M has otherwise than N."
        ),
        click.option("--version", "number", type=click.IntRange(1), metavar="N", help="Version N in full."),
        click.option("--at", metavar="INSTANT", callback=_instant, help="The version in force then, in full."),
        click.option("--all", "everything", is_flag=True, help="List archived ones as well."),
        click.argument("key", type=TEXT, required=False),
    ):
        command = option(command)
    return command


def ask(kind: Kind, asked: Asked, as_document: bool, config: Path | None, change: "Change | None" = None) -> None:
    """Answer; `change` makes another version of the one that is shown in full."""
    if asked.key is None and (asked.pair or asked.number or asked.at is not None or asked.customer is not None):
        raise click.UsageError(f"name the {kind.word} whose versions are meant")
    if (asked.at is not None) + (asked.number is not None) + (asked.pair is not None) > 1:
        raise click.UsageError("--at, --version and --compare each ask for something else; give one of them")
    if asked.customer is not None and (asked.number or asked.pair):
        raise click.UsageError("--customer is told for one instant: the present, or that of --at")
    run(_ask(kind, asked, as_document, config, change))


Change = Callable[[Catalogue, Version, int], Version]


async def _ask(kind: Kind, asked: Asked, as_document: bool, config: Path | None, change: Change | None) -> None:
    catalogue = Catalogue()
    async with session(config) as opened:
        store = CatalogueStore(opened.redis, opened.global_keys, opened.partitions)
        await store.load(catalogue)
        now = await store.present()
    if asked.key is None:
        _list(kind, catalogue, now, asked.everything, as_document)
        return
    at = now if asked.at is None else asked.at
    versions = history(catalogue, kind.name, asked.key, at)
    if not versions:
        _unknown(kind, catalogue, asked.key)
    if asked.pair is not None:
        _compare(kind, catalogue, asked.key, (versions[_place(versions, n)] for n in asked.pair), as_document)
    elif asked.at is None and asked.number is None and asked.customer is None:
        _show_all(kind, catalogue, asked.key, versions, now, as_document)
    else:
        found = current_version(versions) if asked.number is None else versions[_place(versions, asked.number)]
        if asked.number is None and found.standing == SCHEDULED:
            _refuse(f"{kind.word} {text(asked.key)} has no version before {instant.render(found.effective_from)}")
        found = found if change is None else change(catalogue, found, at)
        _show(kind, asked, found, len(versions), as_document)


def _list(kind: Kind, catalogue: Catalogue, now: int, everything: bool, as_document: bool) -> None:
    found = []
    for key in catalogue.keys(kind.name):
        versions = history(catalogue, kind.name, key, now)
        found.append((key, current_version(versions), len(versions)))
    listed = [one for one in found if everything or not one[1].archived]
    if as_document:
        data = [{"key": key, "versions": count} | _document(kind, version) for key, version, count in listed]
        as_json({"data": data})
        return
    rows = [(key, *kind.row(version), count, _standing(version)) for key, version, count in listed]
    table(("key", *kind.columns, "versions", "standing"), rows)
    if hidden := len(found) - len(listed):
        click.echo(f"{hidden} archived left out; --all lists them")


def _show_all(
    kind: Kind, catalogue: Catalogue, key: str, versions: Sequence[Version], now: int, as_document: bool
) -> None:
    related = [] if kind.related is None else kind.related[2](catalogue, key, now)
    if as_document:
        named = {} if kind.related is None else {kind.related[1]: related}
        data = [_document(kind, version) | {"changes": version.changes} for version in versions]
        as_json({"key": key} | named | {"versions": data})
        return
    count = f"{len(versions)} version{'s' if len(versions) > 1 else ''}"
    click.echo(printable(f"{kind.word} {text(key)}: {count}"))
    if kind.related is not None and related:
        more = f" and {len(related) - _NAMED} more" if len(related) > _NAMED else ""
        click.echo(printable(f"{kind.related[0]}: {', '.join(related[:_NAMED])}{more}"))
    for version in versions:
        address = "" if version.hash is None else f"  {version.hash}"
        click.echo(f"\n{version.number}  from {instant.render(version.effective_from)}  {_standing(version)}{address}")
        for change in version.changes:
            click.echo(printable(f"    {line(change)}"))


def _show(kind: Kind, asked: Asked, version: Version, count: int, as_document: bool) -> None:
    if as_document:
        named = {} if asked.customer is None else {"customer": asked.customer}
        as_json({"key": asked.key, **named, "versions": count} | _document(kind, version))
        return
    until = "" if version.until is None else f" until {instant.render(version.until)}"
    whose = "" if asked.customer is None else f", with what customer {text(asked.customer)} agreed otherwise"
    number = f"version {version.number} of {count}"
    click.echo(printable(f"{kind.word} {text(asked.key)}: {number}, {_standing(version)}{whose}"))
    click.echo(f"from {instant.render(version.effective_from)}{until}")
    for said in kind.words(version):
        click.echo(printable(said))
    for path, value in fields(version.content, archived=version.archived).items():
        click.echo(printable(f"    {path}: {value}"))


def _compare(kind: Kind, catalogue: Catalogue, key: str, pair: Any, as_document: bool) -> None:
    entries = catalogue.versions(kind.name, key)
    before, after = pair
    found = field_changes(entries[before.number - 1], entries[after.number - 1])
    if as_document:
        as_json({"key": key, "before": _document(kind, before), "after": _document(kind, after), "changes": found})
        return
    click.echo(printable(f"{kind.word} {text(key)}: version {before.number} → {after.number}"))
    for change in found:
        click.echo(printable(f"    {line(change)}"))
    if not found:
        click.echo("    no difference")


def _document(kind: Kind, version: Version) -> dict[str, Any]:
    address = {} if version.hash is None else {"hash": version.hash}
    return {
        "version": version.number,
        "effective_from": instant.render(version.effective_from),
        "until": None if version.until is None else instant.render(version.until),
        "standing": version.standing,
        "archived": version.archived,
        **address,
        **version.content,
        **kind.also(version),
    }


def _standing(version: Version) -> str:
    said = version.standing
    if said == SCHEDULED:
        said += f" for {instant.render(version.effective_from)}"
    if version.archived:
        said = "archived" if version.standing == IN_FORCE else f"{said}, archived"
    return said


def _place(versions: Sequence[Version], number: int) -> int:
    if not 1 <= number <= len(versions):
        known = "version 1 alone" if len(versions) == 1 else f"versions 1 to {len(versions)}"
        _refuse(f"there is no version {number}; there is {known}")
    return number - 1


def _unknown(kind: Kind, catalogue: Catalogue, key: str) -> NoReturn:
    near = get_close_matches(key, catalogue.keys(kind.name), n=1)
    hint = f"did you mean {text(near[0])}?" if near else f"`witnd {kind.command}` lists them"
    _refuse(f"there is no {kind.word} {text(key)}; {hint}")


def _refuse(problem: str) -> NoReturn:
    click.echo(printable(f"witnd: {problem}"), err=True)
    raise click.exceptions.Exit(USAGE)
