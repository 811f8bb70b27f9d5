"""Waiting for what happens in other processes: by condition, with a deadline, never by luck."""

import time
from collections.abc import Callable
from pathlib import Path

DEADLINE = 20.0


def until(holds: Callable[[], bool], what: str, *, seconds: float = DEADLINE) -> None:
    """Waits until the condition holds, and fails naming it."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain: {what}"
        time.sleep(0.01)


def ended(pid: int) -> bool:
    """Whether the process is gone, or dead and only not yet collected by whoever adopted it."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state in "ZX"
