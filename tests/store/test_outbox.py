"""The outbox on a real server: what is written, by whom, and what is refused."""

import asyncio
from collections.abc import Callable

import msgspec
import pytest
from redis.asyncio import Redis

from tests.notify.committed import CREATED, commit, deliveries, delivery, rule
from tests.support.server import Server
from witnd.domain.webhooks.delivery import (
    HEALTHY,
    Attempt,
    EndpointState,
    Progress,
    finish_attempt,
    new_progress,
    park,
    request_resend,
    start_attempt,
)
from witnd.store.deliveries.endpoint_codec import decode_endpoint, encode_endpoint
from witnd.store.deliveries.outbox import (
    Outbox,
    Row,
    decode_progress,
    decode_row,
    encode_progress,
    encode_row,
)
from witnd.store.errors import Fenced, StoreRefused, StoreUnavailable, Unsafe
from witnd.store.keys import GlobalKeys, Keys
from witnd.store.server.connection import connect

KEYS = Keys("witn", 0)
SHARED = GlobalKeys("witn")
RULE = rule().id
FENCE = "1:nonce:here"
OK = Attempt(status=200)
REFUSED = Attempt(status=500, reason="responded 500", detail="x" * 1024)


@pytest.fixture
async def outbox(client: Redis) -> Outbox:
    await client.set(KEYS.owner, FENCE)
    return Outbox(client, KEYS, SHARED, FENCE)


async def first(outbox: Outbox) -> Row:
    (row,) = await outbox.next_rows(RULE, 1)
    return row


class TestRecords:
    def test_a_row_comes_back_as_it_was(self) -> None:
        assert decode_row(delivery().id, encode_row(delivery())) == delivery()

    def test_progress_comes_back_as_it_was(self) -> None:
        progress = start_attempt(finish_attempt(start_attempt(new_progress(5), 6), REFUSED, 7, 0.5), 8)

        assert decode_progress(encode_progress(progress)) == progress
        assert decode_progress(encode_progress(park(progress, "why"))) == park(progress, "why")

    def test_the_state_of_an_endpoint_comes_back_as_it_was(self) -> None:
        state = EndpointState(failing_since=5, suspended_at=6, reason="gone")

        assert decode_endpoint(encode_endpoint(state)) == state
        assert decode_endpoint(encode_endpoint(HEALTHY)) == HEALTHY
        assert decode_endpoint(None) == HEALTHY

    @pytest.mark.parametrize("decode", [lambda record: decode_row("x", record), decode_progress, decode_endpoint])
    def test_a_record_of_a_newer_witnd_is_not_guessed_at(self, decode: Callable[[bytes], object]) -> None:
        with pytest.raises(Unsafe, match="format 2"):
            decode(msgspec.msgpack.encode([2, "something", "else"]))


class TestReading:
    async def test_committed_rows_are_due_oldest_first(self, client: Redis, outbox: Outbox) -> None:
        await commit(client, KEYS, *deliveries(5))

        rows = await outbox.next_rows(RULE, 3)

        assert [row.delivery for row in rows] == deliveries(3)
        assert [row.progress for row in rows] == [new_progress(row.created_ms) for row in deliveries(3)]
        assert await outbox.rules() == [RULE]

    async def test_a_row_never_tried_is_due_whatever_the_clock_of_this_machine_says(
        self, client: Redis, outbox: Outbox
    ) -> None:
        await commit(client, KEYS, delivery())

        row = await first(outbox)

        assert row.queued_ms == 0
        assert row.with_progress(start_attempt(row.progress, 5)).queued_ms == CREATED

    async def test_a_row_without_its_message_is_told_as_such(self, client: Redis, outbox: Outbox) -> None:
        await client.zadd(KEYS.outbox(RULE), {"gone": 7})

        row = await first(outbox)

        assert (row.delivery, row.created_ms) == (None, 7)

    async def test_an_unknown_delivery_is_nothing(self, outbox: Outbox) -> None:
        assert await outbox.rows(["unknown"]) == []
        assert await outbox.rows([]) == []


