"""What this host remembers of Redis, so that lost data is noticed: a small file in the state directory.

It is kept only where a state directory was chosen on purpose. Without one, only losses while the daemon runs are
noticed.
"""

import contextlib
import os
from pathlib import Path
from typing import Final

import msgspec

from witnd.store.clock_guard import Anchor
from witnd.store.errors import LostData, Unsafe

FORMAT = 1

# The offset between the clocks is written when it has moved by this much, or is this old.
CLOCK_MOVED_MS: Final = 100
CLOCK_AGE_MS: Final = 60_000


class Record(msgspec.Struct, kw_only=True):
    """How far Redis had come. `sequences`: partition → number of its last step."""

    v: int = FORMAT
    deployment: str
    sequences: dict[int, int] = {}
    clock: Anchor | None = None

    def copy(self) -> "Record":
        return msgspec.structs.replace(self, sequences=dict(self.sequences))


class Journal:
    """`note` in memory as often as you like; `write` may be called from another thread."""

    def __init__(self, directory: Path, prefix: str) -> None:
        self.path = directory / f"journal-{prefix.encode().hex() if '/' in prefix else prefix}.json"
        self._record: Record | None = None
        self._written: Record | None = None

    def open(self, deployment: str | None) -> None:
        """Read the file and compare it with the deployment that Redis has (None: it has none)."""
        known = self._record = self._written = self._read()
        if known is not None:
            self._record = known.copy()
        if known is not None and known.deployment != deployment:
            found = f"has the data of another one ({deployment})" if deployment else "is empty"
            raise LostData(
                f"Redis lost its data: this host billed from deployment {known.deployment}, and Redis {found}",
                f"restore the data; for a deliberate new beginning remove {self.path}",
            )

    def _read(self) -> Record | None:
        try:
            record = msgspec.json.decode(self.path.read_bytes(), type=Record)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as unreadable:
            raise Unsafe(
                f"{self.path} cannot be read ({unreadable.strerror}): without it, lost data goes unnoticed",
                "make it readable for the user of the daemon",
            ) from unreadable
        except msgspec.MsgspecError as damaged:
            raise Unsafe(f"{self.path} is damaged ({damaged})", "remove it if Redis has lost no data") from damaged
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
        """Raise `Unsafe` where Redis has less than it had."""
        known = self._record.sequences.get(partition, 0) if self._record else 0
        if sequence < known:
            raise LostData(
                f"Redis lost data: partition {partition} is at step {sequence} and was at step {known}",
                f"restore the data; to bill on without what was lost, run `witnd audit`, then remove {self.path}",
            )

    def note(self, partition: int, sequence: int) -> None:
        if self._record is not None:
            known = self._record.sequences
            known[partition] = max(sequence, known.get(partition, 0))

    def written(self, partition: int) -> int:
        """Return the last step of a partition that is on disk."""
        return 0 if self._written is None else self._written.sequences.get(partition, 0)

    @property
    def clock(self) -> Anchor | None:
        """How the server's clock ran when a process of this host saw it last."""
        return None if self._record is None else self._record.clock

    def note_clock(self, anchor: Anchor) -> None:
        if self._record is not None and _has_moved(self._record.clock, anchor):
            self._record.clock = anchor

    def write(self) -> None:
        """Bring the file up to date and sync it. Raises OSError."""
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
        # Without this the new name may not survive a loss of power.
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
