"""The relay between a real server and a real endpoint, on a clock that tests turn."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any, Self

import pytest
import structlog
from aiohttp import web
from redis.asyncio import Redis

from tests.notify.committed import CREATED, commit, deliveries, delivery, rule
from tests.notify.receiver import SECRET, Receiver, receiver
from tests.support.server import Server
from witnd.clock import Clock
from witnd.domain.webhooks.delivery import INTERRUPTED, MAX_FAILING_MS, Progress, start_attempt
from witnd.domain.webhooks.notification import SCHEDULE, delivery_id
from witnd.notify.admission import sizes
from witnd.notify.lane import IN_FLIGHT_PER_ENDPOINT
from witnd.notify.relay import Endpoint, Relay
from witnd.notify.sender import Sender
from witnd.notify.slots import Slots
from witnd.store.deliveries.outbox import Outbox
from witnd.store.deliveries.reads import Deliveries
from witnd.store.errors import Fenced
from witnd.store.keys import GlobalKeys, Keys
from witnd.store.server.connection import connect

KEYS = Keys("witn", 0)
SHARED = GlobalKeys("witn")
RULE = rule().id
FENCE = "1:nonce:here"
OTHER_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
NOW = CREATED + 10


class Log:
    """Every line that was logged, and a way to wait for one."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self._more = asyncio.Event()

    def __call__(self, _: object, __: str, line: dict[str, Any]) -> dict[str, Any]:
        self.lines.append(line)
        self._more.set()
        raise structlog.DropEvent

    def of(self, event: str, **fields: object) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] == event and fields.items() <= line.items()]

    async def until(self, count: int, event: str, **fields: object) -> list[dict[str, Any]]:
        async with asyncio.timeout(60):
            while len(found := self.of(event, **fields)) < count:
                self._more.clear()
                await self._more.wait()
        return found


@pytest.fixture
def log() -> Iterator[Log]:
    log = Log()
    structlog.configure(processors=[log])
    yield log
    structlog.reset_defaults()


class House:
    """A relay with everything around it. `endpoints` maps a rule's id to where it goes now."""

    def __init__(self, client: Redis, endpoint: Receiver, sender: Sender, log: Log) -> None:
        self.client = client
        self.endpoint = endpoint
        self.log = log
        self.now = NOW
        self.sender = sender
        self.outbox = Outbox(client, KEYS, SHARED, FENCE)
        self.endpoints = {RULE: Endpoint(endpoint.url("/hook"), (SECRET,))}
        self.relay = self.new_relay()
        self.running: asyncio.Task[None] | None = None

    def new_relay(self, **options: Any) -> Relay:
        return Relay(
            self.outbox,
            send=options.pop("send", self.sender.send),
            endpoint=self.endpoints.get,
            now_ms=lambda: self.now,
            random=options.pop("random", lambda: 0.5),
            **options,
        )

    def add_rule(self, name: str, path: str) -> str:
        self.endpoints[rule(name).id] = Endpoint(self.endpoint.url(path), (SECRET,))
        return rule(name).id

    @asynccontextmanager
    async def open(self, **options: Any) -> AsyncIterator[Self]:
        """The relay running, and what was committed before on its way."""
        self.relay = self.new_relay(**options)
        self.running = asyncio.create_task(self.relay.run())
        await self.relay.ready.wait()
        try:
            yield self
        finally:
            self.running.cancel()
            await asyncio.wait([self.running])

    async def commit(self, *committed: Any) -> None:
        await commit(self.client, KEYS, *committed)
        self.relay.wake_lanes({row.rule_id for row in committed})

    def tick(self, ms: int, rule_id: str = RULE) -> None:
        self.now += ms
        self.relay.wake_lanes([rule_id])

    async def attempts(self, count: int, **fields: object) -> list[dict[str, Any]]:
        return await self.log.until(count, "delivery.attempted", **fields)

    async def progress(self, id_: str) -> Progress:
        (row,) = await self.outbox.rows([id_])
        return row.progress

    def desk(self) -> Deliveries:
        return Deliveries(self.client, [KEYS], SHARED, self.endpoints)

    async def idle(self) -> None:
        """Until no lane is left: nothing is waiting to be sent, now or later."""
        async with asyncio.timeout(60):
            while repr(self.relay) != "<Relay lanes=0 in_flight=0>":
                await asyncio.sleep(0.001)


