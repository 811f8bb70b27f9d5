"""Runs a command of witnd with faults put in from outside; nothing in witnd knows of this.

    python -m tests.crash.launcher '<Plan as JSON>' run --config FILE
    python -m tests.crash.launcher '<Plan as JSON>' append URL STREAM DATA

Steps of the pipeline are wrapped before it starts. Each has a name (`points.POINTS`) and is counted; at the count that
the plan names, the process kills itself (kill -9), stops itself (SIGSTOP), asks itself to end (SIGTERM) or blocks its
event loop for ever.
What leaves a safeguard out is in `ablations`. The test's side of this is in `harness`.
"""

import asyncio
import sys
import time
from typing import Any

import msgspec

from tests.crash.points import Plan, Points, around


def interpose(points: Points, slow: float) -> None:
    _ownership(points)
    _pipeline(points)
    _commits(points, slow)
    _deliveries(points)
    _billing(points)


def _ownership(points: Points) -> None:
    from witnd.store.journal.journal import Journal
    from witnd.store.server.lease import Lease

    def taken(holder: object, *_: object) -> None:
        if holder is None:
            points.reached("lease.taken")

    around(Lease, "take", after=taken)
    around(Lease, "renew", after=lambda *_: points.reached("renewed"))
    around(Lease, "release", before=lambda *_: points.reached("release.before"))
    around(
        Journal,
        "write",
        before=lambda *_: points.reached("journal.before"),
        after=lambda *_: points.reached("journal.after"),
    )


def _pipeline(points: Points) -> None:
    from witnd.engine.memory import Memory
    from witnd.engine.pipeline import Pipeline
    from witnd.fold.partition import Partition
    from witnd.store.invoices.ledger import Ledger
    from witnd.store.log.reader import Log

    def read(rows: list[Any], *_: object) -> None:
        if rows:
            points.reached("read")

    def loaded(_: object, __: Memory, keys: list[str], batch: int) -> None:
        if keys:
            points.reached("prefetch")

    def folded(result: tuple[Any, int], *_: object) -> None:
        points.reached("fold")
        if result[0].settled:
            points.reached("fold.settled")
        if result[0].placed:
            points.reached("fold.placed")

    around(Log, "read", after=read)
    around(Memory, "load", after=loaded)
    # Partition and billing share the catalogue in memory: either one may be the first to read it.
    around(Memory, "_load_catalogue", after=lambda *_: points.reached("catalogue"))
    around(Ledger, "load_catalogue", after=lambda *_: points.reached("catalogue"))
    around(Memory, "extend", after=lambda *_: points.reached("horizon"))
    around(Partition, "fold", after=folded)
    around(
        Log,
        "append",
        before=lambda _, first, *__: points.reached(f"{first[1]}.before"),
        after=lambda _, __, first, *___: points.reached(f"{first[1]}.after"),
    )

    # Which kinds of step are on their way, by their number.
    kinds: dict[int, list[str]] = {}

    def sent(_: object, pipeline: Pipeline, step: Any, __: int) -> None:
        names = [name for name in ("settled", "placed", "held") if getattr(step, name)]
        assert pipeline._in_flight is not None
        kinds[pipeline._in_flight.sequence] = names

    waited = Pipeline._wait_for_commit

    async def written(pipeline: Pipeline) -> None:
        before = pipeline._in_flight
        await waited(pipeline)
        if before is not None:
            points.reached("written")
            for name in kinds.pop(before.sequence, []):
                points.reached(f"written.{name}")

    around(Pipeline, "_commit", after=sent)
    Pipeline._wait_for_commit = written


