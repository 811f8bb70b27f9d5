"""The numbers of a partition's invoice lines, and the biller's position among them.

Each partition numbers its lines 1, 2, 3 … without gaps. The number is the first part of the line's entry id. The biller
keeps the number of the last line it has taken and a digest of that line, so it notices when the line is another one.
"""

import re
from hashlib import blake2b
from typing import Final, NamedTuple

from witnd.domain.event import EntryId
from witnd.store.errors import Unsafe
from witnd.store.moment import entry_id

REMEDY: Final = "restore the lines and the invoices from one backup; `witnd audit` shows which outcomes lack a line"
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


def next_number(stream: str, last: int, entry: bytes) -> int:
    """The number of the entry that follows line `last`. Raises `Unsafe` where lines between them are missing."""
    number, rest = entry_id(entry)
    if rest:
        raise Unsafe(f"entry {entry.decode()} of {stream} has no line number", f"witnd did not write it: {REMEDY}")
    if number != last + 1:
        raise missing_lines(stream, last + 1, number - 1)
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