@pytest.fixture
async def house(client: Redis, log: Log) -> AsyncIterator[House]:
    await client.set(KEYS.owner, FENCE)
    async with (
        receiver() as endpoint,
        Sender.open(now_ms=Clock().now_ms, allow_networks=["127.0.0.0/8"]) as sender,
    ):
        yield House(client, endpoint, sender, log)


class TestDelivery:
    async def test_what_is_committed_is_sent_at_once_and_on_record(self, house: House) -> None:
        async with house.open():
            await house.commit(delivery())
            (line,) = await house.attempts(1)
            await house.idle()

        (got,) = house.endpoint.received
        got.verify()
        assert (got.id, got.body) == (delivery().id, delivery().body)
        assert line | {"duration_ms": 0} == {
            "event": "delivery.attempted",
            "delivery": delivery().id,
            "rule": "billing",
            "outcome_key": "ticket-0001",
            "attempt": 1,
            "status": 200,
            "reason": None,
            "duration_ms": 0,
            "next_at": None,
        }
        assert (await house.progress(delivery().id)).standing == "delivered"

    async def test_what_waited_while_no_daemon_ran_is_sent_at_the_start(self, house: House) -> None:
        await commit(house.client, KEYS, *deliveries(20))

        async with house.open():
            await house.attempts(20)
            await house.idle()

        assert {got.id for got in house.endpoint.received} == {row.id for row in deliveries(20)}
        assert len(house.endpoint.received) == 20

    async def test_a_server_clock_that_is_ahead_delays_nothing(self, house: House) -> None:
        house.now = CREATED - 3_600_000

        async with house.open():
            await house.commit(delivery())
            await house.attempts(1)

    async def test_a_poke_without_a_reason_is_harmless(self, house: House) -> None:
        house.relay.wake_lanes([RULE])

        async with house.open():
            house.relay.wake_lanes([RULE, "unknown"])
            await house.idle()

        assert house.endpoint.received == []

    async def test_each_rule_gets_its_own(self, house: House) -> None:
        house.add_rule("crm", "/crm")

        async with house.open():
            await house.commit(delivery(), delivery(name="crm"))
            await house.attempts(2)

        (billing,), (crm,) = house.endpoint.at("/hook"), house.endpoint.at("/crm")
        assert billing.id != crm.id

    async def test_a_message_that_is_missing_is_given_up_not_circled_around(self, house: House) -> None:
        await house.client.zadd(KEYS.outbox(RULE), {"lost": CREATED})
        await house.client.sadd(KEYS.outbox_rules, RULE)

        async with house.open():
            await house.idle()

        assert (await house.progress("lost")).standing == "dead"


