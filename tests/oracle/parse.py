"""From the raw fields of a log entry to a tick, a retry, an event or a refusal.

Written from section 4 (and the instants of section 3) of the contract alone. The stdlib's `json`
does the reading; everything it is too generous about is refused by hooks and walks here. What
becomes of an event is left to `oracle.py`.
"""

import base64
import datetime
import hashlib
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

MAX_EVENT_BYTES = 256 * 1024
MAX_DEPTH = 32
IDENTITY = (b"idempotency_key", b"specversion", b"id", b"source", b"time")
RESERVED = ("value", "attribution", "settles_at")

_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")

Fields = dict[bytes, bytes]
Value = str | bool | float


class RefusedError(Exception):
    """The entry carries no usable event; the text says why (for people, never compared)."""


@dataclass(frozen=True)
class Tick:
    """A control entry that only proves time."""


@dataclass(frozen=True)
class Retry:
    """A control entry that asks again about the held events of one key; None is no key at all."""

    key: str | None


@dataclass(frozen=True)
class Event:
    """One well-formed event."""

    key: str
    action: str
    customer_key: str
    agent_key: str | None
    idempotency_key: str | None
    timestamp: int | None  # ms
    value: Value | None
    attribution: Fraction | None  # None: absent, or not a number
    pin: int | None  # properties.settles_at in ms
    content: object  # equal for two events exactly when they have the same content (section 4.3)


def parse_entry(fields: Fields) -> Tick | Retry | Event:
    """Read one entry; RefusedError means INVALID_EVENT."""
    if b"witnd" in fields:
        if fields == {b"witnd": b"tick"}:
            return Tick()
        if set(fields) == {b"witnd", b"key"} and fields[b"witnd"] == b"retry":
            try:
                return Retry(fields[b"key"].decode())
            except UnicodeDecodeError:
                return Retry(None)  # names no key that could have held events: harmless
        raise RefusedError("the field `witnd` is for control entries")
    if b"data" in fields:
        return _event(_identified(_from_json(fields[b"data"]), fields))
    return _event(_identified(_from_flat(fields), fields))


# --- the three forms -----------------------------------------------------------------------------


def _identified(tree: dict[str, Any], fields: Fields) -> dict[str, Any]:
    """An identity beside the event (its key, or the attributes of a CloudEvent) is used or refused."""
    try:
        beside = {name.decode(): text.decode() for name, text in fields.items() if name in IDENTITY and text}
    except UnicodeDecodeError as error:
        raise RefusedError("an identity is not UTF-8") from error
    cloud = {name: text for name, text in beside.items() if name != "idempotency_key"}
    if "specversion" not in cloud:
        cloud = {}
    if tree.get("specversion") is not None:
        if any(tree.get(name) != text for name, text in cloud.items()):
            raise RefusedError("the envelope and the fields differ")
        tree = _from_cloud_event(tree)
    elif cloud:
        named, own = _from_cloud_event({**cloud, "data": tree}), tree.get("idempotency_key")
        if own is not None and own != cloud_idempotency_key(cloud["source"], cloud["id"]):
            raise RefusedError("two identities")
        tree = named
    if "idempotency_key" in beside:
        if tree.get("idempotency_key") not in (None, beside["idempotency_key"]):
            raise RefusedError("two identities")
        tree = {**tree, "idempotency_key": beside["idempotency_key"]}
    return tree


