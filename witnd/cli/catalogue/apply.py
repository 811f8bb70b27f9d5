"""`witnd apply` and `witnd export`: the catalogue as one file, there and back."""

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click

from witnd.cli.console.author import author
from witnd.cli.console.context import Session, as_json, config_option, json_option, run, session
from witnd.cli.console.options import INSTANT
from witnd.cli.console.output import printable
from witnd.cli.console.toml import written
from witnd.clock import Clock
from witnd.domain.catalogue.catalogue import Catalogue, CatalogueEntry
from witnd.domain.catalogue.file import CatalogueFile, parse, reference_mistakes, to_document
from witnd.domain.catalogue.own_prices import currency_mistakes
from witnd.domain.catalogue.plan import Change, Plan, lines, plan
from witnd.domain.catalogue.zero_price import catalogue_warnings
from witnd.domain.values import instant
from witnd.domain.values.mistake import Mistake
from witnd.exit_codes import USAGE
from witnd.store.access.change_log import Change as Logged
from witnd.store.catalogue.change_entries import file_entries
from witnd.store.catalogue.versions import AppliedChange, CatalogueRefused, CatalogueStore
from witnd.store.clock.record import jumps
from witnd.store.clock.watch import clock_jump
from witnd.store.errors import StoreRefused, StoreUnavailable, Unsafe
from witnd.store.server.safety import Problem, clock_difference

