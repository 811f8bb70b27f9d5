"""`witnd repair outcome`: rebuild an outcome on hold, for the owner of its partition to store."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import click

from witnd.cli.console.context import Session, as_json, config_option, json_option, run, session
from witnd.cli.console.texts import TEXT
from witnd.domain.outcomes.event import EntryId, Event, Retry, read
from witnd.domain.outcomes.explain import STATUS_TEXT
from witnd.domain.outcomes.partitioning import partition_of
from witnd.domain.values import instant
from witnd.engine.rebuild import Rebuild, RebuildResult
from witnd.fold.hold import Hold, too_many
from witnd.fold.on_hold import Poison
from witnd.store.errors import Unsafe
from witnd.store.keys import Keys
from witnd.store.log.reader import entry_id
from witnd.store.partition.holds import applied_entries, hold_of, prepare, stored_repair, undetected_hold
from witnd.store.query.earlier_logs import entries_until, has_whole_logs, recorded_fates
from witnd.store.query.reads import Reads, open_reads, text_of
from witnd.store.records.codec import OutcomeRecord, decode_outcome
from witnd.store.records.hold import Repair

# Longest wait for the daemon to put the repair in place, and for a daemon to take the partition.
WAIT_SECONDS: Final = 10.0
OWNER_SECONDS: Final = 3.0
_WAITING: Final = "waiting"
_FINAL: Final = ("CONFIRMED", "FAILED")
_SHOWN: Final = 5
_TOO_MANY: Final = (
    "the events are kept, the outcome stays on hold, and everything else continues: stop the producer that sends them, "
    "bill the outcome by hand, and report this"
)


class _Found(NamedTuple):
    """The repaired state and where it comes from."""

    rebuilt: RebuildResult
    source: str


@click.command()
@click.argument("key", type=TEXT)
@click.option("--dry-run", is_flag=True, help="Show what would be written, and write nothing.")
@click.option(
    "--accept-trimmed-log",
    is_flag=True,
    help="Rebuild although the log lost its oldest entries. Only if no event of KEY was held before its first entry.",
)
@click.option("--yes", is_flag=True, hidden=True, expose_value=False, help="Accepted for consistency; has no effect.")
@json_option
@config_option
def outcome(key: str, dry_run: bool, accept_trimmed_log: bool, json_output: bool, config_path: Path | None) -> None:
    """Rebuild the outcome KEY, which is on hold.

    The command reads the events of KEY from the log and applies them under the terms of that time. The
    result must agree with everything else that is stored about KEY. The daemon stores it, then processes
    the waiting events. An outcome that became due meanwhile settles at once: its line keeps the instant at
    which the outcome was due, has `repaired_at`, and joins the customer's current period. If the daemon
    does not run, it completes the repair when it starts.

    If the log no longer has every event, the command does not guess: it shows what is missing.

    \b
    JSON: {"key", "partition", "reason", "source", "status", "events", "state":
    "repaired" | "requested" | "in_memory" | "dry_run" | "not_on_hold"}

    \b
    Examples:
      witnd repair outcome ticket-4711 --dry-run
      witnd repair outcome ticket-4711
    """
    run(_outcome(key, dry_run, accept_trimmed_log, json_output, config_path))


async def _outcome(key: str, dry_run: bool, trimmed: bool, as_document: bool, config: Path | None) -> None:
    async with session(config) as opened, open_reads(opened.server) as reads:
        keys = opened.keys(partition_of(key, opened.partitions))
        hold = await hold_of(reads, keys, key) or await undetected_hold(reads, keys, key)
        if hold is None:
            _print(as_document, key, keys, None, None, "not_on_hold")
            return
        [waiting] = await reads.transaction_with_errors(("LLEN", keys.waiting(key)))
        if isinstance(waiting, int) and (reason := too_many(waiting)) is not None:
            raise Unsafe(f"{key} cannot be repaired: {reason}", _TOO_MANY)
        found = await _find(opened, reads, keys, key, hold, trimmed)
        state = "dry_run"
        if not dry_run:
            await opened.note_request(
                "outcome.repair", key, reason=hold.reason, source=found.source, status=found.rebuilt.status
            )
            entry = await prepare(opened.retry_requests(), keys, key, found.rebuilt.repair)
            state = await _wait(reads, keys, key, entry_id(entry))
        _print(as_document, key, keys, hold, found, state)


def _print(as_document: bool, key: str, keys: Keys, hold: Hold | None, found: _Found | None, state: str) -> None:
    if as_document:
        rebuilt = None if found is None else found.rebuilt
        as_json(
            {
                "key": key,
                "partition": keys.partition,
                "reason": None if hold is None else hold.reason,
                "source": None if found is None else found.source,
                "status": None if rebuilt is None else rebuilt.status,
                "events": None if rebuilt is None else rebuilt.events,
                "state": state,
            }
        )
        return
    if hold is None or found is None:
        click.echo(f"{key} is not on hold and its stored data is readable: nothing to repair")
        return
    click.echo(f"{key} is on hold: {hold.reason}")
    click.echo(f"rebuilt from {found.source}: {_words(found.rebuilt)}")
    click.echo(
        {
            "dry_run": "nothing was written; run this without --dry-run to repair it",
            "repaired": "repaired: the daemon has stored it; `witnd explain` shows it",
            "in_memory": "not repaired: the daemon has it undamaged in memory; restart it, then run this again",
            "requested": "requested: the daemon stores it when it reads the log",
        }[state]
    )


def _words(rebuilt: RebuildResult) -> str:
    events = f"{rebuilt.events} event{'' if rebuilt.events == 1 else 's'}"
    return f"no outcome, {events} held" if rebuilt.status is None else f"{STATUS_TEXT[rebuilt.status]}, {events}"


async def _wait(reads: Reads, keys: Keys, key: str, entry: EntryId) -> str:
    """Return what the owner does with the repair within a moment. Its request in the log is at `entry`."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    while loop.time() < begin + WAIT_SECONDS:
        left, owner, held, cursor = await reads.transaction(
            ("EXISTS", keys.repair(key)),
            ("EXISTS", keys.owner),
            ("HEXISTS", keys.on_hold, key),
            ("HGET", keys.state, "cursor"),
        )
        if not left:
            return "repaired"
        if not held and cursor is not None and entry_id(cursor.decode()) >= entry:
            # Kept, it would be put in place at a later hold, without the events that came since.
            await reads.pipeline(("UNLINK", keys.repair(key)))
            return "in_memory"
        if not owner and loop.time() > begin + OWNER_SECONDS:
            break
        await asyncio.sleep(0.1)
    return "requested"


