"""All tasks of a daemon end when one fails, and when the work is done."""

import asyncio
import contextlib

import pytest

from witnd.daemon.supervision import run_together


async def for_ever() -> None:
    await asyncio.Event().wait()


async def fails() -> None:
    await asyncio.sleep(0)
    raise ValueError


async def loses_its_first_cancellation() -> None:
    """As a task group that fails at the same moment, up to Python 3.12."""
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    await asyncio.Event().wait()


def test_an_error_ends_all_tasks_and_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("witnd.daemon.supervision.CANCEL_SECONDS", 0.01)
    with pytest.raises(ExceptionGroup) as raised:
        asyncio.run(run_together([for_ever(), loses_its_first_cancellation()], [for_ever(), fails()]))
    assert [type(error) for error in raised.value.exceptions] == [ValueError]


def test_the_others_end_with_the_work() -> None:
    async def returns() -> None:
        await asyncio.sleep(0)

    asyncio.run(run_together([returns(), returns()], [for_ever(), returns()]))


def test_a_cancellation_ends_all_tasks() -> None:
    ended: list[str] = []

    async def records(name: str) -> None:
        try:
            await for_ever()
        finally:
            ended.append(name)

    async def main() -> None:
        task = asyncio.create_task(run_together([records("work")], [records("beside")]))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert sorted(ended) == ["beside", "work"]