class TestRetries:
    async def test_a_failure_is_tried_again_when_the_schedule_says_so(self, house: House) -> None:
        house.add_rule("barrier", "/barrier")
        house.endpoint.answers["/hook"] = 500

        async with house.open():
            await house.commit(delivery())
            (line,) = await house.attempts(1)
            assert line["next_at"] == "2026-01-01T00:00:05.010Z"

            house.tick(4_999)
            await house.commit(delivery(2, name="barrier"))
            await house.attempts(1, rule="barrier")
            assert len(house.endpoint.at("/hook")) == 1

            house.endpoint.answers["/hook"] = 200
            house.tick(1)
            await house.attempts(2, rule="billing")
            await house.idle()

        first, second = house.endpoint.at("/hook")
        assert (first.id, first.body) == (second.id, second.body)
        second.verify()
        assert [a.status for a in (await house.progress(delivery().id)).attempts] == [500, 200]

    async def test_it_wakes_by_itself_when_the_next_attempt_is_due(self, house: House) -> None:
        house.endpoint.answers["/hook"] = 500

        async with house.open(schedule=[30]):
            await house.commit(delivery())
            await house.attempts(1)
            house.now += 30  # nobody pokes: the lane sleeps for 30 ms of its own accord
            await house.attempts(2)

    async def test_an_exhausted_one_is_dead_and_can_be_resent(self, house: House) -> None:
        house.endpoint.answers["/hook"] = 503

        async with house.open():
            await house.commit(delivery())
            for number, step in enumerate([*SCHEDULE, 0], 1):
                await house.attempts(number)
                house.tick(step)
            await house.idle()
            assert (await house.progress(delivery().id)).standing == "dead"

            house.endpoint.answers["/hook"] = 200
            await house.desk().resend([delivery().id], house.now)
            await house.attempts(11)
            await house.idle()

        assert (await house.progress(delivery().id)).standing == "delivered"
        assert await house.client.zcard(KEYS.dead) == 0

    @pytest.mark.parametrize(
        ("retry_after", "waits_ms"),
        [("7", 7_000), ("315360000", 10_000), ("soon", 5_000), ("1", 5_000)],
    )
    async def test_retry_after_counts_within_bounds(self, house: House, retry_after: str, waits_ms: int) -> None:
        async def busy(_: web.Request) -> web.Response:
            return web.Response(status=429, headers={"retry-after": retry_after})

        house.endpoint.answers["/hook"] = busy
        async with house.open():
            await house.commit(delivery())
            await house.attempts(1)

        assert (await house.progress(delivery().id)).due_ms == NOW + waits_ms

    async def test_a_failing_endpoint_is_tried_by_one_attempt_at_a_time(self, house: House) -> None:
        """So that a recovering one is not run over by everything that has waited for it."""
        most = now = 0

        async def busy(_: web.Request) -> web.Response:
            nonlocal most, now
            now += 1
            most = max(most, now)
            await asyncio.sleep(0)
            now -= 1
            return web.Response(status=500)

        house.endpoint.answers["/hook"] = busy
        async with house.open():
            await house.commit(delivery())
            await house.attempts(1)
            await house.commit(*deliveries(20))
            await house.attempts(20)

        assert most == 1

    async def test_after_a_storm_of_errors_all_is_delivered_spread_out_and_without_a_herd(self, house: House) -> None:
        """Many endpoints fail at once and recover at once: their retries are spread, and each sees few at a time."""
        names = [f"r{number}" for number in range(10)]
        most: dict[str, int] = {}
        now: dict[str, int] = {}
        status = 503

        async def busy(request: web.Request) -> web.Response:
            path = request.path
            now[path] = now.get(path, 0) + 1
            most[path] = max(most.get(path, 0), now[path])
            await asyncio.sleep(0.001)
            now[path] -= 1
            return web.Response(status=status)

        for name in names:
            house.endpoint.answers[f"/{name}"] = busy
            house.add_rule(name, f"/{name}")
        rows = [row for name in names for row in deliveries(5, name=name)]
        async with house.open(random=Random(1).random):
            await house.commit(*rows)
            await house.attempts(50)
            due = [(await house.progress(row.id)).due_ms or 0 for row in rows]
            step = SCHEDULE[0]
            assert all(0.8 * step <= ms - house.now <= 1.2 * step for ms in due)
            assert len(set(due)) > 40
            assert max(due) - min(due) > 0.2 * step
            assert max(most.values()) == 1

            status = 200
            house.now = max(due)
            house.relay.wake_lanes(house.endpoints)
            await house.attempts(100)
            await house.idle()
        assert len(house.endpoint.received) == 100
        assert max(most.values()) <= IN_FLIGHT_PER_ENDPOINT
        assert {(await house.progress(row.id)).standing for row in rows} == {"delivered"}

    async def test_a_new_address_and_new_secrets_count_from_the_next_attempt_on(self, house: House) -> None:
        house.endpoint.answers["/hook"] = 500

        async with house.open():
            await house.commit(delivery())
            await house.attempts(1)
            house.endpoints[RULE] = Endpoint(house.endpoint.url("/new"), (OTHER_SECRET, SECRET))
            house.tick(5_000)
            await house.attempts(2)

        (got,) = house.endpoint.at("/new")
        got.verify(SECRET)
        got.verify(OTHER_SECRET)


