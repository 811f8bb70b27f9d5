"""A client's log of acknowledged events, which `witnd audit` compares Redis with."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from witnd.audit.acknowledged import Acknowledged
from witnd.config import ConfigError
from witnd.domain.outcomes.partitioning import partition_of
from witnd.domain.values.mistake import Mistake
from witnd.store.log.reader import entry_id

_ID: Final = re.compile(r"[0-9]{1,20}-[0-9]{1,20}", re.ASCII)
FORMAT: Final = 'write {"id": "1700000000000-0", "partition": 0}, the response of the API, or "0 1700000000000-0"'


class _Line(Struct, frozen=True):
    """One JSON line; other members are ignored. Without a partition, the key determines it."""

    id: str
    partition: int | None = None
    key: str | None = None


def acknowledged(file: Path, partitions: int) -> Iterator[Acknowledged]:
    """Read the file line by line; empty lines are skipped. Raises ConfigError with the place of a mistake."""
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if text := line.strip():
                    try:
                        yield _read(text, partitions)
                    except ValueError as wrong:
                        raise ConfigError([Mistake(f"{file}, line {number}", str(wrong))]) from None
    except OSError as error:
        raise ConfigError([Mistake(str(file), f"cannot be read: {error.strerror}; name a file that exists")]) from error


def _read(line: bytes, partitions: int) -> Acknowledged:
    if line.startswith(b"{"):
        try:
            given = msgspec.json.decode(line, type=_Line)
        except msgspec.MsgspecError as wrong:
            raise ValueError(f"cannot be read ({wrong}); {FORMAT}") from None
        partition, id_ = given.partition, given.id
        if partition is None and given.key is not None:
            partition = partition_of(given.key, partitions)
    else:
        words = line.decode(errors="replace").split()
        if len(words) != 2 or not words[0].isascii() or not words[0].isdigit():
            raise ValueError(f"must be a JSON object or a partition and an id; {FORMAT}")
        partition, id_ = int(words[0]), words[1]
    if partition is None and partitions == 1:
        partition = 0
    if partition is None:
        raise ValueError(f'needs "partition" or "key", because there are {partitions} partitions; {FORMAT}')
    if not 0 <= partition < partitions:
        raise ValueError(f"partition must be from 0 to {partitions - 1}, got {partition}")
    if _ID.fullmatch(id_) is None:
        raise ValueError(f"needs an entry id such as 1700000000000-0; {FORMAT}")
    return partition, entry_id(id_)
