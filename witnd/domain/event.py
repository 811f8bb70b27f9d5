"""Reading entries of the log: from raw stream fields to an event, a control entry or a refusal.

Strict where money could hang on a guess (contract section 4): malformed or non-UTF-8 JSON, duplicate member names,
numbers that fit no finite double, depth over 32 and wrong types are refused with the path of the mistake.
Where an event goes and what it does to an outcome is decided elsewhere.
"""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from hashlib import blake2s, sha256
from typing import Annotated, Any, NamedTuple, TypeAlias

import msgspec

from witnd.domain import instant

Value: TypeAlias = str | bool | float
EntryId: TypeAlias = tuple[int, int]

EVENT_BYTES_MAX = 256 * 1024  # contract section 4; the hosted product's own limit
DEPTH_MAX = 32  # contract section 4: deeper than any sane payload, shallow enough for every parser
ATTRIBUTION_MAX = 1e15
ATTRIBUTION_MIN = 1e-12
MARK_BYTES = 16  # 128 bits: no accidental collision in the life of an installation


_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class Event(msgspec.Struct, frozen=True, gc=False):
    """A usable event. `value` and `attribution` are what conditions and billing read of `properties`."""

    key: str
    action: str
    customer_key: str
    agent_key: str | None
    timestamp: int | None
    value: Value | None
    attribution: Decimal | None
    pin: int | None  # properties.settles_at
    mark: bytes | None  # digest of the idempotency key, None without one
    content: bytes | None  # digest of the content, present with a mark


class Tick(NamedTuple):
    """Proves that log time has passed."""


class Retry(NamedTuple):
    """Asks again for the held events of a key."""

    key: str


class Refusal(NamedTuple):
    """An entry that is no usable event, and why."""

    message: str
    misplaced: bool = False  # a usable event in the wrong partition


Item: TypeAlias = Event | Tick | Retry | Refusal


class _Invalid(Exception):  # noqa: N818 - never leaves this module
    """Carries the message of a refusal."""


class _Record(msgspec.Struct, gc=False):
    """The frequent event: known members of the right types. Whatever does not fit is read the slow way, which says
    what is wrong with it."""

    key: Annotated[str, msgspec.Meta(min_length=8, max_length=255)]
    action: _Text
    customer_key: _Text
    agent_key: _Text | msgspec.UnsetType | None = msgspec.UNSET
    idempotency_key: _Text | msgspec.UnsetType | None = msgspec.UNSET
    timestamp: str | msgspec.UnsetType | None = msgspec.UNSET
    properties: dict[str, Any] | msgspec.UnsetType | None = msgspec.UNSET


_decode = msgspec.json.Decoder().decode
_decode_record = msgspec.json.Decoder(_Record).decode
_encode_sorted = msgspec.msgpack.Encoder(order="sorted").encode
_FIELDS = frozenset(
    ("key", "action", "customer_key", "agent_key", "idempotency_key", "timestamp", "properties")
)
_RESERVED = frozenset(("value", "attribution", "settles_at"))
_SCALARS = frozenset((str, bool, float))
_ABSENT = msgspec.UNSET
_TICK = Tick()


def read(fields: Sequence[bytes]) -> Item:
    """Read the alternating names and values of one stream entry. Never raises for what an entry contains."""
    try:
        if len(fields) == 2 and fields[0] == b"data":
            data = fields[1]
            return _frequent(data) or _event(_document(data))
        return _from_fields(fields)
    except _Invalid as refused:
        return Refusal(str(refused))