class TestWriting:
    async def test_a_delivered_row_leaves_the_outbox_and_takes_its_rule_along(
        self, client: Redis, outbox: Outbox
    ) -> None:
        await commit(client, KEYS, delivery())
        row = await first(outbox)
        started = start_attempt(row.progress, 1)
        done = finish_attempt(started, OK, 2, 0.5)

        assert await outbox.write(RULE, [(row, started)]) == [True]
        assert await outbox.rules() == [RULE]
        assert await outbox.write(RULE, [(row.with_progress(started), done)]) == [True]

        assert await outbox.rules() == []
        assert await outbox.next_rows(RULE, 10) == []
        assert await client.zrange(KEYS.delivered, 0, -1, withscores=True) == [(delivery().id.encode(), CREATED)]
        (again,) = await outbox.rows([delivery().id])
        assert again.progress == done

    async def test_a_retry_waits_in_the_outbox_until_it_is_due(self, client: Redis, outbox: Outbox) -> None:
        await commit(client, KEYS, delivery())
        row = await first(outbox)

        await outbox.write(RULE, [(row, finish_attempt(start_attempt(row.progress, CREATED), REFUSED, CREATED, 0.5))])

        assert (await first(outbox)).queued_ms == CREATED + 5000

    @pytest.mark.parametrize("standing", ["parked", "dead", "delivered"])
    async def test_a_row_stands_in_one_list_only(self, client: Redis, outbox: Outbox, standing: str) -> None:
        await commit(client, KEYS, delivery())
        lists = {"parked": KEYS.parked(RULE), "dead": KEYS.dead, "delivered": KEYS.delivered}

        for at in ("parked", "dead", "delivered", standing):
            (row,) = await outbox.rows([delivery().id])
            await outbox.write(RULE, [(row, Progress(standing=at))])

        found = {name for name, key in lists.items() if await client.zcard(key)}
        assert found == {standing}

    async def test_a_step_is_taken_only_from_what_was_read(self, client: Redis, outbox: Outbox) -> None:
        await commit(client, KEYS, *deliveries(2))
        rows = await outbox.next_rows(RULE, 2)
        moved = request_resend(rows[0].progress, 5)
        await outbox.write(RULE, [(rows[0], moved)])

        written = await outbox.write(RULE, [(row, start_attempt(row.progress, 6)) for row in rows])

        assert written == [False, True]
        (again,) = await outbox.rows([rows[0].id])
        assert again.progress == moved

    async def test_a_step_written_twice_because_its_reply_was_lost_is_one_step(
        self, client: Redis, outbox: Outbox
    ) -> None:
        await commit(client, KEYS, delivery())
        row = await first(outbox)
        step = [(row, start_attempt(row.progress, 6))]

        assert await outbox.write(RULE, step) == [True]
        assert await outbox.write(RULE, step) == [True]
        assert (await first(outbox)).progress.started == 1

    async def test_scripts_flushed_from_the_server_are_brought_along_again(self, client: Redis, outbox: Outbox) -> None:
        await commit(client, KEYS, delivery())
        await client.script_flush()
        row = await first(outbox)

        await client.script_flush()
        assert await outbox.write(RULE, [(row, start_attempt(row.progress, 6))]) == [True]


class TestFence:
    @pytest.mark.parametrize("owner", ["2:other:there", None])
    async def test_without_the_lease_nothing_is_written(self, client: Redis, outbox: Outbox, owner: str | None) -> None:
        await commit(client, KEYS, *deliveries(2))
        rows = await outbox.next_rows(RULE, 2)
        await (client.set(KEYS.owner, owner) if owner else client.delete(KEYS.owner))

        with pytest.raises(Fenced):
            await outbox.write(RULE, [(row, finish_attempt(row.progress, OK, 5, 0.5)) for row in rows])

        assert not await client.exists(KEYS.attempts, KEYS.delivered)
        assert await outbox.next_rows(RULE, 2) == rows

    async def test_a_command_needs_no_lease(self, client: Redis, outbox: Outbox) -> None:
        await commit(client, KEYS, delivery())
        row = await first(outbox)

        command = Outbox(client, KEYS, SHARED)

        assert await command.write(RULE, [(row, request_resend(row.progress, 5))]) == [True]


