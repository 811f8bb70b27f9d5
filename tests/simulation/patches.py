"""What a simulation replaces in the modules of witnd, and restores afterwards: names of processes, logs, and sizes."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest
import structlog

from tests.simulation.daemon import silent_relay
from tests.simulation.loop import CURRENT, Process
from tests.simulation.plan import Plan
from witnd.daemon.partition import owner
from witnd.daemon.sharing import sharing
from witnd.engine import intake, memory, pipeline
from witnd.store.daemons import registry
from witnd.store.server import lease


@contextmanager
def patched(plan: Plan, log_event: Callable[[str, str, str], None]) -> Iterator[None]:
    """Run a block with the replacements. `log_event` gets the level, the event and its fields."""
    numbers = count(1)
    processes: dict[str, Process] = {}

    def process_nonce() -> str:
        process = CURRENT.get()
        nonce = f"nonce-{next(numbers)}.{process.name}"
        processes[nonce] = process
        return nonce

    def is_dead_process(nonce: str) -> bool:
        return plan.shares_machine and nonce in processes and processes[nonce].is_dead

    def record(_: Any, level: str, fields: dict[str, Any]) -> str:
        event = fields.pop("event")
        fields.pop("exc_info", None)
        log_event(level, event, " ".join(f"{name}={value}" for name, value in fields.items()))
        raise structlog.DropEvent

    configuration, state = structlog.get_config(), random.getstate()
    with pytest.MonkeyPatch.context() as patch:
        for module in (lease, registry):
            patch.setattr(module, "process_nonce", process_nonce)
        for module in (lease, sharing):
            patch.setattr(module, "is_dead_process", is_dead_process)
        patch.setattr(owner, "relay_of", silent_relay)
        # Sizes that a short log would never reach. None of them is a safeguard.
        for module in (memory, intake, pipeline):
            patch.setattr(module, "HORIZON_MS", plan.horizon_ms)
        patch.setattr(pipeline, "SETTLE_MAX", plan.settle_max)
        structlog.configure(processors=[record])
        random.seed(plan.seed)
        try:
            yield
        finally:
            structlog.configure(**configuration)
            random.setstate(state)