def _from_json(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_EVENT_BYTES:
        raise RefusedError("over 256 KiB")
    tree = read_json(data)
    if not isinstance(tree, dict):
        raise RefusedError("not an object")
    return tree


def _from_cloud_event(envelope: dict[str, Any]) -> dict[str, Any]:
    if envelope["specversion"] != "1.0":
        raise RefusedError("only CloudEvents 1.0")
    source, name = envelope.get("source"), envelope.get("id")
    for text in (source, name):
        if not isinstance(text, str) or text == "":
            raise RefusedError("CloudEvents need source and id")
    data, encoded = envelope.get("data"), envelope.get("data_base64")
    if encoded is not None:
        if data is not None:
            raise RefusedError("the envelope has data twice")
        if not isinstance(encoded, str) or _BASE64.fullmatch(encoded) is None:
            raise RefusedError("data_base64 is not base64")
        data = read_json(base64.b64decode(encoded))
    if not isinstance(data, dict):
        raise RefusedError("the envelope's data is not an object")
    event = dict(data)
    if event.get("idempotency_key") is None:
        event["idempotency_key"] = cloud_idempotency_key(source, name)
    if event.get("timestamp") is None:
        event["timestamp"] = envelope.get("time")
    return event


def cloud_idempotency_key(source: str, name: str) -> str:
    """Hex SHA-256 of source NUL id."""
    return hashlib.sha256(f"{source}\0{name}".encode()).hexdigest()


def _from_flat(fields: Fields) -> dict[str, Any]:
    if sum(len(name) + len(text) for name, text in fields.items()) > MAX_EVENT_BYTES:
        raise RefusedError("over 256 KiB")
    event: dict[str, Any] = {}
    names = ("key", "action", "customer_key", "agent_key", "idempotency_key", "timestamp")
    for name in names:
        if name.encode() in fields:
            try:
                event[name] = fields[name.encode()].decode("utf-8", "strict")
            except UnicodeDecodeError as error:
                raise RefusedError(f"{name} is not UTF-8") from error
            if event[name] == "" and name in ("agent_key", "idempotency_key", "timestamp"):
                del event[name]
    if fields.get(b"properties"):
        event["properties"] = read_json(fields[b"properties"])
    return event


# --- the event itself ----------------------------------------------------------------------------


def _event(tree: dict[str, Any]) -> Event:
    """`tree` is parsed JSON: every number a float, every null a None."""
    key = _text(tree, "key", 8, required=True)
    action = _text(tree, "action", 1, required=True)
    customer_key = _text(tree, "customer_key", 1, required=True)
    agent_key = _text(tree, "agent_key", 1)
    idempotency_key = _text(tree, "idempotency_key", 1)
    timestamp = tree.get("timestamp")
    properties = tree.get("properties")
    if properties == []:
        properties = {}
    if properties is not None and not isinstance(properties, dict):
        raise RefusedError("properties is not an object")
    given = {} if properties is None else properties

    value = given.get("value")
    if value is not None and not isinstance(value, (str, bool, float)):
        raise RefusedError("properties.value is neither string, number nor boolean")
    attribution = None
    if isinstance(given.get("attribution"), float):
        attribution = decimal_of(given["attribution"])
        size = abs(attribution)
        if size > 10**15 or 0 < size < Fraction(1, 10**12):
            raise RefusedError("properties.attribution is out of range")
    pin = None if given.get("settles_at") is None else read_instant(given["settles_at"])

    content: dict[str, Any] = {
        "key": key,
        "action": action,
        "customer_key": customer_key,
        "agent_key": agent_key,
        "timestamp": timestamp,
    }
    if properties is not None:
        content["properties"] = {
            name: item for name, item in properties.items() if not (name in RESERVED and item is None)
        }
    return Event(
        key=key,
        action=action,
        customer_key=customer_key,
        agent_key=agent_key,
        idempotency_key=idempotency_key,
        timestamp=None if timestamp is None else read_instant(timestamp),
        value=value,
        attribution=attribution,
        pin=pin,
        content=comparable(content),
    )


def _text(tree: dict[str, Any], name: str, shortest: int, *, required: bool = False) -> Any:
    text = tree.get(name)
    if text is None:
        if required:
            raise RefusedError(f"{name} is missing")
        return None
    if not isinstance(text, str):
        raise RefusedError(f"{name} is not a string")
    if not shortest <= len(text) <= 255:
        raise RefusedError(f"{name} has {len(text)} characters")
    return text


def decimal_of(number: float) -> Fraction:
    """The decimal that the shortest representation of the double spells."""
    return Fraction(Decimal(repr(number)))


def comparable(tree: object) -> object:
    """Equal for equal content: typed, so that True and 1.0 differ; member order does not matter."""
    if isinstance(tree, dict):
        return ("object", {name: comparable(item) for name, item in tree.items()})
    if isinstance(tree, list):
        return ("list", [comparable(item) for item in tree])
    return (type(tree).__name__, tree)


# --- strict JSON ---------------------------------------------------------------------------------


def read_json(raw: bytes) -> Any:
    """Parse strictly; numbers become floats."""
    try:
        text = raw.decode("utf-8", "strict")
    except UnicodeDecodeError as error:
        raise RefusedError("not UTF-8") from error
    if _depth(text) > MAX_DEPTH:
        raise RefusedError("nested too deeply")
    try:
        tree = json.loads(
            text,
            parse_int=_number,
            parse_float=_number,
            parse_constant=_constant,
            object_pairs_hook=_members,
        )
    except json.JSONDecodeError as error:
        raise RefusedError(f"not JSON: {error}") from error
    for string in _strings(tree):
        if any("\ud800" <= character <= "\udfff" for character in string):
            raise RefusedError("a lone surrogate")
    return tree


def _depth(text: str) -> int:
    """The greatest number of brackets open at once, outside of strings."""
    deepest = depth = 0
    inside = escaped = False
    for character in text:
        if escaped:
            escaped = False
        elif inside:
            escaped = character == "\\"
            inside = character != '"'
        elif character == '"':
            inside = True
        elif character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise RefusedError("a number that fits no finite double")
    return number


def _constant(name: str) -> float:
    raise RefusedError(f"{name} is not JSON")


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, item in pairs:
        if name in members:
            raise RefusedError(f"duplicate member {name!r}")
        members[name] = item
    return members


def _strings(tree: object) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, list):
        for item in tree:
            yield from _strings(item)
    elif isinstance(tree, dict):
        for name, item in tree.items():
            yield name
            yield from _strings(item)


