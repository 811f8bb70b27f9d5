"""Check the clocks of the server and this host, and the timestamps in the logs."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from witnd.doctor.check import Check, count, note, ok, problem, span, warning
from witnd.doctor.data_probe import Data, Part
from witnd.doctor.machine import is_clock_synchronised
from witnd.doctor.probe import Server
from witnd.domain.values import instant
from witnd.store.clock.guard import TOLERANCE_MS
from witnd.store.clock.record import Jump
from witnd.store.clock.watch import clock_jump
from witnd.store.log.ahead import AHEAD_MAX_MS
from witnd.store.query.reads import text_of
from witnd.store.server import safety

# Hosts that synchronise are nearer than this.
NEAR_MS: Final = 1_000.0


def check_clocks(server: Server, *, local: bool) -> Iterator[Check]:
    """Check the clocks. `local`: the server runs on this host and shares its clock."""
    off = server.off_ms
    found = f"Redis is {span(off)} {'ahead of' if off >= 0 else 'behind'} this host, ± {server.within_ms:.0f} ms"
    if abs(off) <= server.within_ms:
        found = f"Redis and this host agree, ± {server.within_ms:.0f} ms"
    wrong = safety.clock_problem(server.health, server.health.now_ms - round(off))
    if wrong is not None:
        yield problem("clock", "server and host", wrong.reason, wrong.remedy)
    elif abs(off) > TOLERANCE_MS:
        yield warning(
            "clock", "server and host", found, "synchronise both: the server's clock decides when outcomes settle"
        )
    elif abs(off) > NEAR_MS + server.within_ms:
        yield note("clock", "server and host", found, "synchronise both with a time server")
    else:
        yield ok("clock", "server and host", found)
    kept = is_clock_synchronised()
    if kept is None:
        yield note("clock", "host", "unknown whether the clock is synchronised")
    elif kept:
        yield ok("clock", "host", "synchronised")
    else:
        tell = warning if local else note
        what = "not synchronised" + (", and Redis runs on this host" if local else "")
        yield tell("clock", "host", what, "run a time service, such as chrony or systemd-timesyncd")


def check_logs(data: Data) -> Iterator[Check]:
    """Check whether a log is ahead of the server's clock."""
    ahead = [part for part in data.parts if part.snapshot.last[0] > part.snapshot.now_ms]
    stuck = [part for part in ahead if _ahead_ms(part) > AHEAD_MAX_MS]
    if not ahead:
        yield ok("clock", "logs", f"no entry is ahead of the server's clock, {instant.render(data.now_ms)}")
    elif not stuck:
        furthest = max(map(_ahead_ms, ahead))
        found = f"{count(len(ahead), 'log')} {span(furthest)} ahead of the server's clock"
        yield note(
            "clock", "logs", found, "find the sender of explicit ids; the entries wait until the clock reaches them"
        )
    for part in stuck:
        last = f"entry {text_of(part.snapshot.last)} of partition {part.number} is {span(_ahead_ms(part))}"
        if part.cursor[0] - part.snapshot.now_ms > AHEAD_MAX_MS:
            found = f"{last} ahead of the server's clock, and was applied: the clock was set back"
            yield problem("clock", "logs", found, "correct the clock of the Redis server")
        else:
            found = f"{last} ahead of the server's clock: nothing from this entry on is applied"
            yield problem("clock", "logs", found, "correct the clock, or move the entries with `witnd repair ahead`")


def check_jumps(jumps: Sequence[Jump], data: Data) -> Iterator[Check]:
    """Check whether daemons are blocked by a clock jump. A daemon that owns nothing may have ended since."""
    holders = [part.owner for part in data.parts] + [data.books.owner]
    owners = {holder.instance for holder in holders if holder is not None}
    for one in jumps:
        jump = clock_jump(one.jump_ms)
        if one.instance in owners:
            found = f"daemon {one.instance} is blocked: {jump.reason}; nothing settles, closes or is issued"
            yield problem("clock", "jump", found, jump.remedy)
        else:
            found = f"daemon {one.instance}, which currently owns no partition, reported: {jump.reason}"
            yield warning(
                "clock",
                "jump",
                found,
                f"if it runs: {jump.remedy}; if not, do nothing: it corrects this when it starts",
            )


def check_journal_time(journal: Path, host_ms: int) -> Iterator[Check]:
    """Check that the journal is not from the future. The daemon writes it once a second."""
    try:
        written_ms = int(journal.stat().st_mtime * 1000)
    except OSError:
        return
    if written_ms > host_ms + TOLERANCE_MS:
        found = f"the journal was written {span(written_ms - host_ms)} from now: this host's clock was set back since"
        yield warning("clock", "journal", found, "correct this host's clock")


def _ahead_ms(part: Part) -> int:
    return part.snapshot.last[0] - part.snapshot.now_ms
