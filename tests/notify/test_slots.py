"""Who waits for permission to send gets it, in order, whatever happens to the others."""

import asyncio
from collections.abc import Callable

from witnd.notify.admission import Ticket, sizes
from witnd.notify.slots import Slots

LONG = 60.0


def slots(total: int = 8, prompt_seconds: float = LONG) -> Slots:
    return Slots(sizes(total), prompt_seconds=prompt_seconds)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0)


async def waiting(made: Slots, *urls: str) -> list["asyncio.Task[Ticket]"]:
    tasks = [asyncio.create_task(made.acquire(url)) for url in urls]
    await until(lambda: repr(made).endswith(f"waiting={len(urls)}>"))
    return tasks


async def test_those_that_wait_are_served_in_order() -> None:
    made = slots()
    first = [await made.acquire("a"), await made.acquire("b")]
    third, fourth = await waiting(made, "c", "d")

    made.release(first[0], succeeded=True)
    assert (await third).url == "c"
    assert not fourth.done()
    made.release(first[1], succeeded=False)
    assert (await fourth).url == "d"


async def test_an_attempt_that_waits_for_its_endpoint_delays_no_other() -> None:
    made = slots()
    first = await made.acquire("a")
    (second,) = await waiting(made, "a")

    assert made.try_acquire("b") is not None
    made.release(first, succeeded=True)
    assert (await second).url == "a"


async def test_who_gives_up_waiting_takes_nothing_along() -> None:
    made = slots()
    first = [await made.acquire("a"), await made.acquire("b")]
    third, fourth = await waiting(made, "c", "d")
    third.cancel()
    made.release(first[0], succeeded=True)
    assert (await fourth).url == "d"

    (fifth,) = await waiting(made, "e")
    made.release(first[1], succeeded=True)
    fifth.cancel()  # granted, and not yet noticed
    await asyncio.wait([fifth])
    assert made.try_acquire("f") is not None


async def test_an_attempt_that_waits_among_the_slow_starts_once_its_endpoint_is_prompt() -> None:
    made = slots(prompt_seconds=0.001)
    ticket = await made.acquire("a")
    made.watch(ticket, lambda: None)
    await until(lambda: ticket.share == "slow")
    made.release(ticket, succeeded=True)
    slow = [await made.acquire("a"), await made.acquire("a")]
    (third,) = await waiting(made, "a")

    made.release(slow[0], succeeded=True)
    assert (await third).share == "prompt"


async def test_an_attempt_that_takes_long_makes_room_and_is_ended_when_too_many_do() -> None:
    made = slots(prompt_seconds=0.001)
    cut: list[str] = []
    tickets = []
    for url in "abcd":
        tickets.append(await made.acquire(url))  # of the first share there are two
        made.watch(tickets[-1], lambda url=url: cut.append(url))
    await until(lambda: cut == ["a"])
    assert [ticket.share for ticket in tickets].count("slow") == 3
