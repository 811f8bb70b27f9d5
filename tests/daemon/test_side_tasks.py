"""A task beside settlement that fails raises an alarm, and never ends the daemon."""

import asyncio
import resource
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from tests.support.daemon import SECONDS, Daemon
from tests.support.processes import until
from witnd.config import ConfigError
from witnd.daemon import side_task
from witnd.daemon.side_task import SideTask
from witnd.domain.outcomes.partitioning import partition_of
from witnd.domain.values.mistake import Mistake
from witnd.store.errors import Fenced, Unsafe
from witnd.store.keys import BillingKeys

BILLING = BillingKeys("witn")


def alarms(one: Daemon) -> str:
    """What `/readyz` says beside "ok"."""
    status, body = one.get("/readyz")
    return "; ".join(body["alarms"]) if status == 200 else ""


def goes_on(one: Daemon) -> None:
    done = one.resolved()
    one.send(f"ticket-{done}")
    one.settles(done + 1)
    assert one.process.poll() is None


def test_a_state_directory_that_is_removed_raises_an_alarm_and_settlement_goes_on(server, daemon) -> None:
    one = daemon(server())
    one.begins()
    goes_on(one)
    journal = one.state_dir / "journal-witn.json"
    until(journal.exists, "the journal")
    shutil.rmtree(one.state_dir)

    one.says("journal.failed")
    goes_on(one)
    assert "journal" in alarms(one)
    assert "witnd_alarms 1.0" in one.get("/metrics")[1]
    one.state_dir.mkdir()
    one.says("journal.recovered")
    assert alarms(one) == ""
    assert journal.exists()
    assert one.terminate() == 0


def test_a_daemon_whose_state_directory_cannot_be_made_starts_with_an_alarm(server, daemon, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    one = daemon(server(), daemon__state_dir=str(tmp_path / "file" / "state"))
    one.says("journal.failed")
    one.begins()
    goes_on(one)
    assert one.terminate() == 0


def test_a_full_disk_under_the_journal_is_one_line_of_the_log_while_its_reason_is_the_same(server, daemon) -> None:
    one = daemon(server())
    one.begins()
    fresh = one.state_dir / "journal-witn.new"
    until(lambda: (one.state_dir / "journal-witn.json").exists(), "the journal")
    while True:  # between two writes
        try:
            fresh.symlink_to("/dev/full")
            break
        except FileExistsError:
            continue
    goes_on(one)
    assert one.says("journal.failed")["reason"] == "No space left on device"
    goes_on(one)
    assert len(one.lines("journal.failed")) == 1


def test_no_free_descriptor_for_the_journal_does_not_end_the_daemon(server, daemon) -> None:

    one = daemon(server())
    one.begins()
    goes_on(one)
    pid = one.process.pid
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    used = max(int(one.name) for one in Path(f"/proc/{pid}/fd").iterdir())
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 1, limits[1]))
    for number in range(20):
        one.send(f"another-{number}")

    one.settles(21)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    goes_on(one)
    assert one.terminate() == 0


def test_a_key_of_the_invoices_that_cannot_be_read_stops_the_invoices_alone(server, daemon) -> None:
    redis = server()
    one = daemon(redis)
    one.begins()
    redis.call("DEL", BILLING.open)
    redis.call("SET", BILLING.open, "nonsense")

    one.says("billing.blocked")
    goes_on(one)
    assert "no invoices are made" in alarms(one)
    redis.call("DEL", BILLING.open)
    until(lambda: redis.call("ZCARD", BILLING.open) == 1, "a draft", seconds=2 * SECONDS)


# Runs the daemon so that partition 0 meets an error that nobody expected, for as long as a file exists.
FAILING = """
import pathlib
from witnd.cli.main import main
from witnd.daemon.partition.owner import Owner

verify = Owner._verify

async def fail(owner):
    if owner.number == 0 and pathlib.Path({file!r}).exists():
        raise RuntimeError("nobody expected this")
    await verify(owner)

Owner._verify = fail
main()
"""


@pytest.fixture
def fault(tmp_path: Path) -> Path:
    file = tmp_path / "fault"
    file.touch()
    return file


@pytest.fixture
def failing(fault: Path) -> Path:
    program = fault.with_name("failing")
    code = shlex.quote(FAILING.format(file=str(fault)))
    program.write_text(f'#!/bin/sh\nshift 3\nexec {shlex.quote(sys.executable)} -c {code} "$@"\n')
    program.chmod(0o755)
    return program


def test_a_partition_that_fails_leaves_the_others_at_work_and_starts_again(server, daemon, fault, failing) -> None:
    key = next(key for key in (f"ticket-{n}" for n in range(100)) if partition_of(key, 2) == 1)
    one = daemon(server(), through=failing, redis__partitions="2")
    failed = one.says("task.failed", task="partition 0")
    assert failed["reason"] == "RuntimeError: nobody expected this"
    one.apply()
    one.send(key, partition=1)
    one.settles(1, partition=1)
    assert one.get("/readyz")[0] == 503
    fault.unlink()
    until(lambda: one.get("/readyz")[0] == 200, "all partitions work", seconds=SECONDS)
    assert one.terminate() == 0


def test_the_daemon_stops_when_asked_while_a_partition_fails(server, daemon, failing) -> None:
    one = daemon(server(), through=failing)
    one.says("task.failed")
    assert one.terminate() == 0


class TestSideTask:
    @pytest.fixture(autouse=True)
    def _quick(self, monkeypatch) -> None:
        monkeypatch.setattr(side_task, "FIRST_SECONDS", 0.0)
        monkeypatch.setattr(side_task, "MAX_SECONDS", 0.0)

    @pytest.mark.anyio
    async def test_an_error_raises_an_alarm_and_the_task_runs_again(self) -> None:
        runs: list[str | None] = []

        async def work() -> None:
            runs.append(task.alarm)
            if len(runs) < 3:
                raise ValueError(f"number {len(runs)}")

        task = SideTask("the work", work)
        await task.run()
        assert runs == [None, "the work failed: ValueError: number 1", "the work failed: ValueError: number 2"]
        assert (task.failures, task.alarm) == (2, None)

    @pytest.mark.anyio
    @pytest.mark.parametrize("fatal", [Fenced("other"), Unsafe("lost", "restore"), ConfigError([Mistake("a", "b")])])
    async def test_what_must_end_the_daemon_is_raised_also_out_of_a_group(self, fatal) -> None:
        async def fail() -> None:
            raise fatal

        async def work() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())

        with pytest.raises(ExceptionGroup):
            await SideTask("the work", work).run()
        with pytest.raises(type(fatal)):
            await SideTask("the work", fail).run()
