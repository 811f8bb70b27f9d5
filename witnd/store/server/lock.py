"""An exclusive lock on a file, for processes of one machine.

It lasts as long as any process has the open file: the one that took it and every child that
inherited it. So a lock that is passed to a server says whether that server lives, without asking
anyone. The file names a holder for people only.
"""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self


class Lock:
    """Opens the file; `take` decides. Leaving the block gives it up, the file stays."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._file)

    def fileno(self) -> int:
        return self._file

    def take(self) -> bool:
        """Whether the lock is ours now."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def name_holder(self, pid: int) -> None:
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{pid}\n".encode(), 0)

    def holder(self) -> str:
        """The process that has the lock, as far as it has said so."""
        pid = os.pread(self._file, 32, 0).decode(errors="replace").strip()
        return f"process {pid}" if pid else "another process"
