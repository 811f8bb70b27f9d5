"""Read log entries: raw stream fields become an event, a control entry or a refusal.

The reader never guesses: malformed or non-UTF-8 JSON, duplicate member names, numbers that do not fit a finite double,
depth over 32 and wrong types are refused with the path of the mistake.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from hashlib import blake2s
from typing import Annotated, Any, NamedTuple, TypeAlias

import msgspec

from witnd.domain.outcomes.content import MARK_BYTES, comparable, encode_sorted, normalise
from witnd.domain.outcomes.event_forms import from_envelope, from_flat, is_envelope, with_identity
from witnd.domain.values import instant
from witnd.domain.values.mistake import Mistake
from witnd.domain.values.strictjson import BYTES_MAX, Invalid, document, has_unique_names

Value: TypeAlias = str | bool | float
EntryId: TypeAlias = tuple[int, int]

ATTRIBUTION_MAX = 1e15
ATTRIBUTION_MIN = 1e-12

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class Event(msgspec.Struct, frozen=True, gc=False):
    """A valid event. `value` and `attribution` are the properties that conditions and billing use. Instants in ms."""

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
    """A control entry that shows that log time has passed."""


class Retry(NamedTuple):
    """A control entry that requests another attempt to place the held events of a key."""

    key: str


class Refusal(NamedTuple):
    """Why an entry is not a valid event. `mistakes` has the errors in the event itself."""

    message: str
    misplaced: bool = False  # a valid event in the wrong partition
    mistakes: tuple[Mistake, ...] = ()


Item: TypeAlias = Event | Tick | Retry | Refusal


class _Record(msgspec.Struct, gc=False):
    """The common event: known members with valid types. `_event` reads all others and reports their errors."""

    key: Annotated[str, msgspec.Meta(min_length=8, max_length=255)]
    action: _Text
    customer_key: _Text
    agent_key: _Text | msgspec.UnsetType | None = msgspec.UNSET
    idempotency_key: _Text | msgspec.UnsetType | None = msgspec.UNSET
    timestamp: str | msgspec.UnsetType | None = msgspec.UNSET
    properties: dict[str, Any] | msgspec.UnsetType | None = msgspec.UNSET


_decode_record = msgspec.json.Decoder(_Record).decode
_SCALARS = frozenset((str, bool, float))
_ABSENT = msgspec.UNSET
_EXACT = 1 << 53  # all integers below this are exact doubles
_TICK = Tick()


def read(fields: Sequence[bytes]) -> Item:
    """Read the alternating names and values of a stream entry. Invalid entries return a Refusal."""
    try:
        if len(fields) == 2 and fields[0] == b"data":
            data = fields[1]
            return _frequent(data) or _event(document(data))
        return _from_fields(fields)
    except Invalid as refused:
        return Refusal(str(refused), mistakes=refused.mistakes)


def _frequent(data: bytes) -> Event | None:
    """Return the event if it is a common one without mistakes, or None if `_event` must read it.

    A fast path with the same result as `document` and `_event`, where most of the time was spent. Nothing is nested
    deeper than `properties` here: unknown members add colons that are not counted, and property types are checked.
    """
    if len(data) > BYTES_MAX:
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
                properties[name] = member + 0.0  # makes -0.0 equal to 0.0 in its bytes too
            elif kind is int and -_EXACT < member < _EXACT:
                properties[name] = float(member)
            elif kind is not str and kind is not bool:
                return None
        value = properties.get("value")
        attribution, pin = properties.get("attribution"), properties.get("settles_at")
    if data.count(b":") != members and not has_unique_names(data, members):
        return None
    occurred = None
    wrong: list[Mistake] = []
    if timestamp is not None:
        occurred = _instant("timestamp", timestamp, wrong)
    if properties and (type(attribution) is float or pin is not None):
        value, attribution, pin = _reserved_properties(properties, wrong)
    else:
        attribution = None  # other types are ignored
    if wrong:
        raise Invalid.of(wrong)
    mark = content = None
    action, customer = record.action, record.customer_key
    if identity is not None:
        # Slicing is faster than digest_size, and inlined for speed (measured).
        mark = blake2s(identity.encode()).digest()[:MARK_BYTES]
        content = blake2s(encode_sorted((action, customer, agent, timestamp, properties))).digest()[:MARK_BYTES]
    return Event(record.key, action, customer, agent, occurred, value, attribution, pin, mark, content)


def _from_fields(fields: Sequence[bytes]) -> Item:
    if not fields:
        raise Invalid("the entry has no fields; send `data` or `key`, `action`, `customer_key`")
    try:
        names = [name.decode() for name in fields[::2]]
    except UnicodeDecodeError:
        raise Invalid("a field name is not UTF-8") from None
    raw = dict(zip(names, fields[1::2], strict=True))
    if "witnd" in raw:
        return _control(raw, len(names))
    if len(raw) != len(names):
        raise Invalid("a field name appears twice; send each field once")
    if "data" in raw:
        return _event(with_identity(document(raw["data"]), raw))
    if sum(map(len, fields)) > BYTES_MAX:
        raise Invalid(f"the event is larger than {BYTES_MAX} bytes")
    return _event(with_identity(from_flat(raw), raw))


def _control(raw: Mapping[str, bytes], names: int) -> Item:
    kind = raw["witnd"]
    if kind == b"tick" and names == 1:
        return _TICK
    if kind == b"retry" and names == 2 and "key" in raw:
        try:
            return Retry(raw["key"].decode())
        except UnicodeDecodeError:
            return _TICK  # no outcome can have such a key
    raise Invalid("`witnd` marks control entries: `tick` alone, or `retry` with `key`")


def _event(record: dict[str, Any]) -> Event:
    """Return the event of a record in the JSON form. Raises Invalid with all mistakes."""
    if is_envelope(record):
        record = from_envelope(record)
    wrong: list[Mistake] = []
    key = _text(record, "key", 8, wrong)
    action = _text(record, "action", 1, wrong)
    customer = _text(record, "customer_key", 1, wrong)
    agent = None if record.get("agent_key") is None else _text(record, "agent_key", 1, wrong)
    identity = None if record.get("idempotency_key") is None else _text(record, "idempotency_key", 1, wrong)
    timestamp = record.get("timestamp")
    occurred = None if timestamp is None else _instant("timestamp", timestamp, wrong)
    properties = record.get("properties")
    if properties == [] and type(properties) is list:
        properties = {}  # PHP encodes an array without members like this
    value = attribution = pin = None
    plain = True
    if properties is not None and type(properties) is not dict:
        wrong.append(Mistake("properties", "must be an object"))
    elif properties:
        try:
            plain = normalise(properties)
        except Invalid as refused:
            wrong += refused.mistakes
        else:
            value, attribution, pin = _reserved_properties(properties, wrong)
    if wrong:
        raise Invalid.of(wrong)
    mark = content = None
    if identity is not None:
        mark = blake2s(identity.encode()).digest()[:MARK_BYTES]
        said = properties if plain or properties is None else comparable(properties)
        content = blake2s(encode_sorted((action, customer, agent, timestamp, said))).digest()[:MARK_BYTES]
    return Event(key, action, customer, agent, occurred, value, attribution, pin, mark, content)


def _reserved_properties(
    properties: dict[str, Any], wrong: list[Mistake]
) -> tuple[Value | None, Decimal | None, int | None]:
    """Return `value`, `attribution` and `settles_at`, and add their mistakes to `wrong`."""
    value = properties.get("value")
    if value is not None and type(value) not in _SCALARS:
        wrong.append(Mistake("properties.value", "must be a string, a number or a boolean"))
    attribution = None
    number = properties.get("attribution")
    if type(number) is float:
        if abs(number) > ATTRIBUTION_MAX or 0 < abs(number) < ATTRIBUTION_MIN:
            wrong.append(Mistake("properties.attribution", "must be 0 or have a magnitude between 1e-12 and 1e15"))
        else:
            attribution = Decimal(repr(number))
    pin = properties.get("settles_at")
    if pin is not None:
        pin = _instant("properties.settles_at", pin, wrong)
    return value, attribution, pin


def _instant(path: str, text: object, wrong: list[Mistake]) -> int | None:
    if type(text) is not str:
        wrong.append(Mistake(path, "must be a string like 2026-01-31T09:30:00.000Z"))
        return None
    try:
        return instant.parse(text)
    except ValueError as reason:
        wrong.append(Mistake(path, str(reason)))
        return None


def _text(record: Mapping[str, Any], name: str, least: int, wrong: list[Mistake]) -> str:
    value = record.get(name)
    if type(value) is str and least <= len(value) <= 255:
        return value
    if value is None:
        wrong.append(Mistake(name, "is required"))
    elif type(value) is not str:
        wrong.append(Mistake(name, "must be a string"))
    else:
        wrong.append(Mistake(name, f"must have {least} to 255 characters, it has {len(value)}"))
    return ""
