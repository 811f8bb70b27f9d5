"""Decides how many connections the HTTP port serves, and which it closes first to make room.

Anybody who reaches the port can open connections, and each takes an open file that Redis, webhooks and the journal need
too. So their number is bounded, and silent ones make room for those that send something. There is no bound for each
address: behind a proxy all clients share one.
"""

import enum
import resource
from collections.abc import Iterable
from typing import Final, NamedTuple

# Of the files that the process may open, HTTP takes three eighths. Webhooks take a quarter; the rest is for Redis,
# the journal, and files of the process itself.
_EIGHTHS: Final = 3
LEAST: Final = 16
# More than a daemon serves well; each takes some 10 KiB.
MOST: Final = 4096
# Kept for everything else where a setting asks for more than there is.
RESERVED_FILES: Final = 64


class Activity(enum.IntEnum):
    """What a connection is doing. Earlier members are closed first."""

    SILENT = 0  # since it was opened, no complete request has come
    IDLE = 1  # between two requests
    SENDING = 2  # the body of its request is not complete
    BUSY = 3  # its request is carried out, or its answer is read


# A connection is closed to make room only after it has done the same for so long: what an honest client on a slow line
# needs to send headers or a body, and the longest answer but for live pages and large exports.
PATIENCE: Final = {Activity.SILENT: 1.0, Activity.IDLE: 0.0, Activity.SENDING: 5.0, Activity.BUSY: 60.0}


class State(NamedTuple):
    """An activity, and for how many seconds it has lasted."""

    activity: Activity
    seconds: float


def connections_max(setting: int, files: int) -> int:
    """Return the limit on connections. If `setting` is 0, it follows from the limit on open files."""
    if setting:
        return max(1, min(setting, files - RESERVED_FILES))
    return max(LEAST, min(MOST, files * _EIGHTHS // 8))


def file_limit() -> int:
    """Return how many files this process may have open."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 1 << 30 if soft == resource.RLIM_INFINITY else soft


def first_to_close(states: Iterable[State]) -> int | None:
    """Return the index of the connection to close for a new one; None if all deserve more time. States are in the order
    in which their connections were opened."""
    best: int | None = None
    found = State(Activity.BUSY, -1.0)
    for place, state in enumerate(states):
        if state.seconds < PATIENCE[state.activity]:
            continue
        if state.activity is Activity.SILENT:
            return place  # the first of them is the oldest
        if best is None or (state.activity, -state.seconds) < (found.activity, -found.seconds):
            best, found = place, state
    return best
