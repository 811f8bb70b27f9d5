"""Parse the text arguments of commands, and build an event from them."""

import re
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import click
import msgspec

_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_NAMED = {"value": "--value", "attribution": "--attribution", "settles_at": "--settles-at"}


def text(value: str) -> str:
    """Return the text of an argument. Refuse bytes that are not UTF-8, because no event can contain them."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise click.BadParameter("is not UTF-8; check the terminal's encoding") from None
    return value


TEXT = text  # as the type of an option or argument


# -- from the arguments of `witnd send` -----------------------------------------------------------


def fresh_identity() -> str:
    return f"witnd-send-{uuid4().hex}"


def document_of(key: str, action: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event as JSON members. The reader of events validates them later."""
    if given["customer"] is None:
        raise click.UsageError("--customer: is required; give the key of the customer")
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
            raise click.UsageError(f"--attribution: {given['attribution']!r} is not a number")
        properties["attribution"] = number
    if given["settles_at"] is not None:
        properties["settles_at"] = given["settles_at"]
    for one in given["properties"]:
        name, equals, text = one.partition("=")
        if not equals or not name:
            raise click.UsageError(f"--property: {one!r} must look like NAME=JSON")
        if name in properties:
            again = _NAMED.get(name, "another --property")
            raise click.UsageError(f"--property: {name} must not be repeated; it is also set by {again}")
        properties[name] = _json(f"--property {name}", text)
    return properties


def _json(name: str, text: str) -> Any:
    """Return the JSON value; a bare word is a string. Refuse text that starts like JSON but is invalid."""
    try:
        return msgspec.json.decode(text)
    except msgspec.MsgspecError as wrong:
        if text.startswith(("{", "[", '"')) or _NUMBER.fullmatch(text):
            raise click.UsageError(f"{name}: {text!r} is not valid JSON: {wrong}") from None
        return text
