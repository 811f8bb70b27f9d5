"""How everything stands, over HTTP."""

from decimal import Decimal
from pathlib import Path

import pytest

from tests.support.deployment import Deployment
from tests.support.processes import until
from tests.support.server import Server
from tests.web.api_server import ApiServer
from tests.web.recorded_run import recorded_run, settle
from witnd.domain.values import instant


def test_an_empty_system_has_nothing_to_tell(api: ApiServer) -> None:
    found = api.get("/v1/overview", scope="read")
    assert found["outcomes"] == {"open": 0, "pending": 0, "confirmed": 0, "missed": 0}
    assert (found["next_due"], found["overdue_ms"], found["problems"], found["lag"]) == (None, 0, 0, 0)
    assert found["ready"]
    assert len(found["days"]) == 30
    assert found["days"][-1]["date"] == found["now"][:10]
    assert found["month"]["since"] == f"{found['now'][:7]}-01T00:00:00.000Z"


@pytest.mark.parametrize("partitions", [1, 2])
def test_outcomes_money_and_days_add_up(
    session_server: Server, redis_url: str, tmp_path: Path, partitions: int
) -> None:
    with session_server.sync() as client:
        now = client.time()[0] * 1000
    # The middle of yesterday, so that opening and settling fall on one day whatever the time is now.
    yesterday = now - now % 86_400_000 - 43_200_000

    def prepare(deployment: Deployment) -> None:
        # An amount beyond what one part of a counter holds.
        for n, quantity in enumerate((3, 2_500_000_000, 0, 1)):
            properties = {"attribution": quantity}
            deployment.event(f"ticket-{n:04}", "replied", at=f"{yesterday + n}-0", properties=properties)
        deployment.event("ticket-0009", "reopened", at=f"{yesterday + 9}-0")
        for n in range(3):
            pin = {"settles_at": instant.render(now + 3_600_000 * (3 - n))}
            deployment.event(f"ticket-01{n:02}", "asked", at="*", agent_key="patient", properties=pin)
        deployment.event("ticket-0201", "replied", at="*", customer_key="nobody")
        deployment.event("ticket-0202", "replied", at="*")

    with recorded_run(session_server, tmp_path, prepare, partitions) as api:
        found = api.get("/v1/overview")
        assert found["outcomes"] == {"open": 3, "pending": 1, "confirmed": 4, "missed": 1}
        assert found["events"] == {
            "applied": 9, "duplicate": 0, "conflict": 0, "reversed": 0, "late": 0, "held": 1, "rejected": 0,
            "waiting": 0,
        }  # fmt: skip
        assert found["next_due"]["key"] == "ticket-0202"
        assert found["overdue_ms"] == 0
        today, before = found["days"][-1], found["days"][-2]
        assert (before["opened"], before["confirmed"], before["missed"], before["unrated"]) == (5, 4, 1, 0)
        lines = [line["amount"] for line in api.pages("/v1/outcomes?status=CONFIRMED")]
        assert before["amounts"] == [{"currency": "EUR", "amount": str(sum(map(Decimal, lines)))}]
        assert before["amounts"][0]["amount"] == "2487500003.99"
        assert (today["opened"], today["confirmed"], today["amounts"]) == (4, 0, [])
        assert found["today"] == {"since": f"{today['date']}T00:00:00.000Z", "outcomes": 0, "unrated": 0, "amounts": []}
        if before["date"][:7] == today["date"][:7]:
            assert found["month"]["amounts"] == before["amounts"]
        # Settled by a pin, so today.
        api.deployment.event("ticket-0202", "replied", at="*", properties={"settles_at": "2001-01-01T00:00:00Z"})
        until(lambda: api.get("/v1/overview")["today"]["outcomes"] == 1, "it settles")
        settle(api)
        assert api.get("/v1/overview")["today"]["amounts"] == [{"currency": "EUR", "amount": "1.00"}]
        assert api.get("/v1/overview?days=1")["days"] == api.get("/v1/overview")["days"][-1:]
        assert len(api.get("/v1/overview?days=366")["days"]) == 366


@pytest.mark.parametrize("days", ["0", "367", "x", "-1"])
def test_days_have_bounds(api: ApiServer, days: str) -> None:
    answer = api.ask("GET", f"/v1/overview?days={days}")
    assert (answer.status, answer.error["details"][0]["path"]) == (400, "days")


def test_reading_needs_the_scope_for_it(api: ApiServer) -> None:
    for path in ("/v1/overview", "/v1/problems"):
        assert api.ask("GET", path, scope="ingest").status == 403
        assert api.ask("GET", path, scope=None).status == 401
