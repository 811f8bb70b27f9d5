"""`witnd deliveries` at a terminal, without a daemon and beside one."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.notify.committed import CREATED, commit, deliveries, delivery, rule
from tests.support.deployment import Deployment
from witnd.domain.outcomes.partitioning import partition_of
from witnd.domain.webhooks.delivery import (
    HEALTHY,
    Attempt,
    EndpointState,
    Progress,
    finish_attempt,
    park,
    start_attempt,
)
from witnd.domain.webhooks.notification import Delivery
from witnd.store.deliveries.outbox import Outbox, Row
from witnd.store.keys import GlobalKeys, Keys
from witnd.store.server.connection import connect

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
REFUSED = Attempt(status=500, reason="responded 500", duration_ms=7, detail="oops\x1b[2J")


def at_outbox(deployment: Deployment, do: Callable[[Any, Outbox], Awaitable[Any]], partition: int = 0) -> Any:
    async def main() -> Any:
        async with connect(deployment.server.url) as client:
            return await do(client, Outbox(client, Keys("witn", partition), SHARED))

    return asyncio.run(main())


def committed(deployment: Deployment, *rows: Delivery) -> None:
    for row in rows:
        keys = Keys("witn", partition_of(row.outcome_key, deployment.partitions))
        at_outbox(deployment, lambda client, _, keys=keys, row=row: commit(client, keys, row))


def moved(deployment: Deployment, one: Delivery, step: Callable[[Progress], Progress]) -> None:
    async def write(_: Any, outbox: Outbox) -> None:
        (row,) = await outbox.rows([one.id])
        assert await outbox.write(one.rule_id, [(row, step(row.progress))]) == [True]

    at_outbox(deployment, write, partition_of(one.outcome_key, deployment.partitions))


def row_of(deployment: Deployment, one: Delivery) -> Row:
    async def read(_: Any, outbox: Outbox) -> Row:
        (row,) = await outbox.rows([one.id])
        return row

    row = at_outbox(deployment, read, partition_of(one.outcome_key, deployment.partitions))
    assert isinstance(row, Row)
    return row


def failed(progress: Progress) -> Progress:
    return finish_attempt(start_attempt(progress, CREATED), REFUSED, CREATED, 0.5)


def dead(progress: Progress) -> Progress:
    return finish_attempt(start_attempt(progress, CREATED), REFUSED, CREATED, 0.5, schedule=[])


def delivered(progress: Progress) -> Progress:
    return finish_attempt(start_attempt(progress, CREATED), OK, CREATED, 0.5)


@pytest.fixture
def four(deployment: Deployment) -> list[Delivery]:
    """One delivery of each standing: pending, delivered, parked, dead, a millisecond apart."""
    deployment.apply(RULES)
    rows = deliveries(4)
    committed(deployment, *rows)
    moved(deployment, rows[0], failed)
    moved(deployment, rows[1], delivered)
    moved(deployment, rows[2], lambda progress: park(progress, "suspended"))
    moved(deployment, rows[3], dead)
    return rows


class TestList:
    def test_bare_it_lists_all_the_newest_first(self, deployment: Deployment, four: list[Delivery]) -> None:
        found = deployment.json("deliveries")["data"]

        assert [one["standing"] for one in found] == ["dead", "parked", "delivered", "pending"]
        assert found[3] == {
            "id": four[0].id,
            "partition": 0,
            "rule": {"id": rule().id, "name": "billing"},
            "subject_key": "ticket-0001",
            "outcome_key": "ticket-0001",
            "type": "outcome_succeed",
            "created_at": "2026-01-01T00:00:00.001Z",
            "standing": "pending",
            "attempts": 1,
            "next_at": "2026-01-01T00:00:05.000Z",
            "status": 500,
            "reason": "responded 500",
        }

    @pytest.mark.parametrize(("state", "number"), [("pending", 0), ("delivered", 1), ("parked", 2), ("dead", 3)])
    def test_by_state(self, deployment: Deployment, four: list[Delivery], state: str, number: int) -> None:
        found = deployment.json("deliveries", "--state", state)["data"]

        assert [one["id"] for one in found] == [four[number].id]

    def test_pending_ones_are_in_the_order_in_which_they_are_due(self, deployment: Deployment) -> None:
        deployment.apply(RULES)
        rows = deliveries(3)
        committed(deployment, *rows)
        moved(deployment, rows[0], failed)

        found = deployment.json("deliveries", "--state", "pending")["data"]

        assert [one["id"] for one in found] == [rows[1].id, rows[2].id, rows[0].id]

    def test_by_rule_and_by_outcome_in_every_partition(self, sharded: Deployment) -> None:
        deployment = sharded
        deployment.apply(RULES)
        rows = [delivery(n, name=name) for n in range(1, 9) for name in ("billing", "crm")]
        committed(deployment, *rows)

        crm = deployment.json("deliveries", "list", "--rule", "crm")["data"]
        by_id = deployment.json("deliveries", "--rule", rule("crm").id)["data"]
        outcome = deployment.json("deliveries", "--key", "ticket-0003")["data"]
        both = deployment.json("deliveries", "--key", "ticket-0003", "--rule", "crm", "--state", "pending")

        assert {one["outcome_key"] for one in crm} == {row.outcome_key for row in rows}
        assert crm == by_id
        assert {one["rule"]["name"] for one in outcome} == {"billing", "crm"}
        assert [one["rule"]["name"] for one in both["data"]] == ["crm"]
        assert deployment.json("deliveries", "--key", "ticket-0003", "--state", "dead")["data"] == []

    def test_no_more_than_the_limit(self, deployment: Deployment) -> None:
        deployment.apply(RULES)
        committed(deployment, *deliveries(5))

        found = deployment.json("deliveries", "--limit", "2")["data"]

        assert [one["outcome_key"] for one in found] == ["ticket-0005", "ticket-0004"]

    def test_pages(self, deployment: Deployment) -> None:
        deployment.apply(RULES)
        rows = deliveries(5)
        committed(deployment, *rows)

        first = deployment.json("deliveries", "--limit", "3")
        rest = deployment.json("deliveries", "--limit", "3", "--after", first["next_cursor"])

        assert {one["id"] for one in first["data"] + rest["data"]} == {row.id for row in rows}
        assert (len(first["data"]), rest["next_cursor"]) == (3, None)
        assert deployment.witnd("deliveries", "--after", "nonsense").exit_code == 2

    def test_people_see_a_table_with_ids_to_copy(self, deployment: Deployment, four: list[Delivery]) -> None:
        done = deployment.witnd("deliveries")

        assert done.exit_code == 0
        header, first, *_ = done.stdout.splitlines()
        assert header.split()[:3] == ["standing", "created", "rule"]
        assert first.startswith("dead")
        assert first.endswith(four[3].id)

    def test_an_unknown_rule_is_a_mistake_that_names_the_known_ones(self, deployment: Deployment) -> None:
        deployment.apply(RULES)

        done = deployment.witnd("deliveries", "--rule", "sales")

        assert done.exit_code == 2
        assert "'sales'; known rules: billing, crm" in done.stderr

    def test_its_help_names_the_other_commands(self, deployment: Deployment) -> None:
        done = deployment.witnd("deliveries", "--help")

        assert done.exit_code == 0
        assert all(name in done.stdout for name in ("list", "show", "resend", "resume"))


class TestShow:
    def test_one_is_shown_with_its_attempts_and_its_body(self, deployment: Deployment, four: list[Delivery]) -> None:
        found = deployment.json("deliveries", "show", four[0].id)

        assert found["body"] == json.loads(four[0].body)
        assert found["suspended"] is None
        assert found["history"] == [
            {
                "at": "2026-01-01T00:00:00.000Z",
                "manual": False,
                "status": 500,
                "reason": "responded 500",
                "duration_ms": 7,
                "detail": "oops\x1b[2J",
            }
        ]

    def test_an_answer_cannot_steer_the_terminal(self, deployment: Deployment, four: list[Delivery]) -> None:
        done = deployment.witnd("deliveries", "show", four[0].id)

        assert done.exit_code == 0
        assert "\x1b" not in done.stdout
        assert "oops\\x1b[2J" in done.stdout

    def test_an_attempt_under_way_says_so(self, deployment: Deployment) -> None:
        deployment.apply(RULES)
        committed(deployment, delivery())
        moved(deployment, delivery(), lambda progress: start_attempt(progress, CREATED))

        found = deployment.json("deliveries", "show", delivery().id)

        assert "no response recorded" in found["history"][0]["reason"]

    def test_a_suspended_endpoint_is_told(self, deployment: Deployment, four: list[Delivery]) -> None:
        suspended = EndpointState(failing_since=1, suspended_at=2, reason="the endpoint responded 410 Gone")
        at_outbox(deployment, lambda _, outbox: outbox.swap_endpoint(rule().id, HEALTHY, suspended))

        assert deployment.json("deliveries", "show", four[2].id)["suspended"] == "the endpoint responded 410 Gone"

    def test_an_unknown_one_is_a_mistake(self, deployment: Deployment) -> None:
        done = deployment.witnd("deliveries", "show", "ab" * 32)

        assert done.exit_code == 2
        assert "no such delivery" in done.stderr

    def test_a_line_of_the_log_goes_to_stderr_and_the_document_stays_json(
        self, deployment: Deployment, four: list[Delivery]
    ) -> None:
        deployment.call("HSET", SHARED.endpoints, rule().id, "xxxx")
        environ = {name: value for name, value in os.environ.items() if not name.startswith("WITND_")}
        done = subprocess.run(
            [sys.executable, "-m", "witnd", "deliveries", "show", four[2].id, "--json"],
            env=environ | deployment.environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert json.loads(done.stdout)["id"] == four[2].id
        assert json.loads(done.stderr)["event"] == "endpoint.unreadable"


class TestResend:
    def test_named_ones_are_queued_wherever_they_stand(self, deployment: Deployment, four: list[Delivery]) -> None:
        done = deployment.json("deliveries", "resend", *(row.id for row in four))

        assert done == {"queued": 4, "missing": []}
        assert [row_of(deployment, row).progress.resends for row in four] == [1, 1, 1, 1]
        outbox = deployment.call("ZRANGE", deployment.keys().outbox(rule().id), 0, -1)
        assert {id_.decode() for id_ in outbox} == {row.id for row in four}

    def test_unknown_ones_are_named_and_the_others_queued(self, deployment: Deployment, four: list[Delivery]) -> None:
        done = deployment.witnd("deliveries", "resend", four[1].id, "unknown")

        assert done.exit_code == 2
        assert "1 queued" in done.stdout
        assert "'unknown'" in done.stderr

    def test_a_range_takes_all_but_pending_ones(self, deployment: Deployment, four: list[Delivery]) -> None:
        span = ("--from", "2026-01-01T00:00:00Z", "--to", "2026-01-01T00:00:00.004Z")

        assert deployment.json("deliveries", "resend", *span)["queued"] == 2
        assert [row_of(deployment, row).progress.resends for row in four] == [0, 1, 1, 0]

    def test_a_range_may_be_of_one_rule(self, deployment: Deployment, four: list[Delivery]) -> None:
        span = ("--from", "2026-01-01T00:00:00Z", "--to", "2027-01-01T00:00:00Z")

        assert deployment.json("deliveries", "resend", *span, "--rule", "crm")["queued"] == 0
        assert deployment.json("deliveries", "resend", *span, "--rule", "billing")["queued"] == 3

    def test_a_range_may_be_of_one_state(self, deployment: Deployment, four: list[Delivery]) -> None:
        span = ("--from", "2026-01-01T00:00:00Z", "--to", "2027-01-01T00:00:00Z")

        assert deployment.json("deliveries", "resend", *span, "--state", "dead")["queued"] == 1
        assert [row_of(deployment, row).progress.resends for row in four] == [0, 0, 0, 1]

    def test_a_range_is_walked_through_by_pages_even_within_one_instant(
        self, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("witnd.store.deliveries.reads.PAGE", 3)
        deployment.apply(RULES)
        rows = [delivery(n, created_ms=CREATED + n // 8) for n in range(20)]
        committed(deployment, *rows)
        for row in rows:
            moved(deployment, row, delivered)
        span = ("--from", "2026-01-01T00:00:00Z", "--to", "2026-01-01T00:00:01Z")

        assert deployment.json("deliveries", "resend", *span)["queued"] == 20
        assert {row_of(deployment, row).progress.resends for row in rows} == {1}

    @pytest.mark.parametrize(
        "arguments",
        [
            (),
            ("--from", "2026-01-01T00:00:00Z"),
            ("x", "--from", "2026-01-01T00:00:00Z", "--to", "2026-01-02T00:00:00Z"),
            ("x", "--rule", "billing"),
            ("x", "--state", "dead"),
            ("--from", "yesterday", "--to", "2026-01-02T00:00:00Z"),
        ],
    )
    def test_ids_and_ranges_do_not_mix(self, deployment: Deployment, arguments: tuple[str, ...]) -> None:
        assert deployment.witnd("deliveries", "resend", *arguments).exit_code == 2


class TestResume:
    def test_it_lifts_the_suspension_and_queues_the_oldest_first(
        self, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("witnd.store.deliveries.reads.PAGE", 2)
        deployment.apply(RULES)
        suspended = EndpointState(failing_since=1, suspended_at=2, reason="gone")
        at_outbox(deployment, lambda _, outbox: outbox.swap_endpoint(rule().id, HEALTHY, suspended))
        rows = deliveries(5)
        committed(deployment, *rows)
        for row in rows:
            moved(deployment, row, lambda progress: park(progress, "suspended"))
        deployment.call("ZADD", deployment.keys().parked(rule().id), 0, "of a row that is gone")

        assert deployment.json("deliveries", "resume", "billing") == {"resumed": 5}

        outbox = deployment.call("ZRANGE", deployment.keys().outbox(rule().id), 0, -1)
        assert [id_.decode() for id_ in outbox] == [row.id for row in rows]
        assert deployment.call("HLEN", SHARED.endpoints) == 0

    def test_with_nothing_parked_there_is_nothing_to_do(self, deployment: Deployment) -> None:
        deployment.apply(RULES)

        done = deployment.witnd("deliveries", "resume", "crm")

        assert (done.exit_code, done.stdout) == (0, "0 resumed\n")

    def test_a_disabled_rule_must_be_enabled_first(self, deployment: Deployment) -> None:
        deployment.apply(RULES)
        deployment.apply(RULES.replace('name = "crm"', 'name = "crm"\nenabled = false'))

        done = deployment.witnd("deliveries", "resume", "crm")

        assert (done.exit_code, "'crm'" in done.stderr) == (2, True)

    def test_an_unknown_rule_is_a_mistake(self, deployment: Deployment) -> None:
        deployment.apply(RULES)

        assert deployment.witnd("deliveries", "resume", "sales").exit_code == 2


def test_a_running_daemon_resends_what_a_command_asks_for(deployment: Deployment) -> None:
    """From the outcome's first event to the attempt that a command in another process asks for."""
    deployment.apply()
    deployment.event("ticket-4711", "replied")

    def attempts() -> int:
        found = deployment.json("deliveries", "--key", "ticket-4711")["data"]
        return found[0]["attempts"] if found else 0

    with deployment.working():
        while attempts() < 1:
            pass
        (one,) = deployment.json("deliveries", "--key", "ticket-4711")["data"]
        assert (one["standing"], one["status"]) == ("pending", None)
        assert "blocked address 127.0.0.1" in one["reason"]
        deployment.witnd("deliveries", "resend", one["id"])
        while attempts() < 2:
            pass

    shown = deployment.json("deliveries", "show", one["id"])
    assert [attempt["manual"] for attempt in shown["history"]] == [False, True]
    assert shown["created_at"] == "2001-09-09T01:47:40.000Z"
