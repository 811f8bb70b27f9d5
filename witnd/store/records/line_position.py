"""The biller's position in the invoice lines of a partition, and checks of their numbers.

Each partition numbers its lines 1, 2, 3 … without gaps. The number is the first part of the line's entry id. The biller
stores the number and a digest of the last line it has collected, so it detects a changed line.
"""

import re
from hashlib import blake2b
from typing import Final, NamedTuple

from witnd.domain.outcomes.event import EntryId
from witnd.store.errors import Unsafe
from witnd.store.records.log_snapshot import entry_id

REMEDY: Final = "restore the lines and the invoices from one backup; `witnd audit` shows which outcomes lack a line"
# Redis refuses ids smaller than that of any earlier entry, even a deleted one, until both ids are reset.
_REMOVAL: Final = (
    "stop the daemons and remove each entry that another program wrote (see `XRANGE {stream} {first} +`) with "
    "`XDEL {stream} ID`; then `XSETID {stream} LAST MAXDELETEDID 0-1`, where LAST is the last-generated-id of "
    "`XINFO STREAM {stream}`, and `XSETID {stream} N-0`, where N is the number of the last line that is left"
)
_FORM: Final = re.compile(r"([1-9][0-9]{0,18}) ([0-9a-f]+)", re.ASCII)


class LinePosition(NamedTuple):
    """The last collected line; number 0 before the first."""

    number: int = 0
    digest: str = ""

    def __str__(self) -> str:
        return f"{self.number} {self.digest}"

    @property
    def entry(self) -> EntryId:
        return self.number, 0


START: Final = LinePosition()


def line_digest(stored: bytes) -> str:
    return blake2b(stored, digest_size=16).hexdigest()


def decode_position(text: str) -> LinePosition | None:
    """Return the position that `str` wrote, or None for another text."""
    form = _FORM.fullmatch(text)
    return None if form is None else LinePosition(int(form[1]), form[2])


def removal(stream: str, first: str) -> str:
    """Return the remedy for entries from `first` on that another program wrote."""
    return _REMOVAL.format(stream=stream, first=first)


def next_number(stream: str, last: int, entry: bytes) -> int:
    """Return the number of the entry after line `last`. Raises `Unsafe` if lines between them are missing."""
    number, rest = entry_id(entry)
    if rest:
        raise Unsafe(
            f"entry {entry.decode()} of {stream} has no line number: another program wrote it",
            removal(stream, f"{last + 1}-0"),
        )
    if number != last + 1:
        lost = missing_lines(stream, last + 1, number - 1)
        other = f"if another program wrote entry {entry.decode()}, {removal(stream, f'{last + 1}-0')}"
        raise Unsafe(lost.reason, f"{lost.remedy}; {other}")
    return number


def missing_lines(stream: str, first: int, last: int) -> Unsafe:
    lines = f"line {first} is" if first == last else f"lines {first} to {last} are"
    return Unsafe(f"{lines} missing from {stream}", REMEDY)


def check_line(stream: str, position: LinePosition, stored: bytes | None) -> None:
    """Compare the stored line at a position with the collected one. Raises `Unsafe`."""
    if stored is None:
        raise missing_lines(stream, position.number, position.number)
    if line_digest(stored) != position.digest:
        raise Unsafe(f"line {position.number} of {stream} was changed after it was put on an invoice", REMEDY)
