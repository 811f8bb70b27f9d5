"""The limit on open files of this process."""

import contextlib
import resource
from typing import Final

# What the unit file sets. More than a daemon opens, and some programs spend time for each possible file.
WANTED: Final = 16_384


def limit() -> int:
    """How many files, sockets included, this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return WANTED if soft == resource.RLIM_INFINITY else soft


def raise_limit() -> None:
    """Raise the limit as far as the hard one allows: shells start programs with 1 024, for the sake of `select`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = WANTED if hard == resource.RLIM_INFINITY else min(hard, WANTED)
    if soft != resource.RLIM_INFINITY and soft < most:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