class TestIsolation:
    async def test_a_hanging_endpoint_delays_no_other(self, house: House) -> None:
        release = asyncio.Event()

        async def hang(_: web.Request) -> web.Response:
            await release.wait()
            return web.Response()

        house.endpoint.answers["/hang"] = hang
        house.add_rule("hang", "/hang")
        names = [f"good-{number}" for number in range(30)]
        for name in names:
            house.add_rule(name, f"/{name}")

        async with house.open():
            await house.commit(*deliveries(20, name="hang"))
            await house.endpoint.until(1, "/hang")
            await house.commit(*(row for name in names for row in deliveries(5, name=name)))
            await house.attempts(150)

            assert len(house.endpoint.at("/hang")) == 1
            release.set()
            await house.attempts(170)
            await house.idle()

    async def test_one_that_answers_gets_several_at_a_time_and_no_more(self, house: House) -> None:
        release = asyncio.Event()

        async def hang(_: web.Request) -> web.Response:
            await release.wait()
            return web.Response()

        async with house.open():
            await house.commit(delivery(99))
            await house.attempts(1)
            house.endpoint.answers["/hook"] = hang
            await house.commit(*deliveries(20))
            await house.endpoint.until(1 + IN_FLIGHT_PER_ENDPOINT, "/hook")
            house.add_rule("same", "/hook")
            await house.commit(*deliveries(20, name="same"))
            house.add_rule("other", "/other")
            await house.commit(*deliveries(20, name="other"))
            await house.attempts(20, rule="other")

            assert len(house.endpoint.at("/hook")) == 1 + IN_FLIGHT_PER_ENDPOINT
            release.set()
            await house.attempts(61)
            await house.idle()

    @pytest.mark.slow
    async def test_with_300_endpoints_that_accept_and_never_answer_a_healthy_one_is_told(self, house: House) -> None:
        """No attempt can end by its timeout meanwhile, so what reaches the healthy one waited for none of them."""
        names = [f"silent-{number}" for number in range(300)]
        silent: set[str] = set()

        async def hold(request: web.Request) -> web.Response:
            silent.add(request.path)
            await asyncio.Event().wait()
            raise AssertionError

        for name in names:
            house.endpoint.answers[f"/{name}"] = hold
            house.add_rule(name, f"/{name}")
        async with Sender.open(now_ms=Clock().now_ms, allow_networks=["127.0.0.0/8"], seconds=3600) as patient:
            house.sender = patient
            async with house.open():
                await house.commit(*(row for name in names for row in deliveries(5, name=name)))
                await house.commit(*deliveries(5))
                await house.attempts(5, rule="billing")
                await house.commit(*(row for name in names for row in deliveries(5, name=name)))
                await house.commit(*deliveries(20)[5:])
                await house.attempts(20, rule="billing")
                async with asyncio.timeout(60):
                    while len(silent) < 300:
                        await asyncio.sleep(0.01)
                assert len(house.log.of("delivery.attempted")) == 20

    @pytest.mark.slow
    async def test_when_healthy_endpoints_fall_silent_at_once_the_rest_goes_on_and_the_longest_wait_ends(
        self, house: House
    ) -> None:
        names = [f"r{number}" for number in range(60)]

        async def hold(_: web.Request) -> web.Response:
            await asyncio.Event().wait()
            raise AssertionError

        for name in names:
            house.add_rule(name, f"/{name}")
        async with Sender.open(now_ms=Clock().now_ms, allow_networks=["127.0.0.0/8"], seconds=3600) as patient:
            house.sender = patient
            async with house.open(slots=Slots(sizes(32), prompt_seconds=0.5)):
                await house.commit(delivery(1), *(delivery(1, name=name) for name in names))
                await house.attempts(61)
                for name in names:
                    house.endpoint.answers[f"/{name}"] = hold
                await house.commit(*(delivery(2, name=name) for name in names))
                await house.commit(delivery(2))
                await house.attempts(2, rule="billing")

                lines = await house.log.until(62 + 60 - 12, "delivery.attempted")
        early = [line for line in lines if line["status"] is None]
        assert len(early) >= 48
        assert all("too many endpoints are slow" in line["reason"] for line in early)

    async def test_all_endpoints_together_have_a_bound(self, house: House) -> None:
        most = now = 0

        async def slow(_: web.Request) -> web.Response:
            nonlocal most, now
            now += 1
            most = max(most, now)
            await asyncio.sleep(0.002)
            now -= 1
            return web.Response()

        names = [f"r{number}" for number in range(8)]
        for name in names:
            house.endpoint.answers[f"/{name}"] = slow
            house.add_rule(name, f"/{name}")

        async with house.open(slots=Slots(sizes(8))):
            await house.commit(*(row for name in names for row in deliveries(5, name=name)))
            await house.attempts(40)
            await house.idle()

        assert 1 < most <= 4


