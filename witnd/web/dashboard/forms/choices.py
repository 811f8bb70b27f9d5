"""The operators of conditions, with their labels."""

from collections.abc import Mapping
from typing import Final, NamedTuple


class Choice(NamedTuple):
    """An option of the select. `takes`: the type of its value; empty for none. `fixed`: its only value."""

    name: str
    text: str
    operator: str
    takes: str = ""
    fixed: bool | None = None


# `match` is several choices, as a form's field has no type.
CHOICES: Final[Mapping[str, tuple[Choice, ...]]] = {
    "Seen": (
        Choice("seen", "was seen", "seen"),
        Choice("not seen", "was not seen", "not seen"),
    ),
    "Times seen": (
        Choice("count_gte", "was seen at least … times", "count_gte", "count"),
        Choice("count_lte", "was seen at most … times", "count_lte", "count"),
        Choice("count_gt", "was seen more than … times", "count_gt", "count"),
        Choice("count_lt", "was seen fewer than … times", "count_lt", "count"),
        Choice("count_eq", "was seen exactly … times", "count_eq", "count"),
    ),
    "Latest value": (
        Choice("match text", "is the text …", "match", "text"),
        Choice("match number", "is the number …", "match", "number"),
        Choice("match true", "is true", "match", fixed=True),
        Choice("match false", "is false", "match", fixed=False),
        Choice("gte", "is at least …", "gte", "number"),
        Choice("lte", "is at most …", "lte", "number"),
        Choice("gt", "is above …", "gt", "number"),
        Choice("lt", "is below …", "lt", "number"),
    ),
    "Latest value, or none": (
        Choice("not gte", "is below …, or not a number", "not gte", "number"),
        Choice("not lte", "is above …, or not a number", "not lte", "number"),
        Choice("not gt", "is at most …, or not a number", "not gt", "number"),
        Choice("not lt", "is at least …, or not a number", "not lt", "number"),
    ),
}
BY_NAME: Final[Mapping[str, Choice]] = {choice.name: choice for group in CHOICES.values() for choice in group}
