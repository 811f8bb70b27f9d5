"""The numbers of a partition's invoice lines, and the biller's position among them.

Each partition numbers its lines 1, 2, 3 … without gaps. The number is the first part of the line's entry id. The biller
keeps the number of the last line it has taken and a digest of that line, so it notices when the line is another one.
"""

import re
from hashlib import blake2b
from typing import Final, NamedTuple

from witnd.domain.outcomes.event import EntryId
from witnd.store.errors import Unsafe
from witnd.store.records.log_snapshot import entry_id

REMEDY: Final = "restore the lines and the invoices from one backup; `witnd audit` shows which outcomes lack a line"
# Redis refuses lines with smaller numbers than an entry had, even a deleted one, until both ids are set back.
_REMOVAL: Final = (
    "stop the daemons and remove each entry that another program wrote (see `XRANGE {stream} {first} +`) with "
    "`XDEL {stream} ID`; then `XSETID {stream} LAST MAXDELETEDID 0-1`, where LAST is the last-generated-id of "
    "`XINFO STREAM {stream}`, and `XSETID {stream} N-0`, where N is the number of the last line that is left"
)
_FORM: Final = re.compile(r"([1-9][0-9]{0,18}) ([0-9a-f]+)", re.ASCII)


class LinePosition(NamedTuple):
    """The last line taken; number 0 before the first."""

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
    """Read what `str` wrote. None for anything else."""
    form = _FORM.fullmatch(text)
    return None if form is None else LinePosition(int(form[1]), form[2])


def removal(stream: str, first: str) -> str:
    """The remedy for entries from `first` on that another program wrote."""
    return _REMOVAL.format(stream=stream, first=first)


def next_number(stream: str, last: int, entry: bytes) -> int:
    """The number of the entry that follows line `last`. Raises `Unsafe` where lines between them are missing."""
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
    which = f"line {first} is" if first == last else f"lines {first} to {last} are"
    return Unsafe(f"{which} missing from {stream}", REMEDY)


def check_line(stream: str, position: LinePosition, stored: bytes | None) -> None:
    """Compare the line at a position with the one that was taken. Raises `Unsafe`."""
    if stored is None:
        raise missing_lines(stream, position.number, position.number)
    if line_digest(stored) != position.digest:
        raise Unsafe(f"line {position.number} of {stream} is not the one that was put on an invoice", REMEDY)