class TestSuspension:
    async def test_410_parks_what_waits_and_what_comes_and_resume_sends_it_oldest_first(self, house: House) -> None:
        house.endpoint.answers["/hook"] = 410
        rows = deliveries(6)

        async with house.open():
            await house.commit(rows[3])
            await house.log.until(1, "endpoint.suspended", rule="billing")
            await house.idle()
            await house.commit(*rows[:3], *rows[4:])
            await house.idle()
            parked = await house.client.zrange(KEYS.parked(RULE), 0, -1)
            assert [id_.decode() for id_ in parked] == [row.id for row in rows]
            assert len(house.endpoint.received) == 1

            house.endpoint.answers["/hook"] = 200
            house.endpoint.received.clear()
            assert await house.desk().resume(RULE) == 6
            await house.attempts(7)
            await house.idle()

        sent = [got.id for got in house.endpoint.received]
        assert set(sent) == {row.id for row in rows}
        assert set(sent[:4]) == {row.id for row in rows[:4]}
        assert await house.client.exists(KEYS.parked(RULE), SHARED.endpoints) == 0

    async def test_five_days_of_nothing_but_failures_suspend(self, house: House) -> None:
        house.endpoint.answers["/hook"] = 500

        async with house.open():
            await house.commit(delivery(1))
            await house.attempts(1)
            house.tick(MAX_FAILING_MS)
            await house.log.until(1, "endpoint.suspended")
            await house.idle()

        assert (await house.progress(delivery(1).id)).standing == "parked"
        assert "five days" in ((await house.outbox.endpoint(RULE)).reason or "")

    async def test_one_success_within_five_days_clears_the_failures(self, house: House) -> None:
        house.endpoint.answers["/hook"] = 500

        async with house.open():
            await house.commit(delivery(1))
            await house.attempts(1)
            house.endpoint.answers["/hook"] = 200
            house.tick(5_000)
            await house.attempts(2)
            house.endpoint.answers["/hook"] = 500
            house.now += MAX_FAILING_MS
            await house.commit(delivery(2))
            await house.attempts(3)

        state = await house.outbox.endpoint(RULE)
        assert (state.failing_since, state.suspended) == (house.now, False)

    async def test_a_resend_is_tried_even_at_a_suspended_endpoint(self, house: House) -> None:
        house.endpoint.answers["/hook"] = 410

        async with house.open():
            await house.commit(*deliveries(3))
            await house.log.until(1, "endpoint.suspended")
            await house.idle()
            tried = len(house.endpoint.received)
            house.endpoint.answers["/hook"] = 200
            await house.desk().resend([delivery(2).id], house.now)
            await house.endpoint.until(tried + 1)
            await house.idle()

        resent = delivery_id(RULE, "ticket-0002", "outcome_succeed")
        assert house.endpoint.received[-1].id == resent
        assert (await house.progress(resent)).standing == "delivered"
        assert await house.client.zcard(KEYS.parked(RULE)) == 2

    async def test_a_rule_that_is_not_in_force_parks_its_rows_until_it_is_resumed(self, house: House) -> None:
        target = house.endpoints.pop(RULE)

        async with house.open():
            await house.commit(*deliveries(3))
            await house.idle()
            assert (await house.progress(deliveries(1)[0].id)).standing == "parked"

            house.endpoints[RULE] = target
            assert await house.desk().resume(RULE) == 3
            await house.attempts(3)


