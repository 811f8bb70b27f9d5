"""Where a scenario is played: a server, a receiver, and daemons that are started, hurt and started again."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from redis.asyncio import Redis

from tests.crash.points import Plan
from tests.crash.process_pool import ProcessPool
from tests.crash.receiver import Receiver
from tests.crash.scenarios import CustomerLine, Entry, Scenario
from tests.crash.stored_state import (
    BILLING,
    KEYS,
    SHARED,
    Reader,
    StoredState,
    against_oracle,
    differences,
    read_state,
    undelivered,
)
from tests.support.processes import until
from tests.support.server import Server
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.catalogue.plan import Change
from witnd.domain.invoices.invoice import Invoice, invoice_id
from witnd.domain.invoices.manual import add_line
from witnd.domain.invoices.tax import TaxTable
from witnd.domain.values.period import Calendar
from witnd.store.catalogue.versions import CatalogueStore
from witnd.store.invoices.change import Operation, Operations
from witnd.store.server.connection import connect

ROOT = Path(__file__).parents[2]
# Everything: more occurrences of each step, more repetitions of each cut.
FULL = os.environ.get("WITND_CRASH") == "full"
# Exit codes with which the daemon asks to be started again: Redis did not answer while it started.
AGAIN = (3,)
DEADLINE = 40.0


class Life:
    """One process of the daemon."""

    def __init__(self, process_pool: ProcessPool, plan: Plan, config: Path, log: Path) -> None:
        self._log = log
        arguments = [msgspec.json.encode(plan).decode(), "run", "--config", str(config)]
        self.process = process_pool.begin(arguments, log)

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def exit(self) -> int | None:
        return self.process.poll()

    @property
    def killed(self) -> bool:
        return self.exit == -signal.SIGKILL

    @property
    def stopped(self) -> bool:
        """Whether it stands still, by SIGSTOP."""
        try:
            return Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
        except OSError:
            return False

    def says(self, event: str) -> bool:
        return f'"event":"{event}"' in self.log

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        try:
            return self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the daemon does not end:\n{self.log}") from None

    def end(self) -> int:
        """Orderly, and its exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def destroy(self) -> None:
        if self.exit is None:
            self.process.kill()
            self.process.wait(DEADLINE)