def _commits(points: Points, slow: float) -> None:
    from witnd.store.partition import commit
    from witnd.store.server.wire import Wire

    begun = (commit.SHA.encode(), commit.SOURCE[:64])
    waiting: dict[Any, str] = {}
    send, receive = Wire.send_packed, Wire.data_received

    def send_packed(wire: Wire, packed: bytes, replies: int) -> Any:
        if not any(start in packed[:200] for start in begun):
            return send(wire, packed, replies)
        # Where a partition's state would stand, the biller has its own.
        kind = "ledger" if b"{shared}:billing:state" in packed else "commit"
        time.sleep(slow)
        points.reached(f"{kind}.before")
        if points.due(f"{kind}.half"):
            wire._transport.write(packed[: len(packed) // 2])
        points.reached(f"{kind}.half")
        future = send(wire, packed, replies)
        waiting[future] = kind
        future.add_done_callback(lambda done: waiting.pop(done, None))
        return future

    def data_received(wire: Wire, data: bytes) -> None:
        if wire._waiting and (kind := waiting.get(wire._waiting[0][0])) is not None:
            points.reached(f"{kind}.executed")
        receive(wire, data)

    Wire.send_packed = send_packed
    Wire.data_received = data_received
    around(commit, "finish", after=lambda _, __, packed, *___: points.reached(f"{_kind(packed)}.known"))


def _kind(packed: Any) -> str:
    return "ledger" if "{shared}:billing:state" in packed._step[2] else "commit"


def _deliveries(points: Points) -> None:
    from witnd.notify.sender import Sender
    from witnd.store.deliveries.outbox import Outbox

    def kind(steps: Any) -> str | None:
        _, progress = steps[0]
        if progress.standing == "delivered":
            return "delivered"
        if progress.standing == "pending" and progress.attempts:
            return "begun" if progress.attempts[-1].duration_ms is None else "failed"
        return None

    def writing(when: str, steps: Any) -> None:
        name = kind(steps)
        if name is not None:
            points.reached(f"{name}.{when}")

    around(
        Outbox,
        "write",
        before=lambda _, __, steps: writing("before", steps),
        after=lambda _, __, ___, steps: writing("after", steps),
    )
    for owner, name, point in ((Outbox, "swap_endpoint", "endpoint"), (Sender, "send", "send")):
        around(
            owner,
            name,
            before=lambda *_, point=point: points.reached(f"{point}.before"),
            after=lambda *_, point=point: points.reached(f"{point}.after"),
        )


def _billing(points: Points) -> None:
    from witnd.billing.biller import Biller
    from witnd.billing.closer import Closer
    from witnd.billing.reversals import ReversalCredits
    from witnd.billing.scheduled import ScheduledOperations
    from witnd.store.billing_events.queue import EventQueue
    from witnd.store.invoices.ledger import Ledger

    def read(lines: list[Any], *_: object) -> None:
        if lines:
            points.reached("lines.read")

    around(Ledger, "new_lines", after=read)
    for owner, name, point in (
        (Biller, "_collect", "collect"),
        (Closer, "_close_draft", "close"),
        (ScheduledOperations, "adjust", "adjust"),
        (ScheduledOperations, "issue", "issue"),
        (EventQueue, "queue", "event"),
        (ReversalCredits, "add_rows", "reverse"),
        (ReversalCredits, "write_note", "note"),
    ):
        around(
            owner,
            name,
            before=lambda *_, point=point: points.reached(f"{point}.before"),
            after=lambda *_, point=point: points.reached(f"{point}.after"),
        )


def tune(plan: Plan) -> None:
    """Numbers that a test needs smaller; none of them is a safeguard."""
    import witnd.notify.backoff as notify_patience
    import witnd.store.server.retry as store_patience
    from witnd.billing import biller, closer, closing
    from witnd.daemon.process import gate
    from witnd.engine import pipeline
    from witnd.store.invoices import ledger, partition_reads
    from witnd.store.log import reader as log

    # So small that drafts are collected and closed in several steps.
    biller.STEP_LINES = biller.MIN_LINES = closer.STEP_ROWS = 4
    closer.MAX_BUFFERED_ROWS, closing.PAGE = 3, 2

    if plan.settle_max is not None:
        pipeline.SETTLE_MAX = plan.settle_max
    if plan.retry is not None:
        for module in (store_patience, notify_patience):
            module.FIRST_SECONDS = module.MAX_SECONDS = plan.retry
        gate.RETRY_SECONDS = plan.retry
    if plan.answer_seconds is not None:
        log.ANSWER_SECONDS = ledger.ANSWER_SECONDS = partition_reads.ANSWER_SECONDS = plan.answer_seconds
        pipeline.COMMIT_SECONDS = ledger.COMMIT_SECONDS = 2 * plan.answer_seconds


async def append(url: str, stream: str, data: str) -> None:
    """What takes events in does this, without the idempotency key that it would insist on."""
    from witnd.store.errors import StoreUnavailable
    from witnd.store.log import append as ingest
    from witnd.store.server import wire
    from witnd.store.server.connection import endpoint

    connection = await wire.connect(endpoint(url), "producer")
    try:
        [answer] = await ingest.append(connection, [(stream, ("data", data))])
        sys.stdout.write(f"{answer.id}\n")
    except StoreUnavailable:
        sys.stdout.write("unknown\n")
    finally:
        connection.close()


def main(arguments: list[str]) -> None:
    plan = msgspec.json.decode(arguments[0], type=Plan)
    tune(plan)
    if plan.ablate is not None:
        from tests.crash.ablations import ABLATIONS

        ABLATIONS[plan.ablate]()
    interpose(Points(plan), plan.slow)
    if arguments[1] == "append":
        asyncio.run(append(*arguments[2:]))
        return
    from witnd.cli.main import main as witnd

    witnd(arguments[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
