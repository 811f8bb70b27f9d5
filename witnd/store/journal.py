"""What this host remembers of Redis: how far each partition had come, so that lost data is noticed.

A small file in the state directory, written and synced about once a second and at stop. It is kept only where a state
directory was chosen on purpose; without one only losses while the daemon runs are noticed.
"""

import contextlib
import os
from pathlib import Path

import msgspec

from witnd.store.errors import Unsafe


class Record(msgspec.Struct, kw_only=True):
    deployment: str
    sequences: dict[int, int] = {}


class Journal:
    """`note` in memory as often as you like, `write` when there is time."""

    def __init__(self, directory: Path, prefix: str) -> None:
        self.path = directory / f"journal-{prefix.encode().hex() if '/' in prefix else prefix}.json"
        self._record: Record | None = None
        self._written: dict[int, int] = {}

    def open(self, deployment: str | None) -> None:
        """Compare with what Redis says its deployment is (None: it has none) and take up the record."""
        with contextlib.suppress(FileNotFoundError):
            try:
                self._record = msgspec.json.decode(self.path.read_bytes(), type=Record)
            except msgspec.MsgspecError as damaged:
                raise Unsafe(
                    f"{self.path} is damaged ({damaged})",
                    "remove it if Redis has lost no data",
                ) from damaged
        known = self._record
        if known is not None:
            self._written = dict(known.sequences)
        if known is not None and known.deployment != deployment:
            found = f"has the data of another one ({deployment})" if deployment else "is empty"
            raise Unsafe(
                f"Redis lost its data: this host billed from deployment {known.deployment}, and Redis {found}",
                f"restore the data; for a deliberate new beginning remove {self.path}",
            )

    def begin(self, deployment: str) -> None:
        if self._record is None:
            self._record = Record(deployment=deployment)

    def check(self, partition: int, sequence: int) -> None:
        """Raise `Unsafe` where Redis has less than it had."""
        known = self._record.sequences.get(partition, 0) if self._record else 0
        if sequence < known:
            raise Unsafe(
                f"Redis lost data: partition {partition} is at step {sequence} and was at step {known}",
                f"restore the data; to bill on without what was lost, run `witnd audit`, then remove {self.path}",
            )

    def note(self, partition: int, sequence: int) -> None:
        if self._record is not None:
            self._record.sequences[partition] = sequence

    def write(self) -> None:
        record = self._record
        if record is None or record.sequences == self._written:
            return
        fresh = self.path.with_suffix(".new")
        with fresh.open("wb") as file:
            file.write(msgspec.json.encode(record))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)
        self._written = dict(record.sequences)
