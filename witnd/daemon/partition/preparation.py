"""Prepare a partition before it reads its first entry: catalogue, outcomes on hold, consistent lists."""

from witnd.engine.deadline_audit import DeadlineAudit
from witnd.engine.memory import Memory
from witnd.fold.on_hold import Poison
from witnd.store.catalogue.loader import check_decided
from witnd.store.log.reader import State
from witnd.store.partition.deadline_index import rebuild_deadlines
from witnd.store.partition.index_rebuild import rebuild_indexes


async def prepare(
    memory: Memory, state: State, number: int, poison: Poison | None, fence: str
) -> tuple[int, DeadlineAudit]:
    """Return the number of open outcomes, and the check of their deadlines.

    `poison` ended the previous run: its outcome goes on hold. `fence` is the value of this daemon's lease, which may
    be lost meanwhile.
    """
    store, retry, counters = memory.store, memory.retry, memory.partition.counters
    await memory.load([], 0)
    check_decided(memory.partition.catalogue, f"partition {number}", state.catalogue)
    await memory.load_holds()
    if poison is not None:
        await memory.hold(poison.key, f"its fold failed: {poison}", fold_failed=True)
    open_outcomes = counters["OPEN"] + counters["PENDING"]
    await retry.call("comparing deadlines", lambda: rebuild_deadlines(store, open_outcomes, fence))
    await retry.call("comparing lists", lambda: rebuild_indexes(store, counters, fence))
    check = DeadlineAudit(memory)
    await check.run_first_pass(open_outcomes)
    return open_outcomes, check
