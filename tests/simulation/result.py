"""The result of a run, and what no daemon may log meanwhile."""

from msgspec import Struct

# No daemon may log these in a simulation, because nothing but witnd writes to the store.
ALARMS = frozenset(
    {
        "task.failed", "deadline.corrected", "deadlines.rebuilding", "deadlines.orphaned", "outcomes.reindexing",
        "outcome.on_hold", "outcome.fold_failed", "partition.stopped", "daemons.unreadable", "clock.unreadable",
    }
)  # fmt: skip


class Result(Struct, kw_only=True):
    """The end of a run. `violations` is empty if all went well."""

    seed: int
    violations: list[str]
    trace: list[str]
    seconds: float  # of virtual time
    events: int
    steps: int

    def report(self) -> str:
        rerun = f"SIMULATION_SEED={self.seed} .venv/bin/python -m pytest -n 0 tests/simulation -k one_seed"
        return "\n".join([f"seed {self.seed}: {'; '.join(self.violations)}", f"rerun: {rerun}", *self.trace])
