"""`witnd apply` and `witnd export`: the catalogue as one file."""

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click
from msgspec.structs import replace

from witnd.app.catalogue import apply as use
from witnd.app.catalogue.apply import Application, parse_file
from witnd.app.errors import Refused
from witnd.cli.catalogue.logo import raw_with_logo
from witnd.cli.console.author import author
from witnd.cli.console.context import Session, as_json, config_option, json_option, run, session
from witnd.cli.console.options import INSTANT
from witnd.cli.console.output import printable
from witnd.cli.console.toml import written
from witnd.clock import Clock
from witnd.domain.catalogue.file import to_document
from witnd.domain.catalogue.plan import Plan, lines
from witnd.domain.values import instant
from witnd.domain.values.mistake import Mistake
from witnd.exit_codes import USAGE
from witnd.store.catalogue.versions import AppliedChange, CatalogueStore
from witnd.store.clock.record import jumps
from witnd.store.clock.watch import clock_jump
from witnd.store.errors import StoreRefused, StoreUnavailable, Unsafe
from witnd.store.server.safety import clock_difference


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Show the difference and write nothing.")
@click.option(
    "--effective-from",
    metavar="INSTANT",
    type=INSTANT,
    help="When the change takes effect, such as 2027-01-01T00:00:00Z; default: now.",
)
@json_option
@config_option
def apply(
    file: Path,
    dry_run: bool,
    effective_from: int | None,
    json_output: bool,
    config_path: Path | None,
) -> None:
    """Show what a catalogue FILE changes, then apply it.

    An entry in the file replaces the whole stored entry: fields that you leave out get their default. Entries
    that are not in the file stay unchanged. To archive an entry, write `archived = true`. Applying a file twice
    changes nothing the second time. A notification rule without a secret keeps its current one. A new rule
    gets a generated secret, which is shown once. The logo of the seller can be a path: `logo_file = "logo.png"`.
    """
    run(_apply(file, dry_run, effective_from, json_output, config_path))


async def _apply(path: Path, dry_run: bool, effective_from: int | None, as_document: bool, config: Path | None) -> None:
    raw = b""
    try:
        raw = raw_with_logo(path)
        async with session(config) as opened:
            services = replace(opened.services, catalogue_store=await _guarded(opened))
            done = await use.apply(services, author(), raw, effective_from=effective_from, is_dry_run=dry_run)
    except (StoreUnavailable, StoreRefused, Unsafe):
        # What is wrong with the file itself can be said without Redis.
        if mistakes := parse_file(raw).mistakes:
            _refuse(path, mistakes, as_document)
        raise
    except Refused as refused:
        if refused.code == "UNAVAILABLE":
            raise
        _refuse(path, refused.details or [Mistake("", refused.message)], as_document)
    if as_document:
        as_json(_document(done, dry_run))
    else:
        _tell(done.plan, done.applied)
        for warning in done.warnings:
            click.echo(printable(f"witnd: warning: {warning}"), err=True)


async def _guarded(opened: Session) -> CatalogueStore:
    """Return a store that refuses to date versions by a wrong or jumped server clock."""
    now_ms, found = await jumps(opened.redis, opened.global_keys)
    ahead = max((one.jump_ms for one in found), default=0)
    problem = clock_jump(ahead) if ahead > 0 else clock_difference(now_ms - Clock().now_ms())
    return CatalogueStore(opened.redis, opened.global_keys, opened.partitions, lambda: problem)


def _refuse(path: Path, mistakes: Sequence[Mistake], as_document: bool) -> NoReturn:
    if as_document:
        as_json({"applied": False, "mistakes": [{"path": one.path, "message": one.message} for one in mistakes]})
    else:
        click.echo(f"witnd: {path}: nothing was written", err=True)
        for one in mistakes:
            click.echo(printable(f"  {one}"), err=True)
    raise click.exceptions.Exit(USAGE)


def _tell(planned: Plan, applied: AppliedChange | None) -> None:
    for line in lines(planned.differences):
        click.echo(printable(line))
    if not planned.changes:
        click.echo("no changes")
        return
    count = f"{len(planned.changes)} change{'s' if len(planned.changes) > 1 else ''}"
    if applied is None:
        click.echo(f"dry run: {count}, nothing was written")
        return
    since = "the beginning"
    if applied.effective_from:
        since = instant.render(applied.effective_from)
    click.echo(f"{count} written, in effect from {since}, revision {applied.revision}")
    for name, secret in planned.secrets.items():
        click.echo(printable(f"secret of notification rule {name!r}, shown once: {secret}"))


def _document(done: Application, dry_run: bool) -> dict[str, object]:
    applied = done.applied
    return {
        "applied": applied is not None,
        "dry_run": dry_run,
        "revision": None if applied is None else applied.revision,
        "effective_from": None if applied is None else instant.render(applied.effective_from),
        "differences": done.plan.differences,
        "warnings": done.warnings,
        # One that was not written means nothing to anybody.
        "secrets": {} if applied is None else done.plan.secrets,
    }


@click.command()
@click.option("--secrets", "with_secrets", is_flag=True, help="Include the secrets of notification rules.")
@config_option
def export(with_secrets: bool, config_path: Path | None) -> None:
    """Print the catalogue in effect as a TOML file. Applying that file changes nothing."""
    run(_export(with_secrets, config_path))


async def _export(with_secrets: bool, config: Path | None) -> None:
    async with session(config) as opened:
        catalogue = await opened.services.learned()
        at = await opened.services.catalogue_store.next_instant()
    click.echo(f"# The catalogue of witnd at revision {catalogue.revision}.")
    if not with_secrets:
        click.echo("# Secrets are left out; applying this file keeps them. `--secrets` prints them.")
    if (scheduled := catalogue.next_change_after(at)) is not None:
        when = instant.render(scheduled)
        click.echo(f"# Scheduled changes are left out; the first takes effect at {when}.")
    for line in written(to_document(catalogue, secrets=with_secrets, at=at)):
        click.echo(line)
