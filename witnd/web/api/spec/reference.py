"""The API reference as an HTML page, generated from the OpenAPI document."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from witnd.web.api.spec.openapi import MEANINGS
from witnd.web.errors import CODES

_TEMPLATES: Final = Environment(
    loader=FileSystemLoader(Path(__file__).parents[2] / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_BOUNDS: Final = {
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {}",
    "maxItems": "at most {}",
    "minimum": "at least {}",
    "maximum": "at most {}",
}


def _marked(text: str) -> Markup:
    """Escape the text, and format parts in backticks as code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    return Markup("").join(Markup("<code>{}</code>").format(part) if n % 2 else part for n, part in enumerate(parts))


_TEMPLATES.filters["marked"] = _marked


class Word(NamedTuple):
    """A part of a type; `anchor` links to its definition on the same page."""

    text: str
    anchor: str | None = None


class Member(NamedTuple):
    """A parameter, or a member of an object."""

    name: str
    place: str  # "path", "query" or, for a member, nothing
    type: Sequence[Word]
    required: bool
    says: str


class RefusalRow(NamedTuple):
    status: int
    code: str
    type: str
    says: str

    @property
    def anchor(self) -> str:
        """Return the anchor that `doc_url` of an error uses."""
        return self.code.lower().replace("_", "-")


class Operation(NamedTuple):
    """One operation. `bodies` and `answers` are pairs of content type and type."""

    anchor: str
    method: str
    path: str
    says: str
    description: str
    parameters: Sequence[Member]
    bodies: Sequence[tuple[str, Sequence[Word]]]
    status: int
    answers: Sequence[tuple[str, Sequence[Word]]]
    refusals: Sequence[RefusalRow]


class Section(NamedTuple):
    """All operations of one resource."""

    name: str
    says: str
    operations: Sequence[Operation]


class Shape(NamedTuple):
    """An object in requests or responses."""

    name: str
    says: str
    members: Sequence[Member]


def page(document: Mapping[str, Any]) -> str:
    return _TEMPLATES.get_template("reference.html").render(
        info=document["info"],
        sections=sections(document),
        refusals=refusals(),
        shapes=shapes(document),
    )


def sections(document: Mapping[str, Any]) -> list[Section]:
    found = []
    for tag in document["tags"]:
        operations = [
            _operation(path, method, one)
            for path, methods in document["paths"].items()
            for method, one in methods.items()
            if tag["name"] in one["tags"]
        ]
        found.append(Section(tag["name"], tag["description"], operations))
    return found


def refusals() -> list[RefusalRow]:
    return [RefusalRow(kind.status, code, kind.type, MEANINGS[code]) for code, kind in CODES.items()]


def shapes(document: Mapping[str, Any]) -> list[Shape]:
    return [
        Shape(name, schema.get("description", ""), list(_members(schema)))
        for name, schema in document["components"]["schemas"].items()
    ]


def anchor_of(name: str) -> str:
    return f"schema-{name}"


def _operation(path: str, method: str, one: Mapping[str, Any]) -> Operation:
    known = {refused.code: refused for refused in refusals()}
    codes = [answer["$ref"].rpartition("/")[2] for answer in one["responses"].values() if "$ref" in answer]
    [(status, success)] = [(status, answer) for status, answer in one["responses"].items() if "$ref" not in answer]
    return Operation(
        anchor=one["operationId"].replace(".", "-").replace("_", "-"),
        method=method.upper(),
        path=path,
        says=one["summary"],
        description=one.get("description", "Needs no token."),
        parameters=[
            Member(it["name"], it["in"], words(it["schema"]), it["required"], _about(it, it["schema"]))
            for it in one.get("parameters", ())
        ],
        bodies=_contents(one.get("requestBody", {})),
        status=int(status),
        answers=_contents(success),
        refusals=[known[code] for code in codes],
    )


def _contents(holder: Mapping[str, Any]) -> list[tuple[str, list[Word]]]:
    return [(kind, words(it["schema"])) for kind, it in holder.get("content", {}).items()]


def _members(schema: Mapping[str, Any]) -> Iterator[Member]:
    for name, member in schema.get("properties", {}).items():
        yield Member(name, "", words(member), name in schema.get("required", ()), _about(member, member))


def _about(holder: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """Return the description with bounds and default."""
    parts = [holder["description"]] if "description" in holder else []
    inner = [schema, *schema.get("anyOf", ())]
    if len(inner) == 3 and "description" in inner[1] and not parts:
        parts.append(inner[1]["description"])
    bounds = [say.format(one[name]) for one in inner for name, say in _BOUNDS.items() if name in one]
    bounds = [] if holder.get("in") == "path" else bounds  # of a path only that something stands there
    parts += [", ".join(bounds).capitalize() + "."] if bounds else []
    if schema.get("default") is not None:
        parts.append(f"Default: {json.dumps(schema['default'])}.")
    return " ".join(parts)


def words(schema: Mapping[str, Any]) -> list[Word]:
    """Describe a schema in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return [Word(name, anchor_of(name))]
    if "anyOf" in schema:
        found = words(schema["anyOf"][0])
        for one in schema["anyOf"][1:]:
            found += [Word(" or "), *words(one)]
        return found
    if "enum" in schema or "const" in schema:
        values = schema.get("enum") or [schema["const"]]
        return [Word("one of " if len(values) > 1 else ""), Word(", ".join(f'"{one}"' for one in values))]
    kind = schema.get("type", "anything")
    if "prefixItems" in schema:
        parts = [words(one) for one in schema["prefixItems"]]
        return [Word("list of exactly: "), *parts[0], *(word for part in parts[1:] for word in (Word(", "), *part))]
    if kind == "array":
        return [Word("list of "), *words(schema.get("items", {}))]
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return [Word("object of "), *words(schema["additionalProperties"])]
    return [Word(kind)]