# -- where the state comes from ----------------------------------------------------------------------------------------


async def _find(opened: Session, reads: Reads, keys: Keys, key: str, hold: Hold, trimmed: bool) -> _Found:
    """Rebuild the outcome. Raise `Unsafe` with what is missing instead of guessing."""
    catalogue = await opened.services.learned()
    position = await reads.position(keys)
    limit = entry_id(hold.cursor) if hold.since else position.cursor
    rebuild = Rebuild(catalogue, key)
    snapshot = position.snapshot
    if await has_whole_logs(reads, keys):
        fates = await _replay(reads, keys, key, limit, rebuild)
        return _Found(_check_rebuilt(key, hold, fates, rebuild.result(settled=hold.status in _FINAL)), "the log")
    stored = await stored_repair(reads, keys, key)
    if isinstance(stored, Repair) and stored.record is not None:
        fates = await _replay(reads, keys, key, limit, None)
        return _Found(_check_stored(key, stored, fates), "the stored data, which is readable again")
    begins = f"the log begins with entry {text_of(snapshot.first)}" if snapshot.length else "the log is empty"
    gone = f"{begins}, and older entries are gone"
    if hold.opened_at is None or not snapshot.length or hold.opened_at < snapshot.first[0]:
        opened_at = "" if hold.opened_at is None else f", opened at {instant.render(hold.opened_at)},"
        raise Unsafe(
            f"{key}{opened_at} cannot be rebuilt: {gone}; they may include events of this outcome",
            f"restore {keys.outcome(key)} and {keys.history(key)} from a backup of Redis (DUMP and RESTORE), "
            "then run this again; until then the outcome stays on hold and everything else continues",
        )
    if not trimmed:
        raise Unsafe(
            f"{gone}. {key} opened at {instant.render(hold.opened_at)}, which the log has, but an event that was "
            "held for it before the log begins would be missing",
            "add --accept-trimmed-log if no event was held for it then; else restore its record from a backup",
        )
    fates = await _replay(reads, keys, key, limit, rebuild)
    rebuilt = rebuild.result(settled=hold.status in _FINAL)
    return _Found(_check_rebuilt(key, hold, fates, rebuilt), "the log, which was trimmed")


