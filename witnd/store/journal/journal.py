"""The journal: a small file in the state directory with the progress of Redis, to detect lost data.

It is used only if a state directory is configured. Without one, only losses while the daemon runs are detected.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from witnd.store.clock.guard import Anchor
from witnd.store.errors import LostData, Unsafe
from witnd.store.journal.marks import Marks

FORMAT: Final = 1
RESTORE: Final = "restore the data; to continue without it, run `witnd audit`, then `witnd repair journal`"

# The offset between the clocks is written when it has changed by this much, or is this old.
CLOCK_MOVED_MS: Final = 100
CLOCK_AGE_MS: Final = 60_000


class Record(msgspec.Struct, kw_only=True):
    """The progress of Redis. `sequences`: partition → number of its last step; other fields as in `Marks`."""

    v: int = FORMAT
    deployment: str
    sequences: dict[int, int] = {}
    clock: Anchor | None = None
    billing: int = 0
    series: dict[str, int] = {}

    def copy(self) -> "Record":
        return msgspec.structs.replace(self, sequences=dict(self.sequences), series=dict(self.series))


class Loss(NamedTuple):
    """Something that Redis lost; the texts are for the operator."""

    reason: str
    remedy: str


class Journal:
    """The journal of a deployment. `note` only changes memory; `write` may run in another thread."""

    def __init__(self, directory: Path, prefix: str) -> None:
        self.path = directory / f"journal-{prefix.encode().hex() if '/' in prefix else prefix}.json"
        self._record: Record | None = None
        self._written: Record | None = None

    def open(self, deployment: str | None) -> None:
        """Read the file and compare it with the deployment in Redis (None if there is none). Raises `Unsafe`."""
        known = self._record = self._written = self._read()
        if known is not None:
            self._record = known.copy()
        if known is not None and known.deployment != deployment:
            found = f"has the data of deployment {deployment}" if deployment else "is empty"
            raise LostData(
                f"Redis lost its data: this host billed from deployment {known.deployment}, and Redis {found}",
                "restore the data; to start over on purpose, run `witnd repair journal`",
            )

    def _read(self) -> Record | None:
        try:
            record = msgspec.json.decode(self.path.read_bytes(), type=Record)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as unreadable:
            raise Unsafe(
                f"{self.path} cannot be read ({unreadable.strerror}): without it, lost data goes undetected",
                "make it readable for the user of the daemon",
            ) from unreadable
        except msgspec.MsgspecError as damaged:
            raise Unsafe(
                f"{self.path} is damaged ({damaged})", f"remove {self.path} if Redis has lost no data"
            ) from damaged
        if record.v > FORMAT:
            raise Unsafe(
                f"{self.path} has format {record.v} of a newer witnd; this one reads format {FORMAT}",
                "install the newer version again",
            )
        return record

    def begin(self, deployment: str) -> None:
        if self._record is None:
            self._record = Record(deployment=deployment)

    def check(self, partition: int, sequence: int) -> None:
        """Raise `LostData` if Redis has fewer steps of a partition than before."""
        refuse_losses(self.lost_steps({partition: sequence}))

    def check_marks(self, marks: Marks) -> None:
        """Raise `LostData` if numbers of invoices or steps of billing are lower than before."""
        refuse_losses(self.lost_marks(marks))

    def lost_steps(self, sequences: Mapping[int, int]) -> list[Loss]:
        known = self._record.sequences if self._record else {}
        return [
            Loss(f"partition {number} is at step {found} and was at step {known[number]}", RESTORE)
            for number, found in sequences.items()
            if found < known.get(number, 0)
        ]

    def lost_marks(self, marks: Marks) -> list[Loss]:
        return [] if self._record is None else list(_lost_marks(self._record, marks))

    @property
    def deployment(self) -> str | None:
        return None if self._record is None else self._record.deployment

    def number(self, series: str) -> int:
        """Return the last known number of a series."""
        return 0 if self._record is None else self._record.series.get(series, 0)

    @property
    def numbers(self) -> Mapping[str, int]:
        """The last known number of each series."""
        return {} if self._record is None else self._record.series

    def note_marks(self, marks: Marks) -> None:
        record = self._record
        if record is None:
            return
        record.billing = max(record.billing, marks.billing)
        for name, number in marks.series.items():
            record.series[name] = max(number, record.series.get(name, 0))

    def has_stored(self, marks: Marks) -> bool:
        """Return whether these marks are on disk."""
        written = self._written
        return written is not None and all(
            (written.billing >= marks.billing, *(written.series.get(name, 0) >= n for name, n in marks.series.items()))
        )

    def accept(self, deployment: str, sequences: Mapping[int, int], marks: Marks) -> None:
        """Replace the record with the current state of Redis, and write it. The clock stays."""
        self._record = Record(
            deployment=deployment,
            sequences=dict(sequences),
            billing=marks.billing,
            series=dict(marks.series),
            clock=None if self._record is None else self._record.clock,
        )
        self._written = None
        self.write()

    def note(self, partition: int, sequence: int) -> None:
        if self._record is not None:
            known = self._record.sequences
            known[partition] = max(sequence, known.get(partition, 0))

    def stored_step(self, partition: int) -> int:
        """Return the last step of a partition that is on disk."""
        return 0 if self._written is None else self._written.sequences.get(partition, 0)

    @property
    def clock(self) -> Anchor | None:
        """The offset of the server's clock that a process of this host last trusted."""
        return None if self._record is None else self._record.clock

    def note_clock(self, anchor: Anchor) -> None:
        if self._record is not None and _has_moved(self._record.clock, anchor):
            self._record.clock = anchor

    def write(self) -> None:
        """Write and sync the file if the record has changed. Raises OSError."""
        if self._record is None:
            return
        record = self._record.copy()
        if record == self._written and self.path.exists():
            return
        fresh = self.path.with_suffix(".new")
        try:
            with fresh.open("wb") as file:
                file.write(msgspec.json.encode(record))
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self.path)
        except OSError:
            with contextlib.suppress(OSError):
                fresh.unlink()
            raise
        # Without this the rename may not survive a power failure.
        directory = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        self._written = record


def _has_moved(before: Anchor | None, now: Anchor) -> bool:
    return (
        before is None
        or before.boot != now.boot
        or abs(before.high_ms - now.high_ms) > CLOCK_MOVED_MS
        or now.at_ms - before.at_ms > CLOCK_AGE_MS
    )


def refuse_losses(losses: list[Loss]) -> None:
    """Raise `LostData` with all losses, if there are any."""
    if losses:
        reason = "Redis lost data: " + "; ".join(loss.reason for loss in losses)
        raise LostData(reason, "; ".join(dict.fromkeys(loss.remedy for loss in losses)))


def _lost_marks(known: Record, marks: Marks) -> Iterator[Loss]:
    if marks.billing < known.billing:
        yield Loss(f"the invoices are at step {marks.billing} and were at step {known.billing}", RESTORE)
    for name, number in known.series.items():
        found = marks.series.get(name, 0)
        if found < number:
            reason = f"the last number of series {name} is {found}, but {number} was already issued"
            yield Loss(reason, f"{RESTORE}: numbers then continue after {number}")


def read_numbers(directory: Path, prefix: str, deployment: str | None) -> Mapping[str, int]:
    """Return the last numbers of a deployment in the journal; none without a readable journal of this deployment."""
    journal = Journal(directory, prefix)
    try:
        journal.open(deployment)
    except Unsafe:
        return {}
    return journal.numbers
