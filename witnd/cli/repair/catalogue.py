"""`witnd repair catalogue`: write back versions that Redis lost, or accept the loss."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from witnd.cli.console.author import author
from witnd.cli.console.context import Session, as_json, config_option, json_option, run, session
from witnd.cli.console.output import printable
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.catalogue.plan import Change
from witnd.domain.values import instant
from witnd.store.access.change_log import Change as Logged
from witnd.store.catalogue import repair as catalogue_repair
from witnd.store.catalogue.copy import CatalogueCopy, read_copy
from witnd.store.catalogue.loader import decode_entry
from witnd.store.catalogue.repair import Repair, StoredCatalogue
from witnd.store.catalogue.versions import CatalogueStore
from witnd.store.errors import StoreRefused, Unsafe


@click.command("catalogue")
@click.option(
    "--from",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Copy to use; default: the one in the state directory.",
)
@click.option("--accept", is_flag=True, help="Use no copy: accept the catalogue that Redis has.")
@click.option("--yes/--dry-run", "do", default=False, help="Apply the repair, or only show it (the default).")
@json_option
@config_option
def catalogue(file: Path | None, accept: bool, do: bool, json_output: bool, config_path: Path | None) -> None:
    """Write back catalogue versions that Redis lost.

    A daemon with a state directory keeps a copy of every version there (`catalogue-PREFIX.jsonl`).
    This command writes the lost versions back unchanged. Versions that you applied after the loss
    follow as new ones: a version in effect begins now, a scheduled one keeps its instant. Stop all
    daemons first.

    Without a copy, or with --accept, the catalogue in Redis is valid from now on. Outcomes that opened
    under a lost version keep its terms only if their records name them: run `witnd audit` afterwards.
    Remove the copies on other hosts. The change log records every repair.

    \b
    JSON: {"needed", "done", "accepted", "redis": versions in Redis, "catalogue": versions afterwards,
      "lost": [VERSION…], "again": [VERSION…], "undecided": [text…]};
      a VERSION is {"number" or null, "kind", "key", "effective_from"}

    \b
    Examples:
      witnd repair catalogue
      witnd repair catalogue --yes
      witnd repair catalogue --from /mnt/other-host/catalogue-witn.jsonl --yes
      witnd repair catalogue --accept --yes
    """
    run(_repair(file, accept, do, json_output, config_path))


async def _repair(file: Path | None, accept: bool, do: bool, as_document: bool, config: Path | None) -> None:
    async with session(config) as opened:
        copy = _copy(opened, file)
        found = await catalogue_repair.read_stored(opened.redis, opened.global_keys, opened.partitions)
        wanted = catalogue_repair.plan(found, copy, accept=accept)
        if not as_document:
            _show(found, wanted)
        done = False
        if wanted.needed and do:
            await _do(opened, found, wanted, accept=accept)
            done = True
    if as_document:
        as_json(_document(found, wanted, done=done, accept=accept))
    elif wanted.needed and not done:
        click.echo("nothing was written; run this with --yes to repair it")


def _copy(opened: Session, file: Path | None) -> Sequence[bytes] | None:
    path = file or CatalogueCopy(opened.config.daemon.state_dir, opened.config.redis.prefix).path
    stored = read_copy(path)
    if stored is None:
        if file is not None:
            raise Unsafe(f"{file} is not a copy of a catalogue", "give the file catalogue-PREFIX.jsonl of a daemon")
        return None
    if opened.meta is not None and stored.deployment != opened.meta.deployment:
        raise Unsafe(
            f"{path} is a copy of deployment {stored.deployment}, and Redis has {opened.meta.deployment}",
            "give a copy of this deployment with --from, or accept what Redis has with --accept",
        )
    return stored.entries


async def _do(opened: Session, found: StoredCatalogue, wanted: Repair, *, accept: bool) -> None:
    if found.owners:
        raise StoreRefused(f"daemons are running: {', '.join(found.owners)}", "stop them, and repeat")
    if wanted.undecided and not accept:
        raise StoreRefused(
            f"{', '.join(wanted.undecided)}: decided under versions that neither Redis nor the copy has",
            "give a copy of another host with --from, or accept what Redis has with --accept",
        )
    who, keys = author(), opened.global_keys
    logged = Logged(
        who=who.who, source=who.source, what="catalogue.repair", key="", request_id="",
        before={"versions": len(found.entries)},
        after={"versions": len(wanted.entries), "accepted": accept, "lost": list(wanted.lost)},
    )  # fmt: skip
    head = await catalogue_repair.repair(opened.redis, keys, found, wanted, logged)
    if accept:
        await catalogue_repair.accept(opened.redis, found, head)
        _replace_copy(opened, wanted)
    click.echo(f"the catalogue has {head.count} versions", err=True)
    store = CatalogueStore(opened.redis, keys, opened.partitions)
    entries = catalogue_repair.versions_to_rewrite(wanted.behind)
    now = await store.next_instant()
    later = catalogue_repair.changes_later(entries, now)
    groups: list[tuple[int | None, list[Change]]] = [(None, catalogue_repair.changes_now(entries, now))]
    groups += [(at, [change]) for at, change in later]
    for at, changes in groups:

        def remaining(current: Catalogue, when: int, changes: Sequence[Change] = changes) -> list[Change]:
            return [one for one in changes if not _is_current(current, one, when)]

        applied = await store.change(Catalogue(), remaining, at)
        if applied is not None:
            names = ", ".join(f"{one.kind} {one.key}" for one in changes)
            since = instant.render(applied.effective_from)
            click.echo(printable(f"written again, in effect from {since}: {names}"), err=True)


def _is_current(catalogue: Catalogue, change: Change, at: int) -> bool:
    entry = catalogue.entry(change.kind, change.key, at)
    return entry is not None and (entry.content, entry.archived) == (change.content, change.archived)


def _replace_copy(opened: Session, wanted: Repair) -> None:
    """The copy of this host must not refuse what was accepted."""
    copy = CatalogueCopy(opened.config.daemon.state_dir, opened.config.redis.prefix)
    if copy.path.exists() and opened.meta is not None:
        copy.replace(opened.meta.deployment, wanted.entries)


def _show(found: StoredCatalogue, wanted: Repair) -> None:
    if not wanted.needed:
        click.echo(f"the catalogue has all its {len(found.entries)} versions")
        return
    click.echo(f"Redis has {len(found.entries)} versions of the catalogue; afterwards it has {len(wanted.entries)}")
    for one in _lost(wanted):
        click.echo(printable(f"  lost, to write back: {_words(one)}"))
    for one in _again(wanted):
        click.echo(printable(f"  only in Redis, to write again after them: {_words(one)}"))
    for what in wanted.undecided:
        click.echo(printable(f"  decided under versions that will be missing: {what}"))


def _lost(wanted: Repair) -> list[dict[str, Any]]:
    return [_version(number, wanted.entries[number - 1]) for number in wanted.lost]


def _again(wanted: Repair) -> list[dict[str, Any]]:
    return [_version(None, raw) for raw in wanted.behind]


def _version(number: int | None, raw: bytes) -> dict[str, Any]:
    try:
        entry = decode_entry((number or 1) - 1, raw)
    except Unsafe as damaged:
        return {"number": number, "kind": None, "key": damaged.reason, "effective_from": None}
    since = instant.render(entry.effective_from)
    return {"number": number, "kind": entry.kind, "key": entry.key, "effective_from": since}


def _words(one: dict[str, Any]) -> str:
    number = "" if one["number"] is None else f"version {one['number']}, "
    if one["kind"] is None:
        return f"{number}{one['key']}"
    return f"{number}{one['kind'].replace('_', ' ')} {one['key']} from {one['effective_from']}"


def _document(found: StoredCatalogue, wanted: Repair, *, done: bool, accept: bool) -> dict[str, Any]:
    return {
        "needed": wanted.needed,
        "done": done,
        "accepted": accept,
        "redis": len(found.entries),
        "catalogue": len(wanted.entries),
        "lost": _lost(wanted),
        "again": _again(wanted),
        "undecided": list(wanted.undecided),
    }
