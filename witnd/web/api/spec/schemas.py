"""JSON schemas of the structs that decode and encode, for the description of the API."""

from collections.abc import Iterable
from itertools import chain
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin

import msgspec
from msgspec import Struct

from witnd.web.api.spec.condition_schema import condition_schemas
from witnd.web.errors import CODES, ErrorAnswer
from witnd.web.http.route import Route

# The server keeps members of these that it does not know, or passes them over.
_KEEP_MEMBERS: Final = frozenset(("EventIn", "Envelope", "Properties", "ExampleEvent"))
REF: Final = "#/components/schemas/{name}"


class Schemas:
    """JSON schemas of everything that routes name, each struct once."""

    def __init__(self, routes: Iterable[Route]) -> None:
        types = [ErrorAnswer, *chain.from_iterable(map(_types, routes))]
        alternatives = list(dict.fromkeys(chain.from_iterable(map(_alternatives, types))))
        found, components = _listed(msgspec.json.schema_components(alternatives, ref_template=REF))
        self._found = dict(zip(alternatives, found, strict=True))
        self._by_ref = {REF.format(name=name): schema for name, schema in components.items()}
        queries = {self._found[one.query]["$ref"] for one in routes if one.query is not None}
        # Members of query structs stand as parameters where they are used.
        own = {name: _plain(it) for name, it in components.items() if REF.format(name=name) not in queries}
        self.components = dict(sorted({**own, **condition_schemas()}.items()))
        for name in _KEEP_MEMBERS & self.components.keys():
            self.components[name]["additionalProperties"] = True
        self.components["ErrorBody"]["properties"]["code"]["enum"] = sorted(CODES)

    def of(self, annotation: Any) -> dict[str, Any]:
        several: list[dict[str, Any]] = [self._found[one] for one in _alternatives(annotation)]
        return several[0] if len(several) == 1 else {"anyOf": several}

    def members(self, struct: type[Struct]) -> Iterable[tuple[str, bool, dict[str, Any]]]:
        """Name, whether it must be given, and schema of each member."""
        schema = self._by_ref[self._found[struct]["$ref"]]
        for name, member in schema["properties"].items():
            yield name, name in schema.get("required", ()), member


def _types(one: Route) -> list[Any]:
    named = (one.body, one.query, one.answer, *one.bodies.values())
    return [annotation for annotation in named if annotation is not None]


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    """Structs without a tag cannot be in one union for msgspec; in a document they can."""
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


def _listed(node: Any) -> Any:
    """Tuples whose members are all of one kind as lists of so many: not every reader knows `prefixItems`."""
    if isinstance(node, list | tuple):
        return [_listed(one) for one in node]
    if not isinstance(node, dict):
        return node
    parts = node.get("prefixItems")
    if parts and all(part == parts[0] for part in parts):
        node = {name: it for name, it in node.items() if name != "prefixItems"} | {"items": parts[0]}
    return {name: _listed(it) for name, it in node.items()}


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """Without the title that only repeats the name; words in one line; clear to generators of clients."""
    kept: dict[str, Any] = _generable({name: it for name, it in schema.items() if name != "title"})
    if "description" in kept:
        kept["description"] = " ".join(kept["description"].split())
    return kept


def _generable(node: Any) -> Any:
    """The same schema, as generators of clients understand it. They make a member with a default a required one, so a
    default is words; null for an optional member goes without saying. They take an object without properties for an
    empty one unless it says otherwise, and a reference beside a type for the type."""
    if isinstance(node, list):
        return [_generable(one) for one in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return {"$ref": node["$ref"]}
    made = {name: _generable(it) for name, it in node.items() if name != "default"}
    if node.get("type") == "object" and "properties" not in node:
        made.setdefault("additionalProperties", True)
    default = node.get("default")
    if "default" in node and default is not None:
        words = f"Default: `{msgspec.json.encode(default).decode()}`."
        made["description"] = f"{made['description']} {words}" if "description" in made else words
    return made