async def _replay(
    reads: Reads, keys: Keys, key: str, limit: EntryId, rebuild: Rebuild | None
) -> dict[EntryId, str | None]:
    """Fold the log up to the hold. Return the recorded fate of every event of the key, None for applied ones.

    Events that wait are not part of it: the daemon decides them.
    """
    found: dict[EntryId, str | None] = {}
    async for page in entries_until(reads, keys, limit):
        mine: dict[EntryId, Event | Retry] = {}
        for entry, fields in page:
            item = read(fields)
            if isinstance(item, Event | Retry) and item.key == key:
                mine[entry] = item
        events = [entry for entry, item in mine.items() if isinstance(item, Event)]
        fates = await recorded_fates(reads, keys, events)
        found |= {entry: fate for entry, fate in fates.items() if fate != _WAITING}
        if rebuild is not None:
            _fold(rebuild, key, [(e, mine.get(e)) for e, _ in page if fates.get(e) != _WAITING])
    return found


def _fold(rebuild: Rebuild, key: str, entries: Sequence[tuple[EntryId, Event | Retry | None]]) -> None:
    try:
        for entry, item in entries:
            if item is None:
                rebuild.pass_time(entry)
            else:
                rebuild.add(entry, item)
    except Poison as poison:
        raise Unsafe(
            f"the fold fails for {key}: {poison}",
            "this is a bug in this version of witnd: report it, and repair with a version that has the fix",
        ) from poison


def _check_rebuilt(key: str, hold: Hold, fates: Mapping[EntryId, str | None], rebuilt: RebuildResult) -> RebuildResult:
    """Check that the rebuilt outcome agrees with everything else that is stored about the key."""
    wrong: list[str] = []
    if rebuilt.status != hold.status:
        wrong.append(f"the lists have {hold.status or 'no outcome'}, the log has {rebuilt.status or 'no outcome'}")
    if rebuilt.opened_at != hold.opened_at:
        wrong.append(f"it opened at {_at(hold.opened_at)} by the lists, at {_at(rebuilt.opened_at)} by the log")
    for entry, fate in fates.items():
        if (found := rebuilt.fates.get(entry)) != fate:
            wrong.append(f"entry {text_of(entry)} is {fate or 'applied'} on record but {found or 'applied'} by the log")
    if wrong:
        raise Unsafe(
            f"{key} cannot be rebuilt: {_first(wrong)}",
            "more than this outcome is damaged: run `witnd audit`, and restore a backup",
        )
    return rebuilt


def _check_stored(key: str, stored: Repair, fates: Mapping[EntryId, str | None]) -> RebuildResult:
    """Check that a record that is readable again has every applied event of the log."""
    assert stored.record is not None, stored
    record = decode_outcome(key, stored.record)
    assert isinstance(record, OutcomeRecord), record
    there = applied_entries(key, stored)
    missing = [text_of(entry) for entry, fate in fates.items() if fate is None and entry not in there]
    if missing:
        raise Unsafe(
            f"the stored data of {key} is older than the log: it lacks {_first(missing)}",
            "restore the newest backup of its record",
        )
    return RebuildResult(stored, record.status, record.opened_at, record.events, {})


def _first(found: Sequence[str]) -> str:
    more = f", and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return "; ".join(found[:_SHOWN]) + more


def _at(ms: int | None) -> str:
    return "never" if ms is None else instant.render(ms)