class TestResend:
    async def test_in_the_middle_of_retries_the_schedule_moves_once(self, house: House) -> None:
        house.endpoint.answers["/hook"] = 500

        async with house.open():
            await house.commit(delivery())
            await house.attempts(1)
            before = await house.progress(delivery().id)
            house.now += 1_000
            await house.desk().resend([delivery().id], house.now)
            await house.desk().resend([delivery().id], house.now)
            await house.attempts(3)

            after = await house.progress(delivery().id)
            assert (after.due_ms, after.failures) == (before.due_ms, before.failures)
            house.tick(4_000)
            await house.attempts(4)

        assert (await house.progress(delivery().id)).failures == 2
        assert {got.id for got in house.endpoint.received} == {delivery().id}

    async def test_while_an_attempt_is_under_way_it_follows_that_one(self, house: House) -> None:
        release = asyncio.Event()

        async def slow(_: web.Request) -> web.Response:
            await release.wait()
            return web.Response(status=500)

        house.endpoint.answers["/hook"] = slow
        async with house.open():
            await house.commit(delivery())
            await house.endpoint.until(1)
            await house.desk().resend([delivery().id], house.now)
            release.set()
            await house.attempts(2)
            await house.log.until(2, "delivery.attempted")

        progress = await house.progress(delivery().id)
        assert (progress.failures, progress.started, progress.resends) == (1, 2, 0)
        assert [attempt.manual for attempt in progress.attempts] == [False, True]

    async def test_of_what_was_delivered_it_is_sent_again_under_the_same_id(self, house: House) -> None:
        async with house.open():
            await house.commit(delivery())
            await house.attempts(1)
            await house.idle()
            assert await house.desk().resend([delivery().id, "unknown"], house.now) == ["unknown"]
            await house.attempts(2)
            await house.idle()

        first, second = house.endpoint.received
        assert (first.id, first.body) == (second.id, second.body)


class TestCrashes:
    async def test_between_the_answer_and_its_record_it_is_sent_again_under_the_same_id(self, house: House) -> None:
        """The daemon dies in the very moment in which the endpoint has everything."""

        async def kill(_: web.Request) -> web.Response:
            assert house.running is not None
            house.running.cancel()
            await asyncio.wait([house.running])
            return web.Response()

        house.endpoint.answers["/hook"] = kill
        async with house.open():
            await house.commit(delivery())
            await house.endpoint.until(1)
            await asyncio.wait([house.running])
        house.endpoint.answers["/hook"] = 200
        async with house.open():
            await house.attempts(1)
            await house.idle()

        first, second = house.endpoint.received
        assert first.id == second.id
        second.verify()
        progress = await house.progress(delivery().id)
        assert [attempt.reason for attempt in progress.attempts] == [INTERRUPTED, None]

    async def test_after_the_record_of_the_attempt_it_is_sent_by_the_next_owner(self, house: House) -> None:
        await commit(house.client, KEYS, delivery())
        (row,) = await house.outbox.next_rows(RULE, 1)
        assert await house.outbox.write(RULE, [(row, start_attempt(row.progress, NOW))]) == [True]

        async with house.open():
            await house.attempts(1)

        assert len(house.endpoint.received) == 1

    async def test_another_owner_ends_the_relay_and_nothing_is_written(self, house: House) -> None:
        async with house.open():
            await house.client.set(KEYS.owner, "2:other:there")
            await house.commit(delivery())

            with pytest.raises(Fenced, match="2:other:there"):
                await house.running

        assert house.endpoint.received == []
        assert not await house.client.exists(KEYS.attempts)

    async def test_an_owner_who_wakes_up_too_late_records_no_answer(self, house: House) -> None:
        async def taken_over(_: web.Request) -> web.Response:
            await house.client.set(KEYS.owner, "2:other:there")
            return web.Response()

        house.endpoint.answers["/hook"] = taken_over
        async with house.open():
            await house.commit(delivery())
            with pytest.raises(Fenced):
                await house.running

        assert (await house.progress(delivery().id)).standing == "pending"
        assert house.relay.wake_lanes([RULE]) is None


