"""Runs a plan: daemons, producers and faults over one store, then waits until all is quiet and checks it."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

from tests.simulation import checks
from tests.simulation.daemon import Host, configuration
from tests.simulation.database import Words
from tests.simulation.injector import FaultInjector
from tests.simulation.loop import VirtualLoop
from tests.simulation.network import Network
from tests.simulation.patches import patched
from tests.simulation.plan import Plan, make_plan
from tests.simulation.producers import CUSTOMER, Producers, agent
from tests.simulation.result import ALARMS, Result
from tests.simulation.server import Server
from witnd.fold.partition import COUNTERS
from witnd.store.keys import Keys
from witnd.store.log.reader import ANSWER_SECONDS
from witnd.store.meta import FORMAT

# After the last fault: how long a partition may have no owner. A call is repeated after at most 2.4 s.
RETRY_SECONDS = 2.5
BALANCED_SECONDS = 15.0
QUIET_SECONDS = 45.0
POLL_SECONDS = 0.1
# Of virtual time: no run needs half of it.
SECONDS_MAX = 180.0


class Violated(Exception):  # noqa: N818 - ends a run early
    """A check failed, so the run can end."""


class Simulation:
    """One run of a plan."""

    def __init__(self, plan: Plan) -> None:
        random = Random(plan.seed + 1)
        self.plan = plan
        self.loop = loop = VirtualLoop(Random(plan.seed + 2))
        loop.set_exception_handler(lambda _, context: self._on_error(context))
        self.server = server = Server(loop, self._on_script)
        self.network = Network(loop, server, Random(plan.seed + 3), self.trace)
        self.producers = Producers(server, random, plan.partitions)
        config = configuration(plan.partitions, plan.lease, {"actors_in_memory": plan.actors_max, "batch": plan.batch})
        boots = [0.0 if plan.shares_machine else random.uniform(0, 1e6) for _ in range(plan.hosts)]
        self.hosts = [Host(f"host-{number}", self.network, config, boot) for number, boot in enumerate(boots)]
        self.faults = FaultInjector(server, self.network, self.hosts, self._start)
        self.violations: list[str] = []
        self.lines: list[str] = []
        self.written: list[checks.Written] = []
        self._violated: asyncio.Event | None = None

    def trace(self, text: str) -> None:
        self.lines.append(f"{self.loop.time():9.4f}  {text}")

    def violate(self, text: str) -> None:
        self.trace(f"VIOLATION {text}")
        self.violations.append(text)
        if self._violated is not None:
            self._violated.set()

    def run(self) -> Result:
        meta = {"format": FORMAT, "deployment": "deployment", "partitions": self.plan.partitions}
        words = [str(word).encode() for pair in meta.items() for word in pair]
        self.server.run([b"HSET", b"witn:meta", *words])
        with patched(self.plan, self._on_log):
            asyncio.set_event_loop(self.loop)
            try:
                self.loop.run_until_complete(self._main())
            finally:
                seconds = self.loop.time()
                self._end()
                asyncio.set_event_loop(None)
                self.loop.close()
        return Result(
            seed=self.plan.seed,
            violations=self.violations,
            trace=self.lines,
            seconds=seconds,
            events=self.producers.sent,
            steps=len(self.written),
        )

    # -- what is observed --------------------------------------------------------------------------------------------

    def _on_script(self, name: str, words: Words, reply: Any) -> None:
        if name == "commit" and reply[0] == b"OK":
            written = checks.read_commit(words)
            self.written.append(written)
            settled = "".join(f" settled {key}" for key, _ in written.settled)
            settled += "".join(f" reversed {key}" for key in written.reversed)
            self.trace(f"step {written.sequence} of partition {written.partition} by {written.lease}{settled}")
            for text in checks.early(written, self.server.true_ms()):
                self.violate(text)
        elif (name in ("commit", "lease") and words[2] != b"renew") or (name == "lease" and reply[0] != 1):
            self.trace(f"{name} {b' '.join(words[2:5]).decode(errors='replace')[:60]}: {reply}")

    def _on_log(self, level: str, event: str, fields: str) -> None:
        self.trace(f"log {event} {fields}")
        if event in ALARMS:
            self.violate(f"a daemon logged {event} {fields}")

    def _on_error(self, context: dict[str, Any]) -> None:
        """Note an error in a callback. The end of a task is noted elsewhere."""
        if context.get("future") is None and context.get("task") is None:
            self.violate(f"{context['message']}: {context.get('exception')!r}")

    def _on_end(self, host: Host, task: asyncio.Task[None]) -> None:
        """Note the end of a daemon. Only an orderly stop may end it."""
        self.trace(f"{host.name} ended")
        if not task.cancelled() and (error := task.exception()) is not None:
            self.violate(f"{host.name} failed: {first_error(error)}")

    # -- the run -----------------------------------------------------------------------------------------------------

    async def _main(self) -> None:
        self._violated = asyncio.Event()
        running = asyncio.ensure_future(self._run())
        stopping = asyncio.ensure_future(self._violated.wait())
        await asyncio.wait((running, stopping), timeout=SECONDS_MAX, return_when=asyncio.FIRST_COMPLETED)
        if not running.done() and not stopping.done():
            self.violate(f"not over within {SECONDS_MAX:g} s: {self._state()}")
        stopping.cancel()
        if not running.done():
            running.cancel()
        with suppress(asyncio.CancelledError, Violated):
            await running

    async def _run(self) -> None:
        plan, producers = self.plan, self.producers
        for host in self.hosts:
            self._start(host)
        writing = [asyncio.ensure_future(producers.outcome(key, at)) for key, at in plan.outcomes]
        writing += [asyncio.ensure_future(producers.refused_entry(at)) for at in plan.refused_at]
        writing.append(
            asyncio.ensure_future(producers.change_catalogue(plan.customer_at, "customer", "globex", CUSTOMER))
        )
        if plan.agent_at is not None:
            change = producers.change_catalogue(plan.agent_at, "agent", "support", agent("support", 2))
            writing.append(asyncio.ensure_future(change))
        faults = asyncio.ensure_future(self.faults.do_all(plan.deeds, plan.ends))
        await asyncio.sleep(0.5)
        self.network.faults = plan.faults
        await faults
        await self._wait_for("every partition has an owner", self._owned_seconds(), self._is_owned)
        await self._wait_for("the partitions are shared evenly", BALANCED_SECONDS, self._is_balanced)
        await asyncio.gather(*writing)
        await self._wait_for("everything is applied and settled", QUIET_SECONDS, self._is_quiet)
        self._check()

    def _start(self, host: Host) -> None:
        host.start()
        assert host.task is not None
        host.task.add_done_callback(lambda task: self._on_end(host, task), context=self.loop.world.context)

    async def _wait_for(self, what: str, seconds: float, holds: Callable[[], bool]) -> None:
        ends = self.loop.time() + seconds
        while not holds():
            if self.loop.time() > ends:
                self.violate(f"not within {seconds:g} s: {what}: {self._state()}")
                raise Violated
            await asyncio.sleep(POLL_SECONDS)
        self.trace(what)

    def _state(self) -> str:
        owners = {host.name: host.running for host in self.hosts}
        applied = [checks.is_applied(self.server.db, number) for number in range(self.plan.partitions)]
        open_ = [self._open(number) for number in range(self.plan.partitions)]
        return f"owners {owners}, applied {applied}, open {open_}"

    # -- conditions --------------------------------------------------------------------------------------------------

    def _owned_seconds(self) -> float:
        """Return the contract's time for a takeover, and the time in which calls are repeated.

        A clock that was set back prolongs the lease of a dead owner, which counts as dead after three lengths.
        """
        is_stepped = any(deed.kind == "clock" for deed in self.plan.deeds)
        lease = self.plan.lease
        silent = ANSWER_SECONDS if self.plan.faults.silent else 0
        return lease + 2 + RETRY_SECONDS + silent + (3 * lease if is_stepped else 0)

    def _is_owned(self) -> bool:
        return sorted(number for host in self.hosts for number in host.running) == list(range(self.plan.partitions))

    def _is_balanced(self) -> bool:
        counts = [len(host.running) for host in self.hosts]
        return self._is_owned() and max(counts) - min(counts) <= 1

    def _open(self, partition: int) -> int:
        state = self.server.db.data.get(Keys("witn", partition).state, {})
        assert {"OPEN", "PENDING"} <= set(COUNTERS)
        return int(state.get(b"OPEN", 0)) + int(state.get(b"PENDING", 0))

    def _is_quiet(self) -> bool:
        return all(
            checks.is_applied(self.server.db, number) and not self._open(number)
            for number in range(self.plan.partitions)
        )

    def _check(self) -> None:
        db, partitions = self.server.db, self.plan.partitions
        found = checks.wrong_steps(self.written, partitions)
        found += checks.settled_twice(self.written) + checks.reversed_twice(self.written)
        for number in range(partitions):
            found += checks.differences(db, number, partitions, self.producers.changes)
        for text in found:
            self.violate(text)

    def _end(self) -> None:
        """Let all tasks end, of dead processes too, so that Python has nothing to complain about."""
        self._violated = None
        self.network.cut_off.update(host.name for host in self.hosts)
        self.loop.processes += self.loop.dead
        for process in self.loop.processes:
            process.is_dead = process.is_paused = False
        self.trace, self.violate = _nothing, _nothing  # type: ignore[method-assign]
        for link in list(self.network.links):
            link.lose("end")
        for _ in range(50):
            if not (left := asyncio.all_tasks(self.loop)):
                break
            for task in sorted(left, key=lambda one: one.number):
                task.cancel()
            self.loop.run_until_complete(asyncio.sleep(0.5))


def _nothing(*_: object) -> None:
    """The run is over."""


def first_error(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


def simulate(seed: int) -> Result:
    return Simulation(make_plan(seed)).run()