class CrashHarness:
    """One scenario on one server. `close` ends every daemon that is left."""

    def __init__(
        self, server: Server, receiver: Receiver, directory: Path, process_pools: Sequence[ProcessPool]
    ) -> None:
        self.server = server
        self._pools = process_pools
        self.receiver = receiver
        self.directory = directory
        self.lives: list[Life] = []
        self.scenario: Scenario | None = None
        self.reader = Reader(server)
        self.grace = 0  # seconds

    def close(self) -> None:
        for life in self.lives:
            life.destroy()
        self.reader.close()

    # -- what the daemon is given ------------------------------------------------------------------------------------

    def play(self, scenario: Scenario) -> None:
        """Empty the server and put the scenario in."""
        self.reader.ask("FLUSHALL")
        self.reader.ask("SCRIPT", "FLUSH")
        self.receiver.clear()
        for file in self.directory.glob("state-*/*"):
            file.unlink()
        self.scenario = scenario
        asyncio.run(self._apply())
        self.append(scenario.log)

    async def _apply(self) -> None:
        assert self.scenario is not None
        entries = self.scenario.catalogue
        async with connect(self.server.url) as client:
            store = CatalogueStore(client, SHARED, 1)
            for instant in sorted({one.effective_from for one in entries}):
                catalogue = Catalogue()
                await store.load(catalogue)
                changes = [
                    Change(kind=one.kind, key=one.key, archived=one.archived, content=one.content)
                    for one in entries
                    if one.effective_from == instant
                ]
                await store.apply(catalogue, changes, instant)
            for number, one in enumerate(self.scenario.lines):
                await _add_line(client, one, f"line-{number}")

    def append(self, entries: Sequence[Entry]) -> None:
        for one in entries:
            self.reader.ask("XADD", KEYS.events, one.id, *one.fields)

    # -- the daemon --------------------------------------------------------------------------------------------------

    def start(self, plan: Plan | None = None, *, name: str = "a", url: str | None = None, **daemon: Any) -> Life:
        daemon = {"lease": 10, "batch": 4, "actors_in_memory": 3, "log_format": '"json"'} | daemon
        daemon |= {"instance": f'"{name}"', "state_dir": f'"{self.directory}/state-{name}"'}
        config = self.directory / f"{name}.toml"
        settings = "\n".join(f"{setting} = {value}" for setting, value in daemon.items())
        config.write_text(
            f'[redis]\nurl = "{url or self.server.url}"\n'
            '[webhooks]\nallow_networks = ["127.0.0.0/8"]\nschedule = ["20ms", "20ms", "20ms", "20ms"]\n'
            '[billing]\nperiod = "day"\n'
            f"grace = {self.grace}\n"
            f"[daemon]\n{settings}\n"
        )
        plan = plan or Plan()
        if plan.settle_max is None:
            plan.settle_max = 2
        if plan.retry is None:
            plan.retry = 0.02
        # In turns, so that no life has the hashes of strings, and so the order of sets, from the one it goes on for.
        process_pool = self._pools[len(self.lives) % len(self._pools)]
        life = Life(process_pool, plan, config, self.directory / f"{name}-{len(self.lives)}.log")
        self.lives.append(life)
        return life

    @property
    def finished(self) -> bool:
        assert self.scenario is not None
        return self.reader.finished(self.scenario.outcomes)

    def run_on(self, life: Life, *, seconds: float = DEADLINE) -> bool:
        """Wait until everything is done, or the process has ended. Whether it still lives."""
        until(
            lambda: life.exit is not None or self.finished,
            f"the run is finished\n{life.log[-3000:]}",
            seconds=seconds,
        )
        return life.exit is None

    def complete(self, plan: Plan | None = None, **how: Any) -> StoredState:
        """A life that is not disturbed any more, until everything is done; what it leaves behind."""
        life = self.start(plan, **how)
        assert self.run_on(life), f"the daemon ended with {life.exit}:\n{life.log}"
        life.destroy()
        return read_state(self.reader)

    def keep(self, plan: Plan, *, seconds: float = DEADLINE, **how: Any) -> int:
        """What systemd does: start it again for as long as Redis does not answer at its start. How many lives."""
        before = len(self.lives)
        give_up = time.monotonic() + seconds
        while time.monotonic() < give_up:
            life = self.start(plan, **how)
            if self.run_on(life, seconds=seconds):
                life.destroy()
                return len(self.lives) - before
            assert life.exit in AGAIN, f"the daemon ended with {life.exit}:\n{life.log}"
        raise AssertionError(f"not finished after {len(self.lives) - before} lives")

    # -- the judgement -----------------------------------------------------------------------------------------------

    def violations(self, expected: StoredState) -> list[str]:
        """What is not as in the undisturbed run, at the receiver, or by the oracle; nothing where all is well."""
        assert self.scenario is not None
        found = read_state(self.reader)
        return [
            *differences(expected, found),
            *undelivered(found, self.receiver.messages),
            *against_oracle(self.reader, self.scenario.catalogue),
        ]


async def _add_line(client: Redis, one: CustomerLine, token: str) -> None:
    period = Calendar.of("day").period_at(one.ms)
    new = Invoice(
        id=invoice_id(one.customer, "EUR", period),
        customer_key=one.customer,
        currency="EUR",
        digits=2,
        start=period.start,
        end=period.end,
        period=period.kind,
        zone=period.zone,
        first_day=period.first_day,
        last_day=period.last_day,
        lines=0,
        unrated=0,
        subtotal=Decimal(0),
        closed=False,
    )
    done = await Operations(client, BILLING).do(
        new.id, lambda seen: add_line(seen.invoice, one.line, TaxTable(), one.ms), token=token, new=new
    )
    assert isinstance(done, Operation), done


def waited(seconds: float) -> None:
    """A lease runs by the clock: this is how long nobody prolongs it."""
    time.sleep(seconds)
