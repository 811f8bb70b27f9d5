"""Deliveries over HTTP: lists that a cursor leads through, one in full, and sending again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.notify.committed import CREATED, commit, deliveries, delivery, rule
from tests.support.server import Server
from tests.web.api_server import ApiServer, api_server
from tests.web.invoices import on_server
from witnd.app import deliveries as desk
from witnd.domain.outcomes.partitioning import partition_of
from witnd.domain.values import instant
from witnd.domain.webhooks.delivery import Attempt, EndpointState, Progress, finish_attempt, park, start_attempt
from witnd.domain.webhooks.notification import Delivery, rule_id
from witnd.store.deliveries.outbox import Outbox, Row
from witnd.store.keys import GlobalKeys, Keys

RULES = """
[[notification_rules]]
name = "billing"
source = "both"
url = "http://127.0.0.1:9/hook"

[[notification_rules]]
name = "crm"
source = "both"
url = "http://127.0.0.1:9/hook"
"""
SHARED = GlobalKeys("witn")
OK = Attempt(status=200, duration_ms=12)
REFUSED = Attempt(status=500, reason="responded 500", duration_ms=7, detail="oops")


def delivered(progress: Progress) -> Progress:
    return finish_attempt(start_attempt(progress, CREATED), OK, CREATED, 0.5)


def dead(progress: Progress) -> Progress:
    return finish_attempt(start_attempt(progress, CREATED), REFUSED, CREATED, 0.5, ())


def laid_up(progress: Progress) -> Progress:
    return park(progress, "no use")


def put(api: ApiServer, row: Delivery, step: Callable[[Progress], Progress]) -> None:
    """A delivery that is not pending: the daemon would send that."""
    number = partition_of(row.outcome_key, api.deployment.partitions)
    keys = Keys("witn", number)

    async def write(client: Any) -> None:
        outbox = Outbox(client, keys, SHARED)
        await commit(client, keys, row)
        await client.zrem(keys.outbox(row.rule_id), row.id)
        (known,) = await outbox.rows([row.id])
        assert await outbox.write(row.rule_id, [(known, step(known.progress))]) == [True]

    on_server(api, write)


def waiting(api: ApiServer, row: Delivery, due_ms: int) -> None:
    """A pending one that the daemon does not know of, due some day."""
    keys = Keys("witn", partition_of(row.outcome_key, api.deployment.partitions))

    async def write(client: Any) -> None:
        await commit(client, keys, row)
        await client.zadd(keys.outbox(row.rule_id), {row.id: due_ms})
        await client.srem(keys.outbox_rules, row.rule_id)

    on_server(api, write)


def row_of(api: ApiServer, one: Delivery) -> Row:
    async def read(client: Any) -> Row:
        number = partition_of(one.outcome_key, api.deployment.partitions)
        (row,) = await Outbox(client, Keys("witn", number), SHARED).rows([one.id])
        return row

    return on_server(api, read)


def ids(found: list[Any]) -> list[str]:
    return [one["id"] for one in found]


@pytest.fixture
def told(api: ApiServer) -> ApiServer:
    api.deployment.apply(RULES)
    return api


class TestLists:
    @pytest.mark.parametrize("partitions", [1, 3])
    def test_the_newest_come_first_whatever_partition_rule_or_standing_they_are_of(
        self, session_server: Server, redis_url: str, tmp_path: Path, partitions: int
    ) -> None:
        with api_server(session_server, tmp_path, partitions=partitions) as api:
            api.deployment.apply(RULES)
            rows = deliveries(12) + deliveries(6, name="crm")
            for place, row in enumerate(rows):
                put(api, row, (delivered, dead, laid_up)[place % 3])
            expected = [row.id for row in sorted(rows, key=lambda row: (row.created_ms, row.id), reverse=True)]
            for limit in (1, 4, 18, 100):
                assert ids(api.pages(f"/v1/deliveries?limit={limit}")) == expected

    def test_lists_have_what_is_asked_for(self, told: ApiServer) -> None:
        rows = deliveries(9) + deliveries(3, name="crm")
        steps = (delivered, dead, laid_up)
        for place, row in enumerate(rows):
            put(told, row, steps[place % 3])
        for place, standing in enumerate(("delivered", "dead", "parked")):
            mine = [row for at, row in enumerate(rows) if at % 3 == place]
            found = told.pages(f"/v1/deliveries?standing={standing}&limit=2")
            assert sorted(ids(found)) == sorted(row.id for row in mine)
            assert {one["standing"] for one in found} == {standing}
            of_crm = [row.id for row in mine if row.rule_name == "crm"]
            for name in ("crm", rule("crm").id):
                assert ids(told.pages(f"/v1/deliveries?standing={standing}&rule={name}&limit=2")) == of_crm
        assert len(told.pages("/v1/deliveries?rule=billing&limit=2")) == 9
        assert told.get("/v1/deliveries?standing=pending") == {"data": [], "next_cursor": None}

    def test_pending_ones_come_in_the_order_in_which_they_are_due(self, told: ApiServer) -> None:
        due = 4_000_000_000_000
        rows = deliveries(5)
        for place, row in enumerate(rows):
            waiting(told, row, due - place)
        found = told.pages("/v1/deliveries?standing=pending&limit=2")
        assert ids(found) == [row.id for row in reversed(rows)]
        put(told, delivery(9, created_ms=CREATED + 100), delivered)
        assert ids(told.pages("/v1/deliveries?limit=2"))[:5] == [row.id for row in rows], "by when they are due"

    @pytest.mark.parametrize("count", [7, 250])
    def test_many_of_one_instant_are_each_there_once(self, told: ApiServer, count: int) -> None:
        rows = [delivery(n, created_ms=CREATED) for n in range(count)]

        async def write(client: Any) -> None:
            await commit(client, Keys("witn", 0), *rows)
            await client.delete(Keys("witn", 0).outbox(rows[0].rule_id), Keys("witn", 0).outbox_rules)
            outbox = Outbox(client, Keys("witn", 0), SHARED)
            steps = [(row, dead(row.progress)) for row in await outbox.rows([row.id for row in rows])]
            await outbox.write(rows[0].rule_id, steps)

        on_server(told, write)
        limit = 3 if count < 100 else 37
        assert ids(told.pages(f"/v1/deliveries?standing=dead&limit={limit}")) == sorted(
            (row.id for row in rows), reverse=True
        )

    def test_many_pending_ones_due_at_one_instant_are_each_there_once(self, told: ApiServer) -> None:
        rows = [delivery(n, created_ms=CREATED) for n in range(250)]
        keys = Keys("witn", 0)

        async def write(client: Any) -> None:
            await commit(client, keys, *rows)
            await client.zadd(keys.outbox(rows[0].rule_id), {row.id: 4_000_000_000_000 for row in rows})
            await client.delete(keys.outbox_rules)

        on_server(told, write)
        assert ids(told.pages("/v1/deliveries?standing=pending&limit=37")) == sorted(row.id for row in rows)

    def test_a_cursor_leads_on_when_what_stood_there_is_gone_and_newer_ones_came(self, told: ApiServer) -> None:
        rows = deliveries(6)
        for row in rows:
            put(told, row, dead)
        page = told.get("/v1/deliveries?standing=dead&limit=3")
        last = rows[3]
        assert page["data"][-1]["id"] == last.id
        put(told, delivery(99, created_ms=CREATED + 99), dead)

        async def lose(client: Any) -> None:
            await client.zrem(Keys("witn", 0).dead, last.id)

        on_server(told, lose)
        rest = told.get(f"/v1/deliveries?standing=dead&limit=3&after={page['next_cursor']}")
        assert ids(rest["data"]) == [row.id for row in reversed(rows[:3])]
        assert rest["next_cursor"] is None

    def test_a_request_looks_at_a_bounded_number_and_its_cursor_leads_on(self, told: ApiServer) -> None:
        from witnd.store.deliveries.reads import LOOKED_AT_REQUEST

        many = LOOKED_AT_REQUEST + 50
        rows = [delivery(n, created_ms=CREATED + 1 + n) for n in range(many)]
        rare = delivery(1, name="crm", created_ms=CREATED)

        async def write(client: Any) -> None:
            keys = Keys("witn", 0)
            await commit(client, keys, *rows)
            await client.delete(keys.outbox(rows[0].rule_id), keys.outbox_rules)
            outbox = Outbox(client, keys, SHARED)
            for start in range(0, many, 500):
                known = await outbox.rows([row.id for row in rows[start : start + 500]])
                await outbox.write(rows[0].rule_id, [(row, delivered(row.progress)) for row in known])

        on_server(told, write)
        put(told, rare, delivered)
        first = told.get("/v1/deliveries?rule=crm&standing=delivered")
        assert first["data"] == []
        assert first["next_cursor"] is not None
        assert ids(told.pages("/v1/deliveries?rule=crm&standing=delivered")) == [rare.id]

    def test_those_of_an_outcome_are_found_without_a_list(self, told: ApiServer) -> None:
        mine = [delivery(1), delivery(1, name="crm")]
        put(told, mine[0], delivered)
        put(told, mine[1], dead)
        put(told, delivery(2), delivered)
        path = "/v1/deliveries?outcome_key=ticket-0001"
        assert ids(told.pages(f"{path}&limit=1")) == sorted(row.id for row in mine)
        assert ids(told.pages(f"{path}&standing=dead")) == [mine[1].id]
        assert ids(told.pages(f"{path}&rule=billing")) == [mine[0].id]
        assert told.pages("/v1/deliveries?outcome_key=nothing") == []

    @pytest.mark.parametrize(
        ("query", "path"),
        [("standing=lost", "standing"), ("rule=nobody", "rule"), ("after=x", "after"), ("after=1-", "after"),
         ("after=-1-a", "after"), ("limit=0", "limit"), ("state=dead", "state"),
         ("after=99999999999999999-a", "after")],
    )  # fmt: skip
    def test_a_query_that_cannot_be_meant_is_refused_with_its_path(
        self, told: ApiServer, query: str, path: str
    ) -> None:
        answer = told.ask("GET", f"/v1/deliveries?{query}")
        assert (answer.status, answer.error["details"][0]["path"]) == (400, path)


class TestOne:
    def test_it_has_its_attempts_and_the_body_that_is_sent(self, told: ApiServer) -> None:
        one = delivery(1)
        put(told, one, dead)
        found = told.get(f"/v1/deliveries/{one.id}")
        assert found["rule"] == {"id": one.rule_id, "name": "billing"}
        assert (found["standing"], found["attempts"], found["status"], found["next_at"]) == ("dead", 1, 500, None)
        assert found["body"]["data"]["facts"]["outcomeKey"] == "ticket-0001"
        assert found["history"] == [
            {"at": instant.render(CREATED), "manual": False, "status": 500, "reason": "responded 500", "duration_ms": 7,
             "detail": "oops"}
        ]  # fmt: skip
        assert found["suspended"] is None

    def test_why_its_endpoint_is_suspended_is_told(self, told: ApiServer) -> None:
        one = delivery(1)
        put(told, one, laid_up)

        async def suspend(client: Any) -> None:
            outbox = Outbox(client, Keys("witn", 0), SHARED)
            gone = EndpointState(failing_since=1, suspended_at=2, reason="the endpoint responded 410 Gone")
            assert await outbox.swap_endpoint(one.rule_id, await outbox.endpoint(one.rule_id), gone)

        on_server(told, suspend)
        assert told.get(f"/v1/deliveries/{one.id}")["suspended"] == "the endpoint responded 410 Gone"

    def test_one_that_is_not_there_is_not_found(self, told: ApiServer) -> None:
        for answer in (
            told.ask("GET", f"/v1/deliveries/{'ab' * 32}"),
            told.ask("POST", f"/v1/deliveries/{'ab' * 32}/resend"),
        ):
            assert (answer.status, answer.error["code"]) == (404, "NOT_FOUND")

    def test_one_without_its_message_is_shown_and_not_sent(self, told: ApiServer) -> None:
        one = delivery(1)
        put(told, one, dead)

        async def lose(client: Any) -> None:
            await client.hdel(Keys("witn", 0).deliveries, one.id)

        on_server(told, lose)
        found = told.get(f"/v1/deliveries/{one.id}")
        assert (found["rule"], found["body"]) == (None, None)
        assert told.ask("POST", f"/v1/deliveries/{one.id}/resend").status == 404


class TestResending:
    @pytest.mark.parametrize("step", [delivered, dead, laid_up])
    def test_one_is_queued_under_the_same_id_and_that_is_noted(
        self, told: ApiServer, step: Callable[[Progress], Progress]
    ) -> None:
        one = delivery(1)
        put(told, one, step)
        answer = told.ask("POST", f"/v1/deliveries/{one.id}/resend")
        assert answer.status == 202
        assert answer.json["id"] == one.id
        [note] = [one for one in told.get("/v1/changes")["data"] if one["what"].startswith("delivery.")]
        assert (note["what"], note["key"], note["who"]) == ("delivery.resend", one.id, "token admin")
        assert note["after"]["requested"] is True

    def test_a_range_of_resolutions_is_sent_again(self, told: ApiServer) -> None:
        rows = deliveries(6) + deliveries(2, name="crm")
        for place, row in enumerate(rows):
            put(told, row, (delivered, dead)[place % 2])
        from_, to = instant.render(CREATED + 2), instant.render(CREATED + 5)

        def resent(**more: str) -> int:
            answer = told.ask("POST", "/v1/deliveries/resend", {"from": from_, "to": to, **more})
            assert answer.status == 202, answer.body
            count = answer.json["queued"]
            assert isinstance(count, int)
            return count

        assert resent(standing="parked") == 0
        assert resent(rule="crm") == 1
        assert resent(rule=rule_id("crm")) == 1
        assert told.get("/v1/changes")["data"][0]["after"]["rule"] == "crm"
        assert resent(rule="billing", standing="dead") == 2
        assert resent() == 4
        assert row_of(told, rows[0]).progress.resends == 0, "before the range"
        assert row_of(told, rows[4]).progress.resends == 0, "at its end"
        first = told.get("/v1/changes")["data"][0]
        assert (first["what"], first["after"]["requested"], first["before"]) == ("delivery.resend", True, None)

    def test_a_range_that_holds_too_many_is_refused_whole(
        self, told: ApiServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(desk, "RESENT_MAX", 2)
        for row in deliveries(3):
            put(told, row, dead)
        body = {"from": instant.render(CREATED), "to": instant.render(CREATED + 100)}
        answer = told.ask("POST", "/v1/deliveries/resend", body)
        assert answer.status == 400
        assert "3 deliveries" in answer.error["message"]
        assert row_of(told, delivery(1, created_ms=CREATED + 1)).progress.resends == 0
        assert not [one for one in told.get("/v1/changes")["data"] if one["what"].startswith("delivery.")]

    @pytest.mark.parametrize(
        ("changes", "path"),
        [({"from": "soon"}, "from"), ({"to": "2026-01-01"}, "to"), ({"to": "2020-01-01T00:00:00Z"}, "to"),
         ({"rule": "nobody"}, "rule"), ({"standing": "pending"}, "standing"), ({"standing": "x"}, "standing"),
         ({"all": True}, "all"), ({"from": None}, "from")],
    )  # fmt: skip
    def test_a_range_that_cannot_be_meant_is_refused_with_its_path(
        self, told: ApiServer, changes: dict[str, Any], path: str
    ) -> None:
        body = {"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"} | changes
        answer = told.ask("POST", "/v1/deliveries/resend", body)
        assert (answer.status, answer.error["details"][0]["path"]) == (400, path)

    def test_a_token_for_reading_sends_nothing_again(self, told: ApiServer) -> None:
        assert told.ask("POST", "/v1/deliveries/resend", {}, scope="read").status == 403
        assert told.ask("POST", f"/v1/deliveries/{'ab' * 32}/resend", scope="read").status == 403
        assert told.ask("GET", "/v1/deliveries", scope="ingest").status == 403
