"""`witnd send`: validate and send events from arguments or standard input."""

import json
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn

import anyio
import click
import msgspec
from anyio import to_thread

from witnd.cli.console.context import Session, as_json, config_option, json_option, run, session
from witnd.cli.console.output import printable
from witnd.cli.console.texts import TEXT, document_of, fresh_identity
from witnd.domain.outcomes.event import Event, Refusal, read
from witnd.domain.outcomes.partitioning import partition_of
from witnd.exit_codes import REDIS, USAGE
from witnd.store.errors import StoreUnavailable
from witnd.store.log.reader import entry_id
from witnd.store.log.routed_appender import append_once
from witnd.store.query.fates import WAITING, Fate, fate_of
from witnd.store.query.reads import Reads, open_reads

STDIN: Final = "-"
BATCH: Final = 500  # lines checked and sent at a time, as many as the API takes in one call
POLL_SECONDS: Final = 0.05


class _How(NamedTuple):
    """Options of the command that do not concern the event."""

    wait_seconds: float | None
    as_document: bool
    config: Path | None


class _Ready(NamedTuple):
    """A validated event, its partition, and its idempotency key."""

    line: int
    data: bytes
    key: str
    partition: int
    idempotency_key: str | None


@click.command()
@click.argument("key", type=TEXT, metavar="KEY|-")
@click.argument("action", type=TEXT, required=False)
@click.option("--customer", type=TEXT, help="Key of the customer; required with an ACTION.")
@click.option("--agent", type=TEXT, help="Key of the agent; needed if the action does not identify it.")
@click.option("--id", "identity", type=TEXT, help="Idempotency key; default: a generated one.")
@click.option("--value", type=TEXT, help="A JSON string, number, true or false; a bare word is a string.")
@click.option("--attribution", type=TEXT, metavar="NUMBER", help="Quantity for the billing unit.")
@click.option("--settles-at", type=TEXT, metavar="INSTANT", help="Settle the outcome at this instant.")
@click.option("--timestamp", type=TEXT, metavar="INSTANT", help="When the event happened.")
@click.option(
    "--property",
    "properties",
    type=TEXT,
    metavar="NAME=JSON",
    multiple=True,
    help="A property of the event; repeatable.",
)
@click.option("--wait", is_flag=True, help="Wait until the daemon processes the event, and print its fate.")
@click.option("--timeout", type=click.FloatRange(0.1), default=30.0, show_default=True, help="Seconds to wait.")
@json_option
@config_option
def send(
    *,
    key: str,
    action: str | None,
    wait: bool,
    timeout: float,
    json_output: bool,
    config_path: Path | None,
    **given: Any,
) -> None:
    """Send an event for the outcome KEY, or with `-` events from standard input.

    With `-`, each line is one JSON event. The command validates every event before it appends it to the
    log, 500 lines at a time. An event without an idempotency key gets a generated one, which is printed.
    If the command cannot confirm the write (exit code 3), send the event again with that key as `--id`:
    it counts once.

    \b
    JSON (one document; one per line with -):
      {"id", "partition", "key", "idempotency_key", "fate": EVENT or null}
    EVENT is what `witnd events ID --json` prints; null without --wait.

    \b
    Examples:
      witnd send ticket-4711 replied --customer acme
      witnd send ticket-4711 rated --customer acme --value 4 --attribution 2.5 --wait
      witnd send ticket-4711 reopened --customer acme --id evt-17 --property by='"alice"'
      witnd send - < events.jsonl
    """
    how = _How(timeout if wait else None, json_output, config_path)
    if key == STDIN:
        if action is not None or any(value for value in given.values()):
            raise click.UsageError("with `-`, events come from standard input; leave out ACTION and event options")
        run(_send_lines(how))
        return
    if action is None:
        raise click.UsageError("ACTION: is required, such as `replied`")
    run(_send_one(document_of(key, action, given), how))


# -- from arguments ------------------------------------------------------------------------------


async def _send_one(document: dict[str, Any], how: _How) -> None:
    async with session(how.config) as opened, open_reads(opened.server) as reads:
        ready = _checked(json.dumps(document).encode(), 0, opened.partitions)
        if isinstance(ready, Refusal):
            _mistake(ready.message)
        ready = ready._replace(idempotency_key=document["idempotency_key"])
        [id_] = await _append(opened, reads, [ready])
        [fate] = await _fates(opened, reads, [(ready, id_)], how)
    if how.as_document:
        as_json(_answer(ready, id_, fate))
    else:
        click.echo(printable(_told(ready, id_, fate)))
    _end([fate], how)


# -- from standard input -------------------------------------------------------------------------


async def _send_lines(how: _How) -> None:
    """Send events in batches. A batch is validated as a whole before any of it is sent; earlier batches stay sent."""
    waiting: list[Fate] = []
    async with session(how.config) as opened, open_reads(opened.server) as reads:
        lines = _numbered()

        def more() -> list[tuple[int, bytes]]:
            return list(islice(lines, BATCH))

        while batch := await to_thread.run_sync(more, abandon_on_cancel=True):
            ready = _checked_lines(batch, opened.partitions)
            sent = list(zip(ready, await _append(opened, reads, ready), strict=True))
            known = await _fates(opened, reads, sent, how)
            for (one, id_), fate in zip(sent, known, strict=True):
                if how.as_document:
                    click.echo(msgspec.json.encode(_answer(one, id_, fate)).decode())
                else:
                    click.echo(printable(_told(one, id_, fate)))
            waiting += [fate for fate in known if fate is not None and fate.fate == WAITING]
    _end(waiting, how)


