"""Decodes the entries of a stream of invoice lines: lines and reversals of lines."""

from typing import TypeAlias, cast

from witnd.domain.outcomes.resolution import Line
from witnd.domain.outcomes.reversal import ReversalLine
from witnd.store.records.json_record import DAMAGED, decode_record

LineEntry: TypeAlias = Line | ReversalLine


def decode_line(raw: bytes, what: str, remedy: str = DAMAGED) -> LineEntry:
    """Return an entry. Raises `Unsafe` if it is damaged or has a newer format; `what` names it in the error."""
    return decode_record(raw, cast("type[LineEntry]", LineEntry), what, remedy)
