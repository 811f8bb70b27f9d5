"""Format a catalogue as readable TOML: short values on one line, long values on several.

Strings and numbers are spelled by tomli_w. What stands in the document is left to `catalogue_file`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tomli_w

# A line may be this long before the lists in it get lines of their own.
_WIDTH = 100
_STEP = 4
# Fields that are tables with a head of their own.
_TABLES = ("agents", "billing", "reversal", "timers")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


def written(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the document line by line, with an empty line before each table."""
    for section, tables in document.items():
        yield from _tables(section, tables)


def _tables(name: str, tables: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if isinstance(tables, Mapping):
        yield from _table(f"[{name}]", name, tables)
        return
    for table in tables:
        yield from _table(f"[[{name}]]", name, table)


def _table(head: str, name: str, table: Mapping[str, Any]) -> Iterator[str]:
    yield f"\n{head}"
    # In TOML everything behind the head of an inner table belongs to that one.
    inner = {field: value for field, value in table.items() if field in _TABLES}
    for field, value in table.items():
        if field not in inner:
            yield f"{_key(field)} = {_value(value, spread=True)}"
    for field, tables in inner.items():
        yield from _tables(f"{name}.{field}", tables)


def _value(value: object, indent: int = 0, *, spread: bool = False) -> str:
    if isinstance(value, dict):
        line = _fields(value, indent, spread=False)
        return line if indent + len(line) <= _WIDTH else _fields(value, indent, spread=True)
    if isinstance(value, list):
        if spread and value:
            inner = indent + _STEP
            lines = "".join([f"{' ' * inner}{_value(one, inner)},\n" for one in value])
            return f"[\n{lines}{' ' * indent}]"
        return "[" + ", ".join([_value(one, indent) for one in value]) + "]"
    return tomli_w.dumps({"value": value}).removeprefix("value = ").rstrip("\n")


def _key(name: str) -> str:
    """Return a key, in quotes if it needs them: actions of timers can have any character."""
    return name if _BARE_KEY.fullmatch(name) else _value(name)


def _fields(table: Mapping[str, Any], indent: int, *, spread: bool) -> str:
    """An inline table. It may not be broken, but the lists in it may."""
    return (
        "{ " + ", ".join([f"{_key(name)} = {_value(one, indent, spread=spread)}" for name, one in table.items()]) + " }"
    )