# --- instants ------------------------------------------------------------------------------------

_INSTANT = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:Z|([+-])(\d\d):(\d\d))", re.ASCII)
_EPOCH = datetime.date(1970, 1, 1).toordinal()


def read_instant(text: object) -> int:
    """Milliseconds since 1970, UTC."""
    if not isinstance(text, str):
        raise RefusedError("an instant is a string")
    match = _INSTANT.fullmatch(text)
    if match is None:
        raise RefusedError(f"unreadable instant {text!r}")
    year, month, day, hour, minute, second = (int(part) for part in match.group(1, 2, 3, 4, 5, 6))
    digits, sign, off_hour, off_minute = match.group(7, 8, 9, 10)
    if hour > 23 or minute > 59 or second > 59:
        raise RefusedError(f"unreadable instant {text!r}")
    try:
        days = datetime.date(year, month, day).toordinal() - _EPOCH
    except ValueError as error:
        raise RefusedError(f"unreadable instant {text!r}") from error
    seconds = ((days * 24 + hour) * 60 + minute) * 60 + second
    if sign is not None:
        if int(off_hour) > 23 or int(off_minute) > 59:
            raise RefusedError(f"unreadable offset in {text!r}")
        offset = (int(off_hour) * 60 + int(off_minute)) * 60
        seconds -= offset if sign == "+" else -offset
    if not 0 <= seconds < (datetime.date(9999, 1, 1).toordinal() - _EPOCH) * 86_400:
        raise RefusedError(f"{text!r} lies outside of the years 1970 to 9998")
    return seconds * 1000 + int(((digits or "") + "000")[:3])


def write_instant(ms: int) -> str:
    """`YYYY-MM-DDThh:mm:ss.mmmZ`."""
    seconds, thousandths = divmod(ms, 1000)
    days, seconds = divmod(seconds, 86_400)
    date = datetime.date.fromordinal(_EPOCH + days)
    hour, rest = divmod(seconds, 3600)
    minute, second = divmod(rest, 60)
    return f"{date.isoformat()}T{hour:02}:{minute:02}:{second:02}.{thousandths:03}Z"
