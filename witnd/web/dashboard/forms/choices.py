"""The operators of conditions, as people choose them."""

from collections.abc import Mapping
from typing import Final, NamedTuple


class Choice(NamedTuple):
    """An operator as people choose it. `takes`: what its value is; empty for none. `fixed`: the value that it means."""

    name: str
    words: str
    operator: str
    takes: str = ""
    fixed: bool | None = None


# `match` is several choices, as a form's field has no type.
CHOICES: Final[Mapping[str, tuple[Choice, ...]]] = {
    "Whether it was seen": (
        Choice("seen", "was seen", "seen"),
        Choice("not seen", "was not seen", "not seen"),
    ),
    "How often it was seen": (
        Choice("count_gte", "was seen at least … times", "count_gte", "count"),
        Choice("count_lte", "was seen at most … times", "count_lte", "count"),
        Choice("count_gt", "was seen more than … times", "count_gt", "count"),
        Choice("count_lt", "was seen fewer than … times", "count_lt", "count"),
        Choice("count_eq", "was seen exactly … times", "count_eq", "count"),
    ),
    "Its latest value": (
        Choice("match text", "has the text …", "match", "text"),
        Choice("match number", "has the number …", "match", "number"),
        Choice("match true", "is true", "match", fixed=True),
        Choice("match false", "is false", "match", fixed=False),
        Choice("gte", "is at least …", "gte", "number"),
        Choice("lte", "is at most …", "lte", "number"),
        Choice("gt", "is above …", "gt", "number"),
        Choice("lt", "is below …", "lt", "number"),
    ),
    "Its latest value, or it has none": (
        Choice("not gte", "is below …, or no number", "not gte", "number"),
        Choice("not lte", "is above …, or no number", "not lte", "number"),
        Choice("not gt", "is at most …, or no number", "not gt", "number"),
        Choice("not lt", "is at least …, or no number", "not lt", "number"),
    ),
}
BY_NAME: Final[Mapping[str, Choice]] = {choice.name: choice for group in CHOICES.values() for choice in group}
