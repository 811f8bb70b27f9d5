"""The JSON schema of conditions, which nest: a leaf checks one fact, a group combines conditions."""

from typing import Annotated, Any, Final, TypeAlias

from msgspec import Meta

from witnd.domain.catalogue.condition import COMPARISONS, COUNTS, MATCH, MAX_FACT_LENGTH, MAX_TEXT_LENGTH, NEGATED, SEEN

_REF: Final = "#/components/schemas/"
# A condition in a struct: decoded as an object, described by the schemas below.
Condition: TypeAlias = Annotated[dict[str, Any], Meta(extra_json_schema={"$ref": f"{_REF}Condition"})]
_FACT: Final = {"type": "string", "minLength": 1, "maxLength": MAX_FACT_LENGTH, "description": "An action of events."}
_NUMBER: Final = {"type": "number"}
_COUNT: Final = {"type": "integer", "minimum": 0, "maximum": 2**53 - 1}
_ANYTHING: Final = {"anyOf": [{"type": "string", "maxLength": MAX_TEXT_LENGTH}, _NUMBER, {"type": "boolean"}]}


def condition_schemas() -> dict[str, dict[str, Any]]:
    """Return the schemas by name. Each operator defines the value that it accepts."""
    leaves = {
        "SeenLeaf": _leaf("Whether an event with this action has arrived.", SEEN, None),
        "CountLeaf": _leaf("How many events with this action have arrived.", COUNTS, _COUNT),
        "MatchLeaf": _leaf("Whether the latest value of the action equals this one.", MATCH, _ANYTHING),
        "CompareLeaf": _leaf(
            "How the latest value of the action compares with this one.", (*COMPARISONS, *NEGATED), _NUMBER
        ),
    }
    several = {"type": "array", "items": {"$ref": f"{_REF}Condition"}}
    groups = {
        "Group": _object("Several conditions, of which all or any must hold.", op=("AND", "OR"), conditions=several),
        "Negation": _object("A condition that must not hold.", op=("NOT",), condition={"$ref": f"{_REF}Condition"}),
    }
    names = (*leaves, *groups)
    return {
        "Condition": {
            "description": "A check of one fact, or a group of conditions.",
            "anyOf": [{"$ref": f"{_REF}{name}"} for name in names],
        },
        **leaves,
        **groups,
    }


def _leaf(says: str, operators: tuple[str, ...], value: dict[str, Any] | None) -> dict[str, Any]:
    members: dict[str, Any] = {"fact": _FACT, "operator": operators}
    return _object(says, **members, **({} if value is None else {"value": value}))


def _object(says: str, **members: dict[str, Any] | tuple[str, ...]) -> dict[str, Any]:
    schemas = {
        name: {"type": "string", "enum": list(it)} if isinstance(it, tuple) else it for name, it in members.items()
    }
    return {
        "type": "object",
        "description": says,
        "properties": schemas,
        "required": list(schemas),
        "additionalProperties": False,
    }
