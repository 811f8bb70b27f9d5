"""The result of one check of `witnd doctor`, and its four states."""

from typing import Literal

from msgspec import Struct

from witnd.exit_codes import REDIS

Group = Literal["redis", "clock", "data", "daemon", "unit"]
State = Literal["ok", "note", "warning", "problem"]
STATES: tuple[State, ...] = ("problem", "warning", "note", "ok")  # the worst first


class Check(Struct, frozen=True, kw_only=True):
    """A result. `exit_code`: the exit code that a problem causes; 0 for other states."""

    group: Group
    name: str
    state: State
    found: str
    remedy: str | None = None
    exit_code: int = 0


def ok(group: Group, name: str, found: str) -> Check:
    return Check(group=group, name=name, state="ok", found=found)


def note(group: Group, name: str, found: str, remedy: str | None = None) -> Check:
    """Return a note: something that may be intended."""
    return Check(group=group, name=name, state="note", found=found, remedy=remedy)


def warning(group: Group, name: str, found: str, remedy: str) -> Check:
    """Return a warning: witnd works, but an operator should look."""
    return Check(group=group, name=name, state="warning", found=found, remedy=remedy)


def problem(group: Group, name: str, found: str, remedy: str, exit_code: int = REDIS) -> Check:
    """Return a problem: the daemon does not start, stops, or accepts no events."""
    return Check(group=group, name=name, state="problem", found=found, remedy=remedy, exit_code=exit_code)


def count(number: int, what: str, many: str | None = None) -> str:
    """Return a count with its noun: `1 event`, `2 events`."""
    return f"{number} {what if number == 1 else many or what + 's'}"


def span(ms: float) -> str:
    """Return a duration, rounded for people."""
    seconds = abs(ms) / 1000
    if seconds < 1:
        return f"{abs(ms):.0f} ms"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} days"