def _frequent(data: bytes) -> Event | None:
    """The event if it is of the frequent kind and without any mistake; None where a closer look is needed.

    Does what `_document`, `_event` and `_made` do, in one go: most of the time of an event used to be spent there.
    """
    if len(data) > EVENT_BYTES_MAX or data.count(b"{") > 2 or b"[" in data:
        return None
    try:
        record = _decode_record(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    agent, identity, timestamp = record.agent_key, record.idempotency_key, record.timestamp
    properties = record.properties
    members = 7
    if agent is _ABSENT:
        agent, members = None, members - 1
    if identity is _ABSENT:
        identity, members = None, members - 1
    if timestamp is _ABSENT:
        timestamp, members = None, members - 1
    value = attribution = pin = None
    if properties is _ABSENT:
        properties, members = None, members - 1
    elif properties:
        members += len(properties)
        for name, member in properties.items():
            kind = type(member)
            if kind is float:
                properties[name] = member + 0.0
            elif kind is not str and kind is not bool:
                return None
        value = properties.get("value")
        attribution, pin = properties.get("attribution"), properties.get("settles_at")
    if data.count(b":") != members and not _names_are_counted(data, members):
        return None
    occurred = None
    if timestamp is not None or attribution is not None or pin is not None:
        occurred = None if timestamp is None else _instant("timestamp", timestamp)
        if properties:
            value, attribution, pin = _reserved(properties)
    mark = content = None
    action, customer = record.action, record.customer_key
    if identity is not None:
        mark = blake2s(identity.encode(), digest_size=MARK_BYTES).digest()
        said = (action, customer, agent, timestamp, properties)
        content = blake2s(_encode_sorted(said), digest_size=MARK_BYTES).digest()
    return Event(
        record.key, action, customer, agent, occurred, value, attribution, pin, mark, content
    )


def _from_fields(fields: Sequence[bytes]) -> Item:
    if not fields:
        raise _Invalid("the entry has no fields; send `data` or `key`, `action`, `customer_key`")
    try:
        names = [name.decode() for name in fields[::2]]
    except UnicodeDecodeError:
        raise _Invalid("a field name is not UTF-8") from None
    raw = dict(zip(names, fields[1::2], strict=True))
    if "witnd" in raw:
        return _control(raw, len(names))
    if "data" in raw:
        return _event(_document(raw["data"]))
    if sum(map(len, fields)) > EVENT_BYTES_MAX:
        raise _Invalid(f"the event is larger than {EVENT_BYTES_MAX} bytes")
    if len(raw) != len(names):
        raise _Invalid("a field name appears twice; send each field once")
    return _event(_flat(raw))


def _control(raw: Mapping[str, bytes], names: int) -> Item:
    kind = raw["witnd"]
    if kind == b"tick" and names == 1:
        return _TICK
    if kind == b"retry" and names == 2 and "key" in raw:
        try:
            return Retry(raw["key"].decode())
        except UnicodeDecodeError:
            return _TICK  # no outcome can have such a key, so there is nothing to ask again
    raise _Invalid("`witnd` marks control entries: `tick` alone, or `retry` with `key`")


def _flat(raw: Mapping[str, bytes]) -> dict[str, Any]:
    """The JSON form of a flat entry: every field is a string but `properties`, a JSON object."""
    record: dict[str, Any] = {}
    for name, value in raw.items():
        if name == "properties":
            try:
                record[name] = None if value.strip() == b"null" else _document(value)
            except _Invalid as refused:
                raise _Invalid(f"properties: {refused}") from None
        elif name in _FIELDS:
            try:
                record[name] = value.decode()
            except UnicodeDecodeError:
                raise _Invalid(f"{name}: is not UTF-8") from None
    return record


def _document(data: bytes) -> dict[str, Any]:
    """Strict JSON. The decoder refuses everything but duplicate names and depth, which are checked here.

    Every member has one colon, so a count of colons that equals the number of decoded members proves that no name
    came twice. The count is too high where a string has one as well: then other proofs are tried.
    """
    if len(data) > EVENT_BYTES_MAX:
        raise _Invalid(f"the event is larger than {EVENT_BYTES_MAX} bytes")
    try:
        document = _decode(data)
    except UnicodeDecodeError:
        raise _Invalid("is not valid UTF-8") from None
    except RecursionError:
        raise _Invalid(f"is nested deeper than {DEPTH_MAX}") from None
    except msgspec.MsgspecError as wrong:
        raise _Invalid(f"is not strict JSON: {wrong}") from None
    if type(document) is not dict:
        raise _Invalid("must be a JSON object")
    members = len(document)
    inner = document.get("properties")
    if type(inner) is dict:
        members += len(inner)
    # A flat record of known fields is by far the most frequent; anything that may have more inside is walked.
    if data.count(b"{") > 2 or b"[" in data or not _FIELDS.issuperset(document):
        members = _walk(document)
    if data.count(b":") != members and not _names_are_counted(data, members):
        _refuse_twins(data)
    return document


def _names_are_counted(data: bytes, members: int) -> bool:
    """The same proof where colons stand inside of strings too: names end with a quote and their colon follows."""
    return (
        data.count(b'":') == members
        and b" :" not in data
        and b"\n:" not in data
        and b"\t:" not in data
        and b"\r:" not in data
    )


def _walk(document: dict[str, Any]) -> int:
    """Number of members at every depth; refuses what is nested too deep or holds a number without a finite double."""
    members = 0
    level: list[Any] = [document]
    for _depth in range(DEPTH_MAX):
        below: list[Any] = []
        for node in level:
            if type(node) is dict:
                members += len(node)
                children: Any = node.values()
            else:
                children = node
            for child in children:
                if type(child) in (dict, list):
                    below.append(child)
                elif type(child) is int:
                    _double("a number", child)
        if not below:
            return members
        level = below
    raise _Invalid(f"is nested deeper than {DEPTH_MAX}")


def _refuse_twins(data: bytes) -> None:
    def pairs(members: list[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for name, _ in members:
            if name in seen:
                raise _Invalid(f"member {name!r} appears twice")
            seen.add(name)

    json.loads(data.decode(), object_pairs_hook=pairs, parse_int=str, parse_float=str)


def _double(path: str, number: float) -> float:
    """The nearest double of a JSON number, which is what the number means (contract section 4)."""
    try:
        return float(number)
    except OverflowError:
        raise _Invalid(f"{path}: does not fit a finite double") from None


def _event(record: dict[str, Any]) -> Event:
    if "specversion" in record:
        record = _unwrap(record)
    key = record.get("key")
    if type(key) is not str or not 8 <= len(key) <= 255:
        raise _Invalid(_text_mistake("key", key, 8))
    action = record.get("action")
    if type(action) is not str or not 1 <= len(action) <= 255:
        raise _Invalid(_text_mistake("action", action, 1))
    customer = record.get("customer_key")
    if type(customer) is not str or not 1 <= len(customer) <= 255:
        raise _Invalid(_text_mistake("customer_key", customer, 1))
    agent = record.get("agent_key")
    if agent is not None and (type(agent) is not str or not 1 <= len(agent) <= 255):
        raise _Invalid(_text_mistake("agent_key", agent, 1))
    timestamp = record.get("timestamp")
    properties = record.get("properties")
    if properties is not None and type(properties) is not dict:
        raise _Invalid("properties: must be an object")
    identity = record.get("idempotency_key")
    if identity is not None and (type(identity) is not str or not 1 <= len(identity) <= 255):
        raise _Invalid(_text_mistake("idempotency_key", identity, 1))
    return _made(key, action, customer, agent, identity, timestamp, properties)


def _made(
    key: str,
    action: str,
    customer: str,
    agent: str | None,
    identity: str | None,
    timestamp: object,
    properties: dict[str, Any] | None,
) -> Event:
    """The event of checked members; instants and reserved properties are checked here."""
    occurred = None if timestamp is None else _instant("timestamp", timestamp)
    value = attribution = pin = None
    plain = True
    if properties:
        plain = _normalise(properties)
        value, attribution, pin = _reserved(properties)
    mark = content = None
    if identity is not None:
        mark = blake2s(identity.encode(), digest_size=MARK_BYTES).digest()
        said = properties if plain or properties is None else _said(properties)
        content = blake2s(
            _encode_sorted((action, customer, agent, timestamp, said)), digest_size=MARK_BYTES
        ).digest()
    return Event(key, action, customer, agent, occurred, value, attribution, pin, mark, content)


def _normalise(properties: dict[str, Any]) -> bool:
    """Make every number of the top level a double, in place; refuses one that is none. True if all members are plain
    scalars, so that equal content is equal as it stands."""
    plain = True
    for name, member in properties.items():
        kind = type(member)
        if kind is float or kind is int:
            # Adding zero makes -0.0 equal to 0.0 in its bytes too.
            properties[name] = _double(f"properties.{name}", member) + 0.0 if kind is int else member + 0.0
        elif kind is not str and kind is not bool:
            plain = False
    return plain


def _reserved(
    properties: dict[str, Any],
) -> tuple[Value | None, Decimal | None, int | None]:
    """`value`, `attribution` and `settles_at`."""
    value = properties.get("value")
    if value is not None and type(value) not in _SCALARS:
        raise _Invalid("properties.value: must be a string, a number or a boolean")
    attribution = None
    number = properties.get("attribution")
    if type(number) is float:
        if abs(number) > ATTRIBUTION_MAX or 0 < abs(number) < ATTRIBUTION_MIN:
            raise _Invalid("properties.attribution: must be 0 or between 1e-12 and 1e15 in size")
        attribution = Decimal(repr(number))
    pin = properties.get("settles_at")
    if pin is not None:
        pin = _instant("properties.settles_at", pin)
    return value, attribution, pin


def _instant(path: str, text: object) -> int:
    if type(text) is not str:
        raise _Invalid(f"{path}: must be a string like 2026-01-31T09:30:00.000Z")
    try:
        return instant.parse(text)
    except ValueError as wrong:
        raise _Invalid(f"{path}: {wrong}") from None


def _text_mistake(path: str, value: object, least: int) -> str:
    if value is None:
        return f"{path}: is required"
    if type(value) is not str:
        return f"{path}: must be a string"
    return f"{path}: must have {least} to 255 characters, it has {len(value)}"


def _unwrap(envelope: dict[str, Any]) -> dict[str, Any]:
    """The event inside a CloudEvents 1.0 JSON envelope (contract section 4.1)."""
    if envelope["specversion"] != "1.0":
        raise _Invalid('specversion: must be "1.0"')
    source, identity = envelope.get("source"), envelope.get("id")
    if type(source) is not str or not source:
        raise _Invalid("source: a CloudEvents envelope needs a non-empty string")
    if type(identity) is not str or not identity:
        raise _Invalid("id: a CloudEvents envelope needs a non-empty string")
    data = envelope.get("data")
    if type(data) is not dict:
        raise _Invalid("data: must be the event as a JSON object")
    record = dict(data)
    if record.get("idempotency_key") is None:
        record["idempotency_key"] = sha256(f"{source}\0{identity}".encode()).hexdigest()
    if record.get("timestamp") is None:
        record["timestamp"] = envelope.get("time")
    return record


def _said(properties: dict[str, Any]) -> dict[str, Any]:
    """What a digest of the content is made of: equal for equal content, whatever the spelling or form (contract
    section 4.3). Null is absence for the reserved properties; any other null is content."""
    return {
        name: _same(member)
        for name, member in properties.items()
        if member is not None or name not in _RESERVED
    }


def _same(node: Any) -> Any:
    kind = type(node)
    if kind is int or kind is float:
        return float(node) + 0.0
    if kind is dict:
        return {name: _same(member) for name, member in node.items()}
    if kind is list:
        return [_same(member) for member in node]
    return node
