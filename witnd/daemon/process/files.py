"""The limit on open files of this process."""

import contextlib
import resource
from typing import Final

# As in the unit file. More than a daemon opens; a higher limit slows some programs down.
OPEN_FILES: Final = 16_384


def open_files_limit() -> int:
    """Return the limit on open files, including sockets."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return OPEN_FILES if soft == resource.RLIM_INFINITY else soft


def raise_open_files_limit() -> None:
    """Raise the soft limit up to the hard limit, because shells start programs with 1 024 for `select`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
