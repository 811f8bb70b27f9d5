"""Convert flat fields and CloudEvents 1.0 envelopes into the JSON form of an event."""

import base64
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from witnd.domain.values.mistake import Mistake
from witnd.domain.values.strictjson import KNOWN, Invalid, document

# An empty string means absent, because clients without null write one (redis-rb, ioredis).
_OPTIONAL = frozenset(("agent_key", "idempotency_key", "timestamp", "properties"))
_WHITESPACE = b" \t\r\n"  # of JSON
# CloudEvents attributes that may be separate fields beside `data`, like the HTTP headers of binary mode.
_ATTRIBUTES = ("specversion", "id", "source", "time")
# Checked here, because versions of Python accept different base64.
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")


def from_flat(fields: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the JSON form of a flat entry: every field is a string except `properties`, a JSON object."""
    record: dict[str, Any] = {}
    mistakes: list[Mistake] = []
    for name, value in fields.items():
        if name not in KNOWN or (not value and name in _OPTIONAL):
            continue
        if name == "properties":
            try:
                record[name] = _properties(value)
            except Invalid as refused:
                mistakes += [Mistake(f"properties.{at.path}".rstrip("."), at.message) for at in refused.mistakes]
            continue
        try:
            record[name] = value.decode()
        except UnicodeDecodeError:
            mistakes.append(Mistake(name, "is not UTF-8"))
    if mistakes:
        raise Invalid.of(mistakes)
    return record


def _properties(value: bytes) -> dict[str, Any] | None:
    text = value.strip(_WHITESPACE)
    if text == b"null":
        return None
    if text[:1] == b"[" and text[-1:] == b"]" and not text[1:-1].strip(_WHITESPACE):
        return {}  # PHP encodes an array without members like this
    return document(value)


def is_envelope(record: Mapping[str, Any]) -> bool:
    """Return whether a JSON object is a CloudEvents envelope."""
    return record.get("specversion") is not None


def from_envelope(envelope: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event inside a CloudEvents 1.0 JSON envelope."""
    mistakes: list[Mistake] = []
    if envelope["specversion"] != "1.0":
        mistakes.append(Mistake("specversion", 'must be "1.0"'))
    source, id_ = envelope.get("source"), envelope.get("id")
    for name, text in (("source", source), ("id", id_)):
        if type(text) is not str or not text:
            mistakes.append(Mistake(name, "must be a non-empty string in a CloudEvents envelope"))
    data = _data(envelope, mistakes)
    if data is None or mistakes:
        raise Invalid.of(mistakes)
    record = dict(data)
    if record.get("idempotency_key") is None:
        record["idempotency_key"] = envelope_key(str(source), str(id_))
    if record.get("timestamp") is None:
        record["timestamp"] = envelope.get("time")
    return record


def with_identity(record: dict[str, Any], fields: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the record with the identity from the fields beside its `data`.

    Such an identity is used or refused, never ignored: otherwise a repeated event would count twice.
    """
    if attributes := _texts(fields, _ATTRIBUTES) if fields.get("specversion") else None:
        record = _with_attributes(record, attributes)
    identity = _texts(fields, ("idempotency_key",)).get("idempotency_key")
    if identity is None:
        return record
    if is_envelope(record):
        record = from_envelope(record)
    if record.get("idempotency_key") not in (None, identity):
        raise Invalid.of([Mistake("idempotency_key", "differs from that of the event in `data`; leave the field out")])
    return {**record, "idempotency_key": identity}


def _texts(fields: Mapping[str, bytes], names: Sequence[str]) -> dict[str, str]:
    """Return the fields that are present and not empty."""
    try:
        return {name: value.decode() for name in names if (value := fields.get(name))}
    except UnicodeDecodeError:
        raise Invalid.of([Mistake(", ".join(names), "is not UTF-8")]) from None


def _with_attributes(record: dict[str, Any], attributes: Mapping[str, str]) -> dict[str, Any]:
    if is_envelope(record):
        copies = [name for name, text in attributes.items() if record.get(name) != text]
        if copies:
            raise Invalid.of(
                [Mistake(at, "differs from that of the envelope in `data`; leave it out") for at in copies]
            )
        return record
    own = record.get("idempotency_key")
    record = from_envelope({**attributes, "data": record})
    if own not in (None, envelope_key(attributes["source"], attributes["id"])):
        raise Invalid.of(
            [Mistake("idempotency_key", "differs from what `source` and `id` make; leave one of them out")]
        )
    return record


def envelope_key(source: str, id_: str) -> str:
    """Return the idempotency key of a CloudEvent."""
    return sha256(f"{source}\0{id_}".encode()).hexdigest()


def _data(envelope: Mapping[str, Any], mistakes: list[Mistake]) -> dict[str, Any] | None:
    data, encoded = envelope.get("data"), envelope.get("data_base64")
    if encoded is None:
        if type(data) is dict:
            return data
        mistakes.append(Mistake("data", "must be the event as a JSON object"))
    elif data is not None:
        mistakes.append(Mistake("data_base64", "must not be combined with `data`; send one of them"))
    elif type(encoded) is not str or _BASE64.fullmatch(encoded) is None:
        mistakes.append(Mistake("data_base64", "must be the event's JSON in base64"))
    else:
        try:
            return document(base64.b64decode(encoded))
        except Invalid as refused:
            mistakes.append(Mistake("data_base64", str(refused)))
    return None
