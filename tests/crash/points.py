"""The steps at which a daemon can be hurt, what is done to it there, and how a step is wrapped from outside."""

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable
from functools import wraps
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any

import msgspec

SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "term": signal.SIGTERM}

# Every step at which the daemon can be stopped, in the order in which a run meets them.
POINTS = {
    "lease.taken": "the lease is ours, nothing is read yet",
    "catalogue": "the catalogue is read",
    "horizon": "deadlines are loaded",
    "read": "entries are read from the log",
    "prefetch": "the outcomes of a batch are in memory",
    "fold": "a stretch of the log is folded",
    "fold.settled": "outcomes are settled in memory",
    "fold.placed": "held events are placed in memory",
    "commit.before": "a step is made and not sent",
    "commit.half": "half of a step's request is sent",
    "commit.executed": "the server has answered a step, and nobody has read it",
    "commit.known": "the answer to a step is read",
    "written": "a step is written and the next may go",
    "written.settled": "a step with resolutions is written: between two settling commits",
    "written.placed": "a step with a placement is written",
    "written.held": "a step with held events is written",
    "tick.before": "a tick is about to be appended",
    "tick.after": "a tick is appended",
    "retry.before": "a retry is about to be appended",
    "retry.after": "a retry is appended",
    "begun.before": "an attempt is about to be put on record",
    "begun.after": "an attempt is on record and not sent",
    "send.before": "a message is about to be sent",
    "send.after": "the receiver has answered, and nobody has it on record",
    "failed.before": "a failure is about to be put on record",
    "failed.after": "a failure is on record",
    "delivered.before": "a success is about to be put on record",
    "delivered.after": "a success is on record",
    "endpoint.before": "the endpoint's state is about to change",
    "endpoint.after": "the endpoint's state is changed",
    "lines.read": "invoice lines are read",
    "collect.before": "lines are about to be put into drafts",
    "collect.after": "lines are in drafts",
    "close.before": "a draft is about to be closed",
    "close.after": "a draft is rated, and its last step on its way",
    "ledger.before": "a step of the invoices is made and not sent",
    "ledger.half": "half of a step of the invoices is sent",
    "ledger.executed": "the server has answered a step of the invoices, and nobody has read it",
    "ledger.known": "a step of the invoices is known to be written",
    "adjust.before": "the discounts of a draft are about to be reduced",
    "adjust.after": "the discounts of a draft are reduced, and it waits for issue",
    "issue.before": "an invoice is about to be issued",
    "issue.after": "an invoice is issued",
    "event.before": "the deliveries of a billing event are about to be queued",
    "event.after": "the deliveries of a billing event are queued",
    "reverse.before": "reversed outcomes are about to be credited on a draft",
    "reverse.after": "reversed outcomes are credited on a draft",
    "note.before": "the credit note for a period's reversals is about to be written",
    "note.after": "the credit note for a period's reversals is written",
    "renewed": "the lease is prolonged",
    "journal.before": "the journal is about to be written",
    "journal.after": "the journal is written",
    "release.before": "the lease is about to be given back",
}

# Steps that only come with reversed outcomes.
OF_REVERSALS = ("reverse.before", "reverse.after", "note.before", "note.after")


class Plan(msgspec.Struct, kw_only=True):
    """What is done to the process."""

    at: dict[str, tuple[int, str]] = {}  # point → (how many times it is reached, what happens then)
    settle_max: int | None = None
    retry: float | None = None  # longest wait between two tries, in seconds
    answer_seconds: float | None = None  # how long a silent server is waited for
    slow: float = 0.0  # seconds that every commit takes longer
    ablate: str | None = None
    counts: str | None = None  # file that gets the number of times each point was reached


class Points:
    """Counts the steps and acts where the plan says so."""

    def __init__(self, plan: Plan) -> None:
        unknown = set(plan.at) - set(POINTS)
        assert not unknown, f"no such points: {unknown}"
        self.seen: Counter[str] = Counter()
        self._plan = plan

    def due(self, name: str) -> bool:
        """Whether the next time this is reached is the one."""
        return name in self._plan.at and self._plan.at[name][0] == self.seen[name] + 1

    def reached(self, name: str) -> None:
        assert name in POINTS, name
        self.seen[name] += 1
        if self._plan.counts is not None:
            Path(self._plan.counts).write_bytes(msgspec.json.encode(self.seen))
        count, action = self._plan.at.get(name, (0, ""))
        if self.seen[name] != count:
            return
        if action == "hang":
            threading.Event().wait()  # the event loop is blocked for ever, the other threads are not
        os.kill(os.getpid(), SIGNALS[action])


Hook = Callable[..., None]


def around(owner: Any, name: str, *, before: Hook | None = None, after: Hook | None = None) -> None:
    """`before(*arguments)` and `after(result, *arguments)` of a method or function."""
    original = getattr(owner, name)

    def entering(arguments: tuple[Any, ...]) -> None:
        if before is not None:
            before(*arguments)

    def leaving(result: Any, arguments: tuple[Any, ...]) -> Any:
        if after is not None:
            after(result, *arguments)
        return result

    @wraps(original)
    def plain(*arguments: Any, **named: Any) -> Any:
        entering(arguments)
        return leaving(original(*arguments, **named), arguments)

    @wraps(original)
    async def waiting(*arguments: Any, **named: Any) -> Any:
        entering(arguments)
        return leaving(await original(*arguments, **named), arguments)

    setattr(owner, name, waiting if iscoroutinefunction(original) else plain)
