"""Sources that `witnd audit` compares Redis with: a client's log of acknowledged events, and the journal."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from witnd.audit.acknowledged import Acknowledged
from witnd.audit.scope import Mismatch
from witnd.config import ConfigError
from witnd.domain.outcomes.event import EntryId
from witnd.domain.outcomes.partitioning import partition_of
from witnd.domain.values.mistake import Mistake
from witnd.store.journal.journal import Loss
from witnd.store.log.reader import entry_id
from witnd.store.query.reads import text_of

_ID: Final = re.compile(r"[0-9]{1,20}-[0-9]{1,20}", re.ASCII)
FORMAT: Final = 'write {"id": "1700000000000-0", "partition": 0}, the response of the API, or "0 1700000000000-0"'


class Compared(Struct, frozen=True, kw_only=True):
    """Events of `--acknowledged`; `missing` are in no log, history or fate."""

    events: int
    missing: int


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


def journal_loss(loss: Loss) -> Mismatch:
    return Mismatch(
        partition=None,
        key="",
        what="journal of this host",
        expected="everything that it records",
        found=loss.reason,
        remedy=loss.remedy,
    )


def missing_event(partition: int, entry: EntryId) -> Mismatch:
    return Mismatch(
        partition=partition,
        key="",
        what=f"acknowledged event {text_of(entry)}",
        expected="in the log, a history or a fate",
        found="nowhere",
        remedy="send it again with the same idempotency key",
    )