# Ten thousand customers take two of them; what is larger is another file by mistake.
LARGEST_FILE = 32 << 20
SEED_BYTES = 32


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Show the difference and write nothing.")
@click.option(
    "--effective-from",
    metavar="INSTANT",
    type=INSTANT,
    help="From when on it is in force, such as 2027-01-01T00:00:00Z; else from now on.",
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

    Each thing in the file gets every field: as written, or the default for a field that is left out.
    Things that are not in the file stay as they are: archive with `archived = true`. Applying a file twice
    changes nothing the second time. A notification rule without a secret keeps its own; a new one gets one,
    which is shown once.
    """
    run(_apply(file, file.read_bytes(), dry_run, effective_from, json_output, config_path))


async def _apply(
    path: Path, raw: bytes, dry_run: bool, effective_from: int | None, as_document: bool, config: Path | None
) -> None:
    file = _parsed(raw)
    seed = secrets.token_bytes(SEED_BYTES)
    catalogue = Catalogue()
    planned = Plan(changes=(), differences=(), secrets={})
    before: dict[tuple[str, str], CatalogueEntry | None] = {}
    warnings: list[Mistake] = []

    def decide(current: Catalogue, at: int) -> tuple[Change, ...]:
        nonlocal planned, file, warnings
        file = _parsed(raw, current)
        if wrong := (*file.mistakes, *reference_mistakes(file, current)):
            _refuse(path, wrong, as_document)
        if currencies := currency_mistakes(current, file.items, at):
            _refuse(path, tuple(currencies), as_document)
        planned = plan(current, file.items, seed=seed, at=at)
        warnings = catalogue_warnings(current, file.items, at)
        before.update({(one.kind, one.key): current.entry(one.kind, one.key, at) for one in planned.changes})
        return () if dry_run else planned.changes

    def log() -> list[Logged]:
        return file_entries(author(), planned.changes, before)

    applied = None
    try:
        async with session(config) as opened:
            problem = await _clock_problem(opened)
            store = CatalogueStore(opened.redis, opened.global_keys, opened.partitions, lambda: problem)
            applied = await store.change(catalogue, decide, effective_from, log=log)
    except (StoreUnavailable, StoreRefused, Unsafe):
        # What is wrong with the file itself can be said without Redis.
        if file.mistakes:
            _refuse(path, file.mistakes, as_document)
        if planned.changes and not dry_run:
            click.echo("witnd: perhaps it was written, perhaps not: apply it again", err=True)
        raise
    except CatalogueRefused as refused:
        _refuse(path, (Mistake("", str(refused)),), as_document)
    if as_document:
        as_json(_document(planned, applied, dry_run, warnings))
    else:
        _tell(planned, applied)
        for warning in warnings:
            click.echo(printable(f"witnd: warning: {warning}"), err=True)


async def _clock_problem(opened: Session) -> Problem | None:
    """Why no version may be dated by the server's clock: it is wrong, or daemons see that it jumped forward."""
    now_ms, found = await jumps(opened.redis, opened.global_keys)
    ahead = max((one.jump_ms for one in found), default=0)
    return clock_jump(ahead) if ahead > 0 else clock_difference(now_ms - Clock().now_ms())


def _parsed(raw: bytes, catalogue: Catalogue | None = None) -> CatalogueFile:
    """Read the file's content, beside a catalogue if there is one. A file that is no text has that as its mistake."""
    if len(raw) > LARGEST_FILE:
        limit = f"the file is larger than {LARGEST_FILE >> 20} MiB; split it"
        return CatalogueFile(mistakes=(Mistake("", limit),))
    try:
        return parse(raw.decode("utf-8-sig"), catalogue)
    except UnicodeDecodeError as wrong:
        problem = f"the file is not UTF-8 text ({wrong.reason} at byte {wrong.start}); save it so"
        return CatalogueFile(mistakes=(Mistake("", problem),))


def _refuse(path: Path, mistakes: tuple[Mistake, ...], as_document: bool) -> NoReturn:
    if as_document:
        as_json({"applied": False, "mistakes": mistakes})
    else:
        click.echo(f"witnd: {path}: nothing was written", err=True)
        for mistake in mistakes:
            click.echo(printable(f"  {mistake}"), err=True)
    raise click.exceptions.Exit(USAGE)


def _tell(planned: Plan, applied: AppliedChange | None) -> None:
    for line in lines(planned.differences):
        click.echo(printable(line))
    if not planned.changes:
        click.echo("nothing to do")
        return
    count = f"{len(planned.changes)} change{'s' if len(planned.changes) > 1 else ''}"
    if applied is None:
        click.echo(f"dry run: {count}, nothing was written")
        return
    since = "the beginning"
    if applied.effective_from:
        since = instant.render(applied.effective_from)
    click.echo(f"{count} written, in force from {since}, revision {applied.revision}")
    for name, secret in planned.secrets.items():
        click.echo(printable(f"secret of notification rule {name!r}, shown once: {secret}"))


def _document(
    planned: Plan, applied: AppliedChange | None, dry_run: bool, warnings: Sequence[Mistake]
) -> dict[str, object]:
    since = None if applied is None else instant.render(applied.effective_from)
    return {
        "applied": applied is not None,
        "dry_run": dry_run,
        "revision": None if applied is None else applied.revision,
        "effective_from": since,
        "differences": planned.differences,
        "warnings": warnings,
        # One that was not written means nothing to anybody.
        "secrets": {} if applied is None else planned.secrets,
    }


@click.command()
@click.option("--secrets", "with_secrets", is_flag=True, help="Also the secrets of the rules.")
@config_option
def export(with_secrets: bool, config_path: Path | None) -> None:
    """Print the catalogue in effect as a file. `witnd apply` of that file changes nothing."""
    run(_export(with_secrets, config_path))


async def _export(with_secrets: bool, config: Path | None) -> None:
    catalogue = Catalogue()
    async with session(config) as opened:
        store = CatalogueStore(opened.redis, opened.global_keys, opened.partitions)
        await store.load(catalogue)
        at = await store.present()
    click.echo(f"# The catalogue of witnd at revision {catalogue.revision}.")
    if not with_secrets:
        click.echo("# Secrets are left out: rules keep theirs. `--secrets` prints them.")
    if (scheduled := catalogue.next_change_after(at)) is not None:
        when = instant.render(scheduled)
        click.echo(f"# Left out as well: what is scheduled, the first of it for {when}.")
    for line in written(to_document(catalogue, secrets=with_secrets, at=at)):
        click.echo(line)
