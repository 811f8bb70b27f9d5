"""Outcomes over HTTP: lists by every filter, one in full, asking again."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.deployment import CATALOGUE, Deployment
from tests.support.processes import until
from tests.support.server import Server
from tests.web.api_server import ApiServer
from tests.web.recorded_run import recorded_run, settle
from witnd.app import paging as asking
from witnd.app.outcomes import view as told
from witnd.domain.outcomes.partitioning import partition_of
from witnd.store.keys import Keys

ODD = ["odd/1/2?x=1&y", "odd/1%2Fé漢字🎉", "odd/1 \t\u0000\u007f", 'odd/1"\\*[]', "odd/1\U0010ffff~~", "odd/2-other"]


def names(found: list[dict[str, Any]]) -> list[str]:
    return [one["key"] for one in found]


def some(deployment: Deployment) -> None:
    """Two confirmed, one missed, one pending, one open, one held."""
    deployment.event("ticket-0001", "replied", 0, properties={"attribution": 3})
    deployment.event("ticket-0002", "replied", 1)
    deployment.event("ticket-0003", "replied", 2)
    deployment.event("ticket-0003", "reopened", 3)
    deployment.event("ticket-0004", "rated", agent_key="patient", properties={"value": 5}, at="*")
    deployment.event("ticket-0005", "asked", agent_key="patient", at="*")
    deployment.event("ticket-0006", "asked", customer_key="penniless", at="*")
    deployment.event("ticket-0006", "replied", customer_key="penniless", at="*")


@pytest.fixture
def full(session_server: Server, redis_url: str, tmp_path: Path) -> Iterator[ApiServer]:
    with recorded_run(session_server, tmp_path, some) as opened:
        yield opened


def test_the_list_has_the_newest_first_with_what_each_is(full: ApiServer) -> None:
    found = full.get("/v1/outcomes", scope="read")
    assert names(found["data"]) == [f"ticket-000{n}" for n in (5, 4, 3, 2, 1)]
    assert found["next_cursor"] is None
    assert found["data"][-1] == {
        "key": "ticket-0001",
        "partition": 0,
        "status": "CONFIRMED",
        "scheduled_resolution": None,
        "customer_key": "acme",
        "agent_key": "support",
        "opened_at": "2001-09-09T01:46:40.000Z",
        "settles_at": "2001-09-09T01:47:40.000Z",
        "processed_at": found["data"][-1]["processed_at"],
        "events_count": 1,
        "unit": "3",
        "amount": "2.99",
        "currency": "EUR",
        "grade": None,
        "reversed_at": None,
    }
    assert found["data"][1]["scheduled_resolution"] == "CONFIRMED"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("status=missed", [3]),
        ("status=FAILED", [3]),
        ("status=Failed", [3]),
        ("status=OPEN,PENDING", [5, 4]),
        ("status=CONFIRMED&agent_key=support", [2, 1]),
        ("agent_key=patient", [5, 4]),
        ("agent_key=nobody", []),
        ("customer_key=acme", [5, 4, 3, 2, 1]),
        ("customer_key=acme&status=missed", [3]),
        ("customer_key=penniless", []),
        ("key=ticket-0002", [2]),
        ("key=ticket-0002&status=OPEN", []),
        ("key=ticket-000", []),
        ("key=ticket-0006", []),
        ("prefix=ticket-", [1, 2, 3, 4, 5]),
        ("prefix=ticket-0003", [3]),
        ("prefix=&status=PENDING", [4]),
        ("prefix=Ticket", []),
    ],
)
def test_the_list_is_filtered(full: ApiServer, query: str, found: list[int]) -> None:
    assert names(full.pages(f"/v1/outcomes?{query}")) == [f"ticket-000{n}" for n in found]
    assert names(full.pages(f"/v1/outcomes?{query}&limit=1")) == [f"ticket-000{n}" for n in found]


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("status=SETTLED", "status"),
        ("status=", "status"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=x", "limit"),
        ("key=a&prefix=b", "prefix"),
        ("colour=red", "colour"),
        ("after=", "after"),
        ("after=x", "after"),
        ("after=!!", "after"),
        ("after=%C3%A9", "after"),
        ("after=MTI6MDphYg==", "after"),  # with padding, which no list writes
        ("after=MTI6OTphYg", "after"),  # 12:9:ab, and there is no partition 9
        ("after=LTE6MDphYg", "after"),  # -1:0:ab
        ("after=" + "MTI6MDphYg" * 300, "after"),
        ("prefix=ticket-0001&after=MDowOnRpY2tldC05", "after"),  # 0:0:ticket-9
    ],
)
def test_what_no_list_understands_is_refused_with_its_path(full: ApiServer, query: str, path: str) -> None:
    answer = full.ask("GET", f"/v1/outcomes?{query}")
    assert (answer.status, answer.error["code"]) == (400, "VALIDATION_ERROR")
    assert [detail["path"] for detail in answer.error["details"]] == [path]


def test_reading_needs_the_scope_for_it(full: ApiServer) -> None:
    assert full.ask("GET", "/v1/outcomes", scope="ingest").status == 403
    assert full.ask("GET", "/v1/outcomes/ticket-0001", scope=None).status == 401
    assert full.ask("POST", "/v1/outcomes/ticket-0006/retry", scope="read").status == 403


def test_pages_fit_together_over_partitions_and_equal_instants(
    session_server: Server, redis_url: str, tmp_path: Path
) -> None:
    keys = [f"ticket-{n:04}" for n in range(120)]

    def prepare(deployment: Deployment) -> None:
        for n, key in enumerate(keys):
            deployment.event(key, "replied" if n % 3 else "reopened", n // 40)

    with recorded_run(session_server, tmp_path, prepare, partitions=2) as api:
        all_ = api.pages("/v1/outcomes?limit=100")
        assert sorted(names(all_)) == keys
        assert {one["partition"] for one in all_} == {0, 1}
        opened = [one["opened_at"] for one in all_]
        assert opened == sorted(opened, reverse=True)
        assert api.pages("/v1/outcomes?limit=7") == all_
        missed = [one for one in all_ if one["status"] == "FAILED"]
        assert api.pages("/v1/outcomes?status=missed&limit=3") == missed
        assert len(missed) == 40
        assert api.pages("/v1/outcomes?customer_key=acme&limit=11") == all_
        assert names(api.pages("/v1/outcomes?prefix=ticket-00&limit=9")) == keys[:100]
        assert all(one["partition"] == partition_of(one["key"], 2) for one in all_)


def test_no_outcome_is_left_out_or_comes_twice_while_they_change(
    session_server: Server, redis_url: str, tmp_path: Path
) -> None:
    def prepare(deployment: Deployment) -> None:
        for n in range(60):
            deployment.event(f"ticket-{n:04}", "asked", agent_key="patient", at="*")

    with recorded_run(session_server, tmp_path, prepare, partitions=2) as api:
        found: list[str] = []
        after = ""
        for page in range(100):
            answer = api.get(f"/v1/outcomes?limit=5{after}")
            found += names(answer["data"])
            if answer["next_cursor"] is None:
                break
            after = f"&after={answer['next_cursor']}"
            # Some become pending, one is new: older ones and newer ones than the page.
            for n in (page, 59 - page):
                properties = {"value": 5}
                api.deployment.event(f"ticket-{n:04}", "rated", agent_key="patient", at="*", properties=properties)
            api.deployment.event(f"newer-{page:04}", "asked", agent_key="patient", at="*")
            settle(api)
        assert sorted(found) == [f"ticket-{n:04}" for n in range(60)]
        assert len(api.pages("/v1/outcomes?status=PENDING")) == 22


def test_keys_of_any_characters_are_found_listed_and_read(
    session_server: Server, redis_url: str, tmp_path: Path
) -> None:
    def prepare(deployment: Deployment) -> None:
        for n, key in enumerate(ODD):
            deployment.event(key, "replied", n)

    with recorded_run(session_server, tmp_path, prepare, partitions=2) as api:
        assert names(api.pages("/v1/outcomes?limit=1")) == ODD[::-1]
        assert names(api.pages("/v1/outcomes?prefix=odd/&limit=1")) == sorted(ODD, key=str.encode)
        assert names(api.pages(f"/v1/outcomes?prefix={quote('odd/1', safe='')}&limit=2")) == sorted(
            ODD[:5], key=str.encode
        )
        for key in ODD:
            whole = quote(key, safe="")
            assert names(api.get(f"/v1/outcomes?prefix={whole}")["data"]) == [key]
            assert names(api.get(f"/v1/outcomes?key={whole}")["data"]) == [key]
            assert api.get(f"/v1/outcomes/{whole}")["key"] == key
        assert api.ask("GET", "/v1/outcomes/%ff").status == 400


def test_a_page_ends_where_enough_was_looked_at_and_leads_on(full: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("witnd.app.outcomes.list.LOOKED_AT_MAX", 2)
    assert asking.LOOKED_AT_MAX > 2
    page = full.get("/v1/outcomes?agent_key=support&limit=10")
    assert page["data"] == []
    assert page["next_cursor"] is not None
    assert names(full.pages("/v1/outcomes?agent_key=support&limit=10")) == [f"ticket-000{n}" for n in (3, 2, 1)]


def test_an_outcome_in_full_tells_its_events_and_why(full: ApiServer) -> None:
    found = full.get("/v1/outcomes/ticket-0003", scope="read")
    assert (found["key"], found["partition"], found["outcome"]["status"]) == ("ticket-0003", 0, "FAILED")
    first, second = found["story"]["events"]
    assert [(leaf["holds"], leaf["flipped"]) for leaf in first["leaves"]] == [(True, True), (True, False)]
    assert [(leaf["holds"], leaf["flipped"]) for leaf in second["leaves"]] == [(True, False), (False, True)]
    assert (first["status"], second["settles_at"]) == ("PENDING", "2001-09-09T01:47:40.003Z")
    assert found["story"]["why"].startswith("Missed, because event 1000000000003-0 ended the condition")
    assert found["resolution"]["type"] == "outcome_failed"
    assert (found["line"], found["invoice"], found["events_next_cursor"]) == (None, None, None)
    assert [one["rule"] for one in found["deliveries"]] == ["crm"]
    assert found["terms"]["price_per_unit"] == "0.995"
    assert found["terms"]["condition"][0] == {"fact": "replied", "operator": "seen"}
    assert found["held"] == []


def test_a_confirmed_outcome_names_its_line_and_the_invoice_it_is_on(full: ApiServer) -> None:
    def there() -> bool:
        return full.get("/v1/outcomes/ticket-0001")["invoice"] is not None

    until(there, "the line is on an invoice")
    found = full.get("/v1/outcomes/ticket-0001")
    assert found["line"]["amount"] == "2.99"
    assert found["invoice"]["period_start"] == "2001-09-01T00:00:00.000Z"
    assert found["invoice"]["amount"] == "2.99"
    assert full.get(f"/v1/invoices/{found['invoice']['id']}")["customer_key"] == "acme"


def test_of_a_pending_outcome_it_is_told_what_it_would_become(full: ApiServer) -> None:
    found = full.get("/v1/outcomes/ticket-0004")
    assert found["outcome"]["scheduled_resolution"] == "CONFIRMED"
    assert found["story"]["why"].startswith("Pending, because the condition holds since event")
    assert (found["resolution"], found["line"], found["deliveries"]) == (None, None, [])


def test_a_key_with_held_events_only_tells_them(full: ApiServer) -> None:
    found = full.get("/v1/outcomes/ticket-0006")
    assert (found["outcome"], found["story"], found["terms"]) == (None, None, None)
    assert [(one["action"], one["reason"]) for one in found["held"]] == [
        ("asked", "NO_RATE_CARD"),
        ("replied", "NO_RATE_CARD"),
    ]


def test_a_key_that_nobody_used_is_not_found(full: ApiServer) -> None:
    answer = full.ask("GET", "/v1/outcomes/ticket-9999")
    assert (answer.status, answer.error["code"]) == (404, "NOT_FOUND")
    assert full.ask("GET", "/v1/outcomes/ticket-0001?events_after=x").error["details"][0]["path"] == "events_after"


def test_of_many_events_the_last_are_told_and_any_others_behind_a_cursor(
    session_server: Server, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(told, "EVENTS_MOST", 10)

    def prepare(deployment: Deployment) -> None:
        for n in range(35):
            deployment.event("ticket-0001", "replied" if n == 3 else f"noted-{n}", n)

    with recorded_run(session_server, tmp_path, prepare) as api:
        found = api.get("/v1/outcomes/ticket-0001")
        assert found["outcome"]["events_count"] == 35
        assert [one["action"] for one in found["story"]["events"]] == [f"noted-{n}" for n in range(25, 35)]
        assert found["events_next_cursor"] is None
        # What came before those that are told counts all the same.
        assert found["story"]["events"][0]["leaves"][0]["holds"]
        assert "since event 1000000000003-0" in found["story"]["why"]
        events: list[Any] = []
        after = "0-0"
        while after is not None:
            page = api.get(f"/v1/outcomes/ticket-0001?events_after={after}")
            assert page["story"]["why"] == found["story"]["why"]
            events += page["story"]["events"]
            after = page["events_next_cursor"]
        assert [one["entry"] for one in events] == [f"{1_000_000_000_000 + n}-0" for n in range(35)]
        assert events[25:] == found["story"]["events"]
        monkeypatch.setattr(told, "COUNTED_MOST", 30)
        short = api.get("/v1/outcomes/ticket-0001")
        assert (short["story"], short["outcome"], short["line"]) == (None, found["outcome"], found["line"])


def test_held_events_are_asked_for_again(full: ApiServer) -> None:
    answer = full.ask("POST", "/v1/outcomes/ticket-0006/retry")
    assert answer.status == 202
    assert (answer.json["key"], answer.json["partition"]) == ("ticket-0006", 0)
    [[_, fields]] = full.deployment.call("XRANGE", "witn:{0}:events", answer.json["id"], answer.json["id"])
    assert fields == {b"witnd": b"retry", b"key": b"ticket-0006"}
    [[_, noted]] = full.deployment.call("XREVRANGE", "witn:{shared}:changes", "+", "-", "COUNT", 1)
    assert json.loads(noted[b"data"])["what"] == "outcome.retry"
    settle(full)
    assert len(full.get("/v1/outcomes/ticket-0006")["held"]) == 2
    priced = CATALOGUE.replace('key = "penniless"\n', 'key = "penniless"\nrate_card = "standard"\n')
    full.deployment.apply(priced)
    full.ask("POST", "/v1/outcomes/ticket-0006/retry")

    def placed() -> bool:
        return full.get("/v1/outcomes/ticket-0006")["outcome"] is not None

    until(placed, "the held events are placed")
    assert names(full.pages("/v1/outcomes?customer_key=penniless")) == ["ticket-0006"]


def test_held_events_that_are_placed_between_two_reads_are_found_as_an_outcome(
    full: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, reads = told.read_outcome, []

    async def not_yet(*given: Any) -> Any:
        reads.append(given)
        return None if len(reads) == 1 else await read(*given)

    monkeypatch.setattr(told, "read_outcome", not_yet)
    assert full.get("/v1/outcomes/ticket-0001")["outcome"]["key"] == "ticket-0001"
    assert len(reads) == 2


@pytest.mark.parametrize("key", ["ticket-0001", "ticket-9999", "short"])
def test_what_is_not_held_is_not_asked_for_again(full: ApiServer, key: str) -> None:
    length = full.deployment.call("XLEN", Keys("witn", 0).events)
    answer = full.ask("POST", f"/v1/outcomes/{key}/retry")
    assert (answer.status, answer.error["code"]) == (404, "NOT_FOUND")
    assert full.deployment.call("XLEN", Keys("witn", 0).events) == length
