"""Store the identity that the headers of a request give to its event.

Law: an identity that a producer gives is used or refused, never dropped. Two that differ are refused by name.

`Idempotency-Key` becomes the event's `idempotency_key`. The headers `ce-*` of CloudEvents in binary mode make the body
the `data` of an envelope. `X-Request-Id` names a request and not an event: it is not an identity, and ignored.
"""

import json
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import msgspec
from multidict import CIMultiDict, CIMultiDictProxy

from witnd.app.errors import all_invalid, invalid
from witnd.domain.outcomes.event_forms import envelope_key, is_envelope
from witnd.domain.values.mistake import Mistake
from witnd.domain.values.strictjson import BYTES_MAX, Invalid, document
from witnd.web.errors import ApiError

KEY_MAX: Final = 255
HEADER: Final = "Idempotency-Key"
# Other spellings in use. Ignoring them would count an event twice.
_MISSPELLED: Final = ("X-Idempotency-Key", "Idempotency_Key", "IdempotencyKey")
_REQUIRED: Final = ("ce-specversion", "ce-id", "ce-source", "ce-type")
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\["\\])*)"')
_NOT_ENCODED: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")

Headers = CIMultiDict[str] | CIMultiDictProxy[str]
_encode = msgspec.json.Encoder().encode


def has_cloud_headers(headers: Headers) -> bool:
    """Return whether a request has a header of CloudEvents in binary mode."""
    return any(name[:3].lower() == "ce-" for name in headers)


def refuse_in_query(target: str) -> None:
    """Refuse an identity in the query string: ignoring it would count the event twice."""
    query = target.partition("?")[2].lower()
    if "idempotency" in query or "ce-id" in query:
        raise invalid("", f"an identity in the query string is not supported; send the header {HEADER}")


def header_key(headers: Headers) -> str | None:
    """Return the value of the header `Idempotency-Key`. It may be quoted, as the draft standard requires."""
    for name in _MISSPELLED:
        if name in headers:
            raise invalid(name, f"is not a header of this API; send {HEADER}")
    values = headers.getall(HEADER, [])
    return _key_of(values) if values else None


def _key_of(values: Sequence[str]) -> str:
    key = values[0]
    if quoted := _QUOTED.fullmatch(key):
        key = re.sub(r"\\(.)", r"\1", quoted[1])
    if len(values) > 1 or not 1 <= len(key) <= KEY_MAX or not (key.isascii() and key.isprintable()):
        raise invalid(HEADER, f"must appear once, with 1 to {KEY_MAX} printable ASCII characters")
    return key


def stored_event(headers: Headers, data: bytes, *, structured: bool) -> bytes:
    """Return what is stored for the body of one event: the body itself, unless headers add an identity. Raise
    VALIDATION_ERROR for identities that are incomplete or differ. `structured`: the content type declares an
    envelope."""
    key, binary = header_key(headers), has_cloud_headers(headers)
    if key is None and not binary:
        return data
    record = _record(data)
    if binary and (structured or is_envelope(record)):
        _compare_copies(headers, record)
    elif binary:
        data = _as_envelope(headers, data, record)
        record = _record(data)
    return data if key is None else _with_key(data, record, key)


def _record(data: bytes) -> dict[str, Any]:
    try:
        return document(data)
    except Invalid as refused:
        raise all_invalid(refused.mistakes) from None


def cloud_attributes(headers: Headers) -> dict[str, str]:
    """Return the attributes of CloudEvents in binary mode, decoded by its HTTP binding. Raise with every mistake."""
    found: dict[str, str] = {}
    mistakes: list[Mistake] = []
    for name in {name.lower(): None for name in headers if name[:3].lower() == "ce-"}:
        values = headers.getall(name)
        if len(values) > 1:
            mistakes.append(Mistake(name, "must appear once"))
            continue
        try:
            found[name] = _decoded(values[0])
        except ValueError as reason:
            mistakes.append(Mistake(name, str(reason)))
    if mistakes:
        raise all_invalid(mistakes)
    return found


def _decoded(value: str) -> str:
    if quoted := _QUOTED.fullmatch(value):
        value = re.sub(r"\\(.)", r"\1", quoted[1])
    if _NOT_ENCODED.search(value):
        raise ValueError("has a `%` without two hex digits after it; write it as %25")
    try:
        text = unquote_to_bytes(value.encode(errors="surrogateescape")).decode()
    except UnicodeError:
        raise ValueError("is not valid UTF-8") from None
    return text


def _as_envelope(headers: Headers, data: bytes, record: Mapping[str, Any]) -> bytes:
    """Return the envelope in structured mode for headers and body in binary mode."""
    given = cloud_attributes(headers)
    mistakes = [
        Mistake(name, "is required; a CloudEvent in binary mode has " + ", ".join(_REQUIRED))
        for name in _REQUIRED
        if not given.get(name)
    ]
    if given.get("ce-specversion") not in (None, "", "1.0"):
        mistakes.append(Mistake("ce-specversion", 'must be "1.0"'))
    if mistakes:
        raise all_invalid(mistakes)
    _same_key(record.get("idempotency_key"), envelope_key(given["ce-source"], given["ce-id"]))
    names = ("specversion", "id", "source", "type", "time")
    attributes = {name: given[f"ce-{name}"] for name in names if f"ce-{name}" in given}
    return _encode(attributes)[:-1] + b',"data":' + data + b"}"


def _same_key(own: object, key: str) -> None:
    if own is not None and own != key:
        raise invalid(
            "idempotency_key",
            f"is {str(own)[:KEY_MAX]!r}, but ce-source and ce-id give {key}; send only one of them",
        )


def _compare_copies(headers: Headers, envelope: Mapping[str, Any]) -> None:
    """Refuse headers that differ from the attributes of the envelope: they would be another identity."""
    given = cloud_attributes(headers)
    mistakes = [
        Mistake(name, f"differs from `{name[3:]}` of the envelope; remove the header")
        for name in ("ce-specversion", "ce-id", "ce-source")
        if name in given and given[name] != envelope.get(name[3:])
    ]
    if mistakes:
        raise all_invalid(mistakes)


def _with_key(data: bytes, record: Mapping[str, Any], key: str) -> bytes:
    """Return the event with the key of the header. Refuse it if it has another key."""
    inner = record.get("data") if is_envelope(record) else record
    own = inner.get("idempotency_key") if isinstance(inner, dict) else None
    if own is None and is_envelope(record):
        source, id_ = record.get("source"), record.get("id")
        if not isinstance(source, str) or not isinstance(id_, str):
            return data  # no sound envelope: the reader says what is wrong with it
        own = envelope_key(source, id_)
    if own is not None:
        if own != key:
            raise invalid(HEADER, f"is {key!r}, but the event has {str(own)[:KEY_MAX]!r}; send only one of them")
        return data
    if "idempotency_key" in record:
        return json.dumps({**record, "idempotency_key": key}).encode()
    start = data.index(b"{") + 1
    return data[:start] + b'"idempotency_key":' + _encode(key) + (b"," if record else b"") + data[start:]


def stored_batch(headers: Headers, bodies: Sequence[bytes]) -> list[bytes]:
    """Return what is stored for the events of a batch. `Idempotency-Key` is the key of the whole batch: an event
    without a key gets one derived from it and the event's position, so that repeating the batch counts once."""
    if has_cloud_headers(headers):
        raise ApiError(
            "VALIDATION_ERROR",
            "headers `ce-*` describe one event; send a batch of envelopes as application/cloudevents-batch+json",
        )
    key = header_key(headers)
    if key is None:
        return list(bodies)
    return [_with_place(body, sha256(f"{key}\0{place}".encode()).hexdigest()) for place, body in enumerate(bodies)]


def _with_place(data: bytes, key: str) -> bytes:
    try:
        record = document(data, most=BYTES_MAX)
    except Invalid:
        return data  # the reader says what is wrong with it, and where
    if is_envelope(record) or record.get("idempotency_key") is not None:
        return data
    return _with_key(data, record, key)
