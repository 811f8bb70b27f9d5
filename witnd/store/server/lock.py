"""An exclusive lock on a file, for processes of one machine.

The lock lasts while any process has the file open: the process that took it, or a child that inherited it. So a lock
that a server inherited shows whether the server still runs. The process id in the file is only for people.
"""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self


class Lock:
    """A lock on a file. The end of the block releases it and keeps the file."""

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
        """Try to take the lock. Return whether it succeeded."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def name_holder(self, pid: int) -> None:
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{pid}\n".encode(), 0)

    def holder(self) -> str:
        """Return the process that holds the lock, as the file names it."""
        pid = os.pread(self._file, 32, 0).decode(errors="replace").strip()
        return f"process {pid}" if pid else "another process"