class TestOutage:
    async def test_it_is_waited_out_with_one_line_and_nothing_is_lost(
        self, server: Callable[..., Server], house: House
    ) -> None:
        """The server dies while the endpoint has the message and its answer is not on record."""
        mine = server()
        async with connect(mine.url) as client:
            house.client = client
            house.outbox = Outbox(client, KEYS, SHARED, FENCE)
            await client.set(KEYS.owner, FENCE)

            async def outage(_: web.Request) -> web.Response:
                mine.kill()
                return web.Response()

            house.endpoint.answers["/hook"] = outage
            async with house.open():
                await house.commit(delivery())
                await house.log.until(1, "relay.store_lost")
                await house.log.until(1, "relay.subscription_lost")
                mine.start()
                await house.attempts(1)
                await house.log.until(1, "relay.subscription_recovered")
                house.endpoint.answers.clear()
                await commit(client, KEYS, delivery(2))
                house.relay.wake_lanes([RULE])
                await house.attempts(2)
                await house.idle()

            assert len(house.endpoint.received) == 2
            assert (await house.progress(delivery().id)).standing == "delivered"
            assert len(house.log.of("relay.store_lost")) == 1
            assert len(house.log.of("relay.store_recovered")) == 1

    async def test_what_a_command_queues_during_an_outage_of_calls_is_seen_after_it(
        self, server: Callable[..., Server], house: House
    ) -> None:
        mine = server()
        async with connect(mine.url) as client:
            house.client = client
            house.outbox = Outbox(client, KEYS, SHARED, FENCE)
            await client.set(KEYS.owner, FENCE)

            async with house.open():
                await client.client_kill_filter(_type="pubsub")
                await house.log.until(1, "relay.subscription_lost")
                await commit(client, KEYS, delivery())
                await house.attempts(1)


class TestStopping:
    async def test_attempts_under_way_are_waited_for(self, house: House) -> None:
        release = asyncio.Event()

        async def slow(_: web.Request) -> web.Response:
            await release.wait()
            return web.Response()

        async with house.open():
            await house.commit(delivery(99))
            await house.attempts(1)
            house.endpoint.answers["/hook"] = slow
            await house.commit(*deliveries(10))
            await house.endpoint.until(1 + IN_FLIGHT_PER_ENDPOINT)
            stopping = asyncio.create_task(house.relay.stop(20))
            await asyncio.sleep(0)
            release.set()

            assert await stopping == ()
            await house.running

        assert len(house.endpoint.received) == 1 + IN_FLIGHT_PER_ENDPOINT
        assert await house.client.zcard(KEYS.outbox(RULE)) == 10 - IN_FLIGHT_PER_ENDPOINT

    async def test_those_that_take_too_long_are_named_and_sent_again_later(self, house: House) -> None:
        async def hang(_: web.Request) -> web.Response:
            await asyncio.Event().wait()
            raise AssertionError

        house.endpoint.answers["/hook"] = hang
        async with house.open():
            await house.commit(delivery())
            await house.endpoint.until(1)

            assert await house.relay.stop(0.02) == (delivery().id,)
            await house.running

        house.endpoint.answers.clear()
        async with house.open():
            await house.attempts(1)

    async def test_it_may_be_stopped_twice_before_the_start_and_with_nothing_to_do(self, house: House) -> None:
        relay = house.new_relay()
        assert await relay.stop(1) == ()
        await asyncio.wait_for(relay.run(), 10)

        async with house.open():
            assert await house.relay.stop(1) == ()
            assert await house.relay.stop(1) == ()
            await house.running
            house.relay.wake_lanes([RULE])

        assert house.endpoint.received == []

    async def test_being_cancelled_at_any_moment_leaves_everything_to_the_next(self, house: House) -> None:
        await commit(house.client, KEYS, *deliveries(10))

        for turns in range(60):
            running = asyncio.create_task(house.new_relay().run())
            for _ in range(turns):
                await asyncio.sleep(0)
            running.cancel()
            await asyncio.wait([running])
            assert running.cancelled() or turns == 0

        async with house.open():
            await house.idle()
        assert await house.client.zcard(KEYS.delivered) == 10
