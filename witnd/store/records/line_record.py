"""Decodes the entries of a stream of invoice lines: lines and reversals of lines."""

from typing import Final, TypeAlias

from msgspec.json import Decoder

from witnd.domain.outcomes.resolution import Line
from witnd.domain.outcomes.reversal import ReversalLine
from witnd.store.records.json_record import DAMAGED, decode_record

LineEntry: TypeAlias = Line | ReversalLine
_DECODER: Final[Decoder[LineEntry]] = Decoder(LineEntry)


def decode_line(raw: bytes, what: str, remedy: str = DAMAGED) -> LineEntry:
    """Return an entry. Raises `Unsafe` if it is damaged or has a newer format; `what` names it in the error."""
    return decode_record(raw, _DECODER, what, remedy)
