"""An answer that Redis cuts off is asked for again in smaller parts, down to one."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tests.support.server import Server
from witnd.domain.catalogue.chain import Head
from witnd.domain.outcomes.event import Event
from witnd.endpoint import endpoint
from witnd.store.errors import StoreUnavailable
from witnd.store.keys import GlobalKeys, Keys
from witnd.store.log.reader import Log
from witnd.store.records.codec import held_record
from witnd.store.records.held_codec import encode_held
from witnd.store.server.portion import BYTES_LEAST, BYTES_MAX, Portion

KEYS = Keys("witn", 0)
LARGE = b"x" * 100_000

pytestmark = pytest.mark.anyio


def held_event(key: str, number: int, value: str = "") -> bytes:
    return encode_held((number, 1), Event(key, "asked", "nobody", None, None, value, None, None, None, None))


def test_it_doubles_while_full_answers_are_small_and_shrinks_after_a_large_one() -> None:
    portion = Portion("entries", first=1, most=1000)
    for size in (1, 2, 4, 8, 16):
        assert portion.size == size
        portion.record_success(size, 100 * size)
    portion.record_success(3, 300)
    assert portion.size == 32, "an answer that is not full says nothing of a larger one"
    portion.record_success(32, 2 * BYTES_MAX)
    assert portion.size == 8


def test_what_is_cut_off_is_halved_down_to_one() -> None:
    portion = Portion("entries", first=1000, most=1000)
    sizes = []
    for _ in range(12):
        portion.record_cut("the connection was lost")
        sizes.append(portion.size)
    assert sizes == [500, 250, 125, 62, 31, 15, 7, 3, 1, 1, 1, 1]


def test_after_a_cut_it_aims_lower_and_grows_slowly() -> None:
    portion = Portion("entries", first=64, most=1000)
    for _ in range(20):
        portion.record_cut("the connection was lost")
    portion.record_success(1, BYTES_LEAST)
    assert portion.size == 1
    answers = 0
    while portion.size == 1:
        portion.record_success(1, BYTES_LEAST)
        answers += 1
    assert answers > 50


@pytest.fixture
async def limited(server: Callable[..., Server]) -> AsyncIterator[tuple[Server, Log]]:
    """A server that ends a connection with more than 4 MB waiting for it, and a log that has asked for much before."""
    own = server(extra=("--client-output-buffer-limit", "normal 4mb 2mb 5"))
    log = Log(endpoint(own.url), KEYS, GlobalKeys("witn"), "test")
    for portion in (log._entries, log._records, log._items):
        portion.size = 1000
    yield own, log
    log.close()


async def until_it_comes(ask: Callable[[], Awaitable[Any]]) -> tuple[Any, int]:
    """The answer, and how often it was cut off before."""
    for cuts in range(20):
        try:
            return await ask(), cuts
        except StoreUnavailable:
            continue
    raise AssertionError("cut off for ever")


async def test_500_waiting_events_of_100_kb_are_read(limited: tuple[Server, Log]) -> None:
    own, log = limited
    with own.sync() as client:
        for _ in range(500):
            client.xadd(KEYS.events, {"data": LARGE})
    after, seen, cuts = (0, 0), 0, 0
    while True:
        rows, more = await until_it_comes(lambda: log.read(after, 1000, None))  # noqa: B023
        cuts += more
        if not rows:
            break
        seen += len(rows)
        ms, _, seq = rows[-1][0].partition(b"-")
        after = int(ms), int(seq)
    assert seen == 500
    assert cuts >= 1, "the server cut nothing off: this test proves nothing"


async def test_large_records_and_long_lists_are_read(limited: tuple[Server, Log]) -> None:
    own, log = limited
    keys = [f"ticket-{number:04}" for number in range(100)]
    with own.sync() as client:
        for key in keys:
            client.rpush(KEYS.held_events(key), *[held_event(key, n, LARGE[:50_000].decode()) for n in range(3)])
        shared = GlobalKeys("witn")
        client.rpush(shared.catalogue, *[b"%d:%b" % (n, LARGE) for n in range(100)])
        client.set(shared.catalogue_head, str(Head(100, "0" * 40)))
    held, cuts = await until_it_comes(lambda: log.held(keys))
    assert cuts >= 1, "the server cut nothing off: this test proves nothing"
    assert [[entry for entry, _ in items] for items in held] == [[(0, 1), (1, 1), (2, 1)]] * 100
    log._items.size = 1000
    (_, found), cuts = await until_it_comes(lambda: log.catalogue_after(10))
    assert cuts >= 1
    assert [item.partition(b":")[0] for item in found] == [b"%d" % number for number in range(10, 100)]


async def test_many_keys_are_loaded_in_several_answers(limited: tuple[Server, Log]) -> None:
    own, log = limited
    log._records.size = 7
    keys = [f"ticket-{number:04}" for number in range(50)]
    with own.sync() as client:
        client.rpush(KEYS.held_events(keys[33]), *[held_event(keys[33], n) for n in range(2)])
        client.set(KEYS.outcome(keys[33]), held_record(keys[33]))
    _, stored = await log.snapshot(keys)
    assert [key for key, *_ in stored] == keys
    assert [[entry for entry, _ in held] for *_, held in stored if held] == [[(0, 1), (1, 1)]]
