"""The fate of events over HTTP: of one, and lists by fate."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.deployment import LONG_AGO, Deployment
from tests.support.server import Server
from tests.web.api_server import ApiServer
from tests.web.recorded_run import recorded_run, settle
from witnd.domain.outcomes.partitioning import partition_of

IDS: dict[str, str] = {}


def every_fate(deployment: Deployment) -> None:
    def event(name: str, key: str, action: str, after: int, **members: Any) -> None:
        IDS[name] = deployment.event(key, action, after, **members)

    event("applied", "ticket-0001", "replied", 0, idempotency_key="a")
    event("duplicate", "ticket-0001", "replied", 1, idempotency_key="a")
    event("conflict", "ticket-0001", "reopened", 2, idempotency_key="a")
    event("identity", "ticket-0001", "replied", 3, customer_key="penniless")
    event("late", "ticket-0001", "replied", 60_000)
    event("held", "ticket-0002", "replied", 60_001, customer_key="nobody")
    raw = deployment.call("XADD", "witn:{0}:events", f"{LONG_AGO + 60_002}-*", "data", b"\xff" * 3000)
    IDS["rejected"] = raw.decode()


@pytest.fixture
def full(session_server: Server, redis_url: str, tmp_path: Path) -> Iterator[ApiServer]:
    with recorded_run(session_server, tmp_path, every_fate) as opened:
        yield opened


@pytest.mark.parametrize(
    ("name", "fate", "reason", "key"),
    [
        ("applied", "applied", None, "ticket-0001"),
        ("duplicate", "duplicate", None, "ticket-0001"),
        ("conflict", "conflict", None, "ticket-0001"),
        ("identity", "rejected", "IDENTITY_MISMATCH", "ticket-0001"),
        ("late", "late", "OUTCOME_NOT_OPEN", "ticket-0001"),
        ("held", "held", "UNKNOWN_CUSTOMER", "ticket-0002"),
        ("rejected", "rejected", "INVALID_EVENT", None),
    ],
)
def test_every_event_has_a_fate(full: ApiServer, name: str, fate: str, reason: str | None, key: str | None) -> None:
    found = full.get(f"/v1/events/0/{IDS[name]}", scope="read")
    assert (found["id"], found["partition"], found["fate"]) == (IDS[name], 0, fate)
    assert (found["reason"], found["key"]) == (reason, key)
    assert found["accepted_at"].startswith("2001-09-09T01:4")
    assert found["fields"][0][0] == "data"


def test_an_event_that_was_refused_is_shown_whole_when_it_is_asked_for(full: ApiServer) -> None:
    [[_, whole]] = full.get(f"/v1/events/0/{IDS['rejected']}")["fields"]
    assert whole == "\\xff" * 3000
    [listed] = [one for one in full.pages("/v1/events?fate=rejected") if one["id"] == IDS["rejected"]]
    assert listed["message"]
    [[_, cut]] = listed["fields"]
    assert len(cut) == 2001
    assert cut[:-1] == whole[:2000]


def test_what_is_not_read_yet_waits_and_control_entries_have_no_fate(full: ApiServer) -> None:
    tick = full.deployment.call("XADD", "witn:{0}:events", "*", "witnd", "tick").decode()
    settle(full)
    assert full.get(f"/v1/events/0/{tick}")["fate"] == "control"
    # An entry ahead of the server's clock is not read until the clock has reached it.
    ahead = int(tick.partition("-")[0]) + 50_000
    full.deployment.event("ticket-0003", "replied", at=f"{ahead}-0")
    found = full.get(f"/v1/events/0/{ahead}-0")
    assert (found["fate"], found["key"]) == ("waiting", "ticket-0003")


def test_an_applied_event_that_was_trimmed_is_found_by_its_key(full: ApiServer) -> None:
    full.deployment.call("XTRIM", "witn:{0}:events", "MINID", f"{LONG_AGO + 1}-0")
    path = f"/v1/events/0/{IDS['applied']}"
    assert full.ask("GET", path).status == 404
    assert full.get(f"{path}?key=ticket-0001")["fate"] == "applied"
    assert full.ask("GET", f"{path}?key=ticket-0002").status == 404


@pytest.mark.parametrize(
    ("path", "status", "where"),
    [
        ("/v1/events/0/1-1", 404, None),
        ("/v1/events/1/1000000000000-0", 404, None),
        ("/v1/events/0/x", 400, "id"),
        ("/v1/events/0/1", 400, "id"),
        ("/v1/events/0/-1-0", 400, "id"),
        ("/v1/events/x/1000000000000-0", 400, "partition"),
        ("/v1/events/²/1000000000000-0", 400, "partition"),
        ("/v1/events?fate=applied", 400, "fate"),
        ("/v1/events?fate=", 400, "fate"),
        ("/v1/events?after=zzz", 400, "after"),
        ("/v1/events?limit=1000", 400, "limit"),
    ],
)
def test_what_is_not_there_or_not_understood(full: ApiServer, path: str, status: int, where: str | None) -> None:
    answer = full.ask("GET", path.replace("²", "%C2%B2"))
    assert answer.status == status
    if where is not None:
        assert answer.error["details"][0]["path"] == where


def test_lists_have_the_newest_first_and_page_to_the_end(
    session_server: Server, redis_url: str, tmp_path: Path
) -> None:
    def prepare(deployment: Deployment) -> None:
        for n in range(40):
            deployment.event(f"ticket-{n:04}", "replied", n // 10, customer_key="nobody")
            deployment.event(f"ticket-{n:04}", "", n // 10)

    with recorded_run(session_server, tmp_path, prepare, partitions=2) as api:
        held = api.pages("/v1/events?fate=held&limit=100")
        assert {one["key"] for one in held} == {f"ticket-{n:04}" for n in range(40)}
        assert [one["accepted_at"] for one in held] == sorted((one["accepted_at"] for one in held), reverse=True)
        assert api.pages("/v1/events?fate=held&limit=3") == held
        both = api.pages("/v1/events?limit=7")
        assert len(both) == 80
        assert api.pages("/v1/events?fate=held,rejected&limit=7") == both
        assert [one for one in both if one["fate"] == "held"] == held
        key = "ticket-0007"
        [mine] = api.pages(f"/v1/events?key={key}&limit=1")
        assert (mine["key"], mine["partition"]) == (key, partition_of(key, 2))


def test_a_list_of_rare_ones_may_be_short_and_leads_on(full: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("witnd.app.outcomes.fates.LOOKED_AT_MAX", 2)
    page = full.get("/v1/events?key=ticket-0001&limit=10")
    assert page["data"] == []
    assert page["next_cursor"] is None or len(full.pages("/v1/events?key=ticket-0001&limit=10")) == 4


def test_reading_needs_the_scope_for_it(full: ApiServer) -> None:
    assert full.ask("GET", "/v1/events", scope="ingest").status == 403
    assert full.ask("GET", f"/v1/events/0/{IDS['late']}", scope=None).status == 401