class TestEndpointState:
    async def test_it_changes_only_from_what_was_read(self, outbox: Outbox) -> None:
        failing = EndpointState(failing_since=5)
        suspended = EndpointState(failing_since=5, suspended_at=9, reason="gone")

        assert await outbox.swap_endpoint(RULE, HEALTHY, failing)
        assert await outbox.swap_endpoint(RULE, HEALTHY, failing)  # a lost reply
        assert not await outbox.swap_endpoint(RULE, HEALTHY, suspended)
        assert await outbox.endpoint(RULE) == failing

        assert await outbox.swap_endpoint(RULE, failing, suspended)
        assert await outbox.swap_endpoint(RULE, suspended, HEALTHY)
        assert await outbox.endpoint(RULE) == HEALTHY

    async def test_a_healthy_one_takes_no_room(self, client: Redis, outbox: Outbox) -> None:
        await outbox.swap_endpoint(RULE, HEALTHY, EndpointState(failing_since=5))
        await outbox.swap_endpoint(RULE, EndpointState(failing_since=5), HEALTHY)

        assert not await client.exists(SHARED.endpoints)


class TestCalls:
    async def test_a_command_in_another_process_is_heard(self, client: Redis, outbox: Outbox, redis_url: str) -> None:
        await commit(client, KEYS, delivery())
        row = await first(outbox)

        async with connect(redis_url) as other, outbox.calls() as calls:
            command = Outbox(other, KEYS, SHARED)
            await command.write(RULE, [(row, request_resend(row.progress, 5))], call=True)

            assert await asyncio.wait_for(anext(calls), 10) == RULE

    async def test_the_relays_own_writes_call_nobody(self, client: Redis, outbox: Outbox) -> None:
        await commit(client, KEYS, delivery())
        row = await first(outbox)

        async with outbox.calls() as calls:
            await outbox.write(RULE, [(row, start_attempt(row.progress, 5))])
            await client.publish(KEYS.outbox_calls, "end")

            assert await asyncio.wait_for(anext(calls), 10) == "end"


class TestBadServers:
    async def hear(self, outbox: Outbox, happens: Callable[[], None]) -> str:
        async with outbox.calls() as calls:
            happens()
            return await asyncio.wait_for(anext(calls), 10)

    async def test_a_server_that_is_gone_is_unavailable(self, server: Callable[..., Server]) -> None:
        mine = server()
        async with connect(mine.url) as client:
            outbox = Outbox(client, KEYS, SHARED)
            with pytest.raises(StoreUnavailable):
                await self.hear(outbox, mine.kill)
            with pytest.raises(StoreUnavailable):
                await outbox.rules()
            with pytest.raises(StoreUnavailable):
                await self.hear(outbox, lambda: None)

    async def test_a_server_that_falls_silent_is_noticed(
        self, server: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("witnd.store.deliveries.outbox.CALLS_QUIET_SECONDS", 0.02)
        monkeypatch.setattr("witnd.store.deliveries.outbox.CALLS_ANSWER_SECONDS", 0.1)
        mine = server()
        async with connect(mine.url) as client:
            outbox = Outbox(client, KEYS, SHARED)

            async def call_after_some_silence() -> None:
                await asyncio.sleep(0.1)
                await client.publish(KEYS.outbox_calls, RULE)

            async with asyncio.TaskGroup() as tasks, outbox.calls() as calls:
                tasks.create_task(call_after_some_silence())
                assert await asyncio.wait_for(anext(calls), 10) == RULE
            with pytest.raises(StoreUnavailable, match="no answer"):
                await self.hear(outbox, mine.pause)

    async def test_a_full_server_refuses_the_whole_step(self, server: Callable[..., Server]) -> None:
        mine = server()
        async with connect(mine.url) as client:
            await commit(client, KEYS, delivery())
            outbox = Outbox(client, KEYS, SHARED)
            row = await first(outbox)
            await client.config_set("maxmemory", "1")

            with pytest.raises(StoreRefused, match="memory"):
                await outbox.write(RULE, [(row, finish_attempt(row.progress, OK, 5, 0.5))])

            assert await first(outbox) == row
