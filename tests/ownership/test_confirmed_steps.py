"""Which steps are confirmed: as safe as the durability promises."""

import asyncio

from witnd.daemon.partition.confirmed_steps import ConfirmedSteps
from witnd.store.errors import StoreUnavailable
from witnd.store.keys import Keys


class Server:
    """Confirms when it is told to."""

    def __init__(self, *, is_needed: bool = True) -> None:
        self.is_needed = is_needed
        self.marks: list[str] = []
        self.may_confirm = asyncio.Event()
        self.refusals = 0

    async def confirm(self, text: str, *, least: int = 0) -> None:
        self.marks.append(text)
        await self.may_confirm.wait()
        if self.refusals:
            self.refusals -= 1
            raise StoreUnavailable("too few replicas")


def steps(server: Server, noted: list[int]) -> ConfirmedSteps:
    return ConfirmedSteps(Keys("witn", 0), server, noted.append)  # type: ignore[arg-type]


def test_where_a_reply_is_enough_a_step_is_confirmed_when_it_is_written() -> None:
    async def main() -> None:
        noted: list[int] = []
        one = steps(Server(is_needed=False), noted)
        one.begin(3)
        one.add(4)
        await one.wait_for(4)
        assert (one.last, noted) == (4, [3, 4])

    asyncio.run(main())


def test_one_confirmation_covers_the_steps_before_it_and_none_after_it() -> None:
    async def main() -> None:
        noted: list[int] = []
        server = Server()
        one = steps(server, noted)
        one.begin(3)
        running = asyncio.ensure_future(one.run())
        await asyncio.sleep(0)
        one.add(4)
        one.add(5)
        assert (one.last, noted) == (0, [])
        server.may_confirm.set()
        await one.wait_for(5)
        # The first covers what was written before it was sent.
        assert noted == [3, 5]
        assert server.marks == ["0", "3"]
        running.cancel()

    asyncio.run(main())


def test_a_confirmation_that_fails_is_repeated_and_reported() -> None:
    async def main() -> None:
        server = Server()
        server.refusals = 1
        server.may_confirm.set()
        one = steps(server, [])
        one.begin(1)
        running = asyncio.ensure_future(one.run())
        while one.trouble is None:
            await asyncio.sleep(0)
        assert one.trouble == "too few replicas"
        assert one.last == 0
        await one.wait_for(1)
        assert one.trouble is None
        running.cancel()

    asyncio.run(main())


def test_a_step_of_a_command_is_confirmed_when_somebody_waits_for_it() -> None:
    async def main() -> None:
        server = Server()
        server.may_confirm.set()
        one = steps(server, [])
        one.begin(1)
        running = asyncio.ensure_future(one.run())
        await asyncio.wait_for(one.wait_for(2), 5)
        running.cancel()

    asyncio.run(main())
