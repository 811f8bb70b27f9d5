"""What commands are told and say of one event: texts, and its fate as `--json` prints it."""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

import click
import msgspec
from msgspec import Struct

from witnd.domain import instant
from witnd.domain.event import EntryId, Event, Retry, Tick, read
from witnd.store.codec import FateRecord
from witnd.store.keys import Keys
from witnd.store.reads import Reads, text_of

# Beside the fates of the contract: not read yet, an entry of the daemon's own, and no trace left.
APPLIED, WAITING, CONTROL, UNKNOWN = "applied", "waiting", "control", "unknown"

_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_NAMED = {"value": "--value", "attribution": "--attribution", "settles_at": "--settles-at"}


def text(value: str) -> str:
    """Text of an argument. Bytes that are no UTF-8 cannot be meant: no event can hold them."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise click.BadParameter("is not UTF-8; correct it, or the terminal's settings") from None
    return value


TEXT = text  # as the type of an option or argument


class Fate(Struct, frozen=True, kw_only=True):
    """One event and what became of it; `fields` are those of its entry where they are at hand."""

    id: str
    partition: int
    accepted_at: str
    fate: str
    key: str | None = None
    reason: str | None = None
    message: str | None = None
    fields: list[tuple[str, str]] | None = None


_UNKNOWN = "it was read, and left no trace; run `witnd audit`"
_WAITING = "no daemon has read it yet"
_CONTROL = "an entry of the daemon's own, which has no fate"


async def fate_of(reads: Reads, keys: Keys, entry: EntryId, key: str | None = None) -> Fate | None:
    """What became of an entry; None where nothing is on record. `key` finds what was trimmed."""
    standing = await reads.standing(keys, entry)
    if standing.fate is not None:
        return listed(keys.partition, entry, standing.fate, standing.entry)
    fields = standing.entry
    if fields is None and key is None:
        return None
    fate, message = UNKNOWN, _UNKNOWN
    if fields is not None:
        item = read(fields)
        if entry > standing.cursor:
            fate, message = WAITING, _WAITING
        elif isinstance(item, Tick | Retry):
            fate, message = CONTROL, _CONTROL
        key = item.key if isinstance(item, Event | Retry) else key
    if fate == UNKNOWN and key is not None:
        if await reads.applied(keys, key, entry) is not None:
            fate, message = APPLIED, ""
        elif fields is None:
            return None
    return Fate(
        id=text_of(entry),
        partition=keys.partition,
        accepted_at=instant.render(entry[0]),
        fate=fate,
        key=key,
        message=message or None,
        fields=_spelled(fields),
    )


def listed(partition: int, entry: EntryId, record: FateRecord, fields: Sequence[bytes] | None) -> Fate:
    return Fate(
        id=text_of(entry),
        partition=partition,
        accepted_at=instant.render(entry[0]),
        fate=record.fate,
        key=record.key,
        reason=record.reason,
        message=record.message,
        fields=_spelled(fields if record.raw is None else record.raw),
    )


def _spelled(fields: Sequence[bytes] | None) -> list[tuple[str, str]] | None:
    """Names and values as text; bytes that are none, escaped."""
    if fields is None:
        return None
    words = [word.decode(errors="backslashreplace") for word in fields]
    return list(zip(words[::2], words[1::2], strict=True))


# -- from the arguments of `witnd send` -----------------------------------------------------------


def fresh_identity() -> str:
    return f"witnd-send-{uuid4().hex}"


def document_of(key: str, action: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The event in its JSON form; what is wrong with it, the engine's own reader says."""
    if given["customer"] is None:
        raise click.UsageError("--customer: is missing; give the key of the customer")
    event: dict[str, Any] = {"key": key, "action": action, "customer_key": given["customer"]}
    if given["agent"] is not None:
        event["agent_key"] = given["agent"]
    event["idempotency_key"] = given["identity"] or fresh_identity()
    if given["timestamp"] is not None:
        event["timestamp"] = given["timestamp"]
    properties = _properties(given)
    if properties:
        event["properties"] = properties
    return event


def _properties(given: Mapping[str, Any]) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    if given["value"] is not None:
        value = _json("--value", given["value"])
        if value is None or isinstance(value, dict | list):
            raise click.UsageError("--value: must be text, a number, true or false")
        properties["value"] = value
    if given["attribution"] is not None:
        number = _json("--attribution", given["attribution"])
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise click.UsageError(f"--attribution: {given['attribution']!r} is no number")
        properties["attribution"] = number
    if given["settles_at"] is not None:
        properties["settles_at"] = given["settles_at"]
    for one in given["properties"]:
        name, equals, text = one.partition("=")
        if not equals or not name:
            raise click.UsageError(f"--property: {one!r} must look like NAME=JSON")
        if name in properties:
            again = _NAMED.get(name, "another --property")
            raise click.UsageError(f"--property: {name} is given twice, also by {again}")
        properties[name] = _json(f"--property {name}", text)
    return properties


def _json(name: str, text: str) -> Any:
    """The JSON value; a bare word is text. What begins like JSON and is none, is a mistake."""
    try:
        return msgspec.json.decode(text)
    except msgspec.MsgspecError as wrong:
        if text.startswith(("{", "[", '"')) or _NUMBER.fullmatch(text):
            raise click.UsageError(f"{name}: {text!r} is no JSON: {wrong}") from None
        return text