def _checked_lines(batch: Sequence[tuple[int, bytes]], partitions: int) -> list[_Ready]:
    checked = [_line(number, text, partitions) for number, text in batch]
    wrong = [
        f"line {number}: {one.message}"
        for (number, _), one in zip(batch, checked, strict=True)
        if isinstance(one, Refusal)
    ]
    if wrong:
        _mistake(*wrong, f"no event from line {batch[0][0]} on was sent")
    return [one for one in checked if isinstance(one, _Ready)]


def _numbered() -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(sys.stdin.buffer, 1):
        if text := line.strip():
            yield number, text


def _line(number: int, text: bytes, partitions: int) -> _Ready | Refusal:
    ready = _checked(text, number, partitions)
    if isinstance(ready, Refusal):
        return ready
    document = json.loads(text)
    identity = document.get("idempotency_key")
    if identity is None and "specversion" not in document:
        # An envelope has its own. The rest is checked, so writing it anew loses nothing.
        identity = fresh_identity()
        document["idempotency_key"] = identity
        again = _checked(json.dumps(document).encode(), number, partitions)
        if isinstance(again, Refusal):
            return again
        ready = again
    return ready._replace(idempotency_key=identity)


# -- sending -------------------------------------------------------------------------------------


def _checked(data: bytes, line: int, partitions: int) -> _Ready | Refusal:
    item = read((b"data", data))
    if isinstance(item, Event):
        return _Ready(line, data, item.key, partition_of(item.key, partitions), None)
    return item if isinstance(item, Refusal) else Refusal("is not an event")


async def _append(opened: Session, reads: Reads, ready: Sequence[_Ready]) -> list[str]:
    """Return the entry ids. If a write failed or is not confirmed, print the events and exit."""
    entries = [(opened.keys(one.partition).events, ("data", one.data)) for one in ready]
    try:
        answers = await append_once(reads.connection, entries, opened.config.redis.durability)
    except StoreUnavailable as silent:
        _unknown(ready, str(silent))
    missing = [one for one, answer in zip(ready, answers, strict=True) if answer.id is None]
    if missing:
        refused = next(answer.refused for answer in answers if answer.refused is not None)
        click.echo(f"witnd: {refused}", err=True)
        _say_lines("these events were not sent", missing)
        raise click.exceptions.Exit(REDIS)
    return [answer.id for answer in answers if answer.id is not None]


def _unknown(ready: Sequence[_Ready], reason: str) -> NoReturn:
    click.echo(f"witnd: {reason}", err=True)
    if len(ready) == 1 and not ready[0].line:
        again = f"repeat the command with --id {ready[0].idempotency_key}; the event counts once"
        click.echo(printable(f"witnd: write not confirmed; {again}"), err=True)
    else:
        _say_lines("write not confirmed; send these events again", ready)
    raise click.exceptions.Exit(REDIS)


def _say_lines(what: str, ready: Sequence[_Ready]) -> None:
    click.echo(f"witnd: {what}; with these idempotency keys, each counts once:", err=True)
    for one in ready:
        click.echo(json.dumps(json.loads(one.data)), err=True)


async def _fates(opened: Session, reads: Reads, sent: Sequence[tuple[_Ready, str]], how: _How) -> Sequence[Fate | None]:
    """Return the fates of processed events; `waiting` for events that are not processed in time."""
    if how.wait_seconds is None:
        return [None] * len(sent)
    give_up = anyio.current_time() + how.wait_seconds
    for partition, id_ in {one.partition: id_ for one, id_ in sent}.items():
        while await reads.cursor(opened.keys(partition)) < entry_id(id_):
            if anyio.current_time() > give_up:
                break
            await anyio.sleep(POLL_SECONDS)
    partitions = opened.services.partitions
    return [await fate_of(reads, partitions, partitions[one.partition], entry_id(id_), one.key) for one, id_ in sent]


def _answer(ready: _Ready, id_: str, fate: Fate | None) -> dict[str, object]:
    return {
        "id": id_,
        "partition": ready.partition,
        "key": ready.key,
        "idempotency_key": ready.idempotency_key,
        "fate": fate,
    }


def _told(ready: _Ready, id_: str, fate: Fate | None) -> str:
    told = id_ if ready.idempotency_key is None else f"{id_}  --id {ready.idempotency_key}"
    if fate is None:
        return told
    why = ": ".join(part for part in (fate.reason, fate.message) if part)
    return f"{told}  {fate.fate}{f' ({why})' if why else ''}"


def _end(fates: Sequence[Fate | None], how: _How) -> None:
    if any(fate is not None and fate.fate == WAITING for fate in fates):
        late = f"sent, but not processed within {how.wait_seconds:g} s; check that `witnd run` is running"
        click.echo(f"witnd: {late}", err=True)
        raise click.exceptions.Exit(REDIS)


def _mistake(*messages: str) -> NoReturn:
    for message in messages:
        click.echo(printable(f"witnd: {message}"), err=True)
    raise click.exceptions.Exit(USAGE)
