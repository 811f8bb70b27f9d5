"""What Prometheus is told."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.docs.http_api import OF_THE_PROCESS
from tests.support.processes import until
from tests.support.server import Server
from tests.web.api_server import CATALOGUE, ApiServer, api_server
from witnd.domain.values import instant
from witnd.domain.webhooks.delivery import EndpointState
from witnd.store.deliveries.endpoint_codec import encode_endpoint
from witnd.web.http.metrics import METRICS, render

Labels = tuple[tuple[str, str], ...]


def scraped(api: ApiServer) -> dict[tuple[str, Labels], float]:
    answer = api.ask("GET", "/metrics", scope=None)
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = text_string_to_metric_families(answer.body.decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def value(api: ApiServer, name: str, **labels: str) -> float | None:
    return scraped(api).get((name, tuple(sorted(labels.items()))))


def test_every_figure_that_is_told_is_explained_and_every_other_way_round(api: ApiServer) -> None:
    until(lambda: value(api, "witnd_metrics_age_seconds") is not None, "Redis was asked")
    api.ask("GET", "/healthz", scope=None)
    told = {name for name, _ in scraped(api)}
    known = {one for one, figure in METRICS.items() if figure.kind != "summary"} | OF_THE_PROCESS.keys()
    summaries = [one for one, figure in METRICS.items() if figure.kind == "summary"]
    known |= {f"{one}{end}" for one in summaries for end in ("_count", "_sum")}
    assert told == known


def test_labels_have_few_values(api: ApiServer) -> None:
    for number in range(20):
        api.ask("GET", f"/v1/nothing/{number}")
        api.ask("POST", "/v1/events", {"key": f"ticket-{number}", "action": "a", "customer_key": f"c-{number}"})
    routes = {dict(labels)["route"] for name, labels in scraped(api) if name == "witnd_http_requests_total"}
    assert routes == {"(unknown)", "/v1/events", "/metrics"} - ({"/metrics"} if "/metrics" not in routes else set())


def test_events_outcomes_and_lines_are_told_from_the_counters(api: ApiServer) -> None:
    api.deployment.apply(CATALOGUE)
    pinned = {"settles_at": "1970-01-01T00:00:00Z"}
    api.deployment.event("ticket-1", "replied", at="*", properties=pinned)
    api.deployment.event("ticket-2", "other", at="*", properties=pinned)
    api.deployment.event("ticket-3", "replied", at="*", properties={"value": 1})
    api.deployment.event("penniless-1", "replied", at="*", customer_key="penniless")
    until(lambda: value(api, "witnd_outcomes_settled_total", partition="0", state="CONFIRMED") == 1, "it is settled")
    until(lambda: value(api, "witnd_events_held", partition="0") == 1, "all is read")
    found = scraped(api)

    def at(name: str, **labels: str) -> float:
        return found[name, tuple(sorted(labels.items()))]

    assert at("witnd_events_total", partition="0", fate="applied") == 3
    assert at("witnd_outcomes_settled_total", partition="0", state="FAILED") == 1
    assert at("witnd_outcomes_open", partition="0", state="PENDING") == 1
    assert at("witnd_settlement_late_seconds", partition="0") == 0
    assert at("witnd_partitions", state="running") == 1
    assert at("witnd_ready") == 1
    assert at("witnd_commits_total", partition="0") > 0


def test_what_is_sent_over_http_is_counted_by_what_was_told(api: ApiServer) -> None:
    event = {"key": "ticket-4711", "action": "a", "customer_key": "acme"}
    api.ask("POST", "/v1/events", event)
    api.ask("POST", "/v1/events/batch", {"events": [event] * 3})
    api.ask("POST", "/v1/events", {"key": "short"})
    found = scraped(api)
    assert found["witnd_ingest_events_total", (("answer", "taken"),)] == 4
    assert found["witnd_http_requests_total", (("route", "/v1/events"), ("status", "202"))] == 1
    assert found["witnd_http_requests_total", (("route", "/v1/events"), ("status", "400"))] == 1
    assert found["witnd_http_request_seconds_count", (("route", "/v1/events"),)] == 2


def test_a_daemon_tells_nothing_of_partitions_that_another_has(
    session_server: Server, redis_url: str, tmp_path: Path
) -> None:
    with api_server(session_server, tmp_path, partitions=2) as api:
        partitions = {dict(labels)["partition"] for name, labels in scraped(api) if name == "witnd_events_total"}
        assert partitions == {"0", "1"}
        with api_server(session_server, tmp_path, partitions=2, instance="annex") as other:

            def shares() -> list[set[str]]:
                return [
                    {dict(labels)["partition"] for name, labels in scraped(one) if name == "witnd_events_total"}
                    for one in (api, other)
                ]

            until(lambda: shares() == [{"0"}, {"1"}], "each has one partition")
            for one in (api, other):
                assert value(one, "witnd_partitions", state="running") == 1
                assert value(one, "witnd_partitions", state="standby") == 1


@pytest.mark.slow
def test_the_sum_over_two_daemons_counts_every_line_once(
    session_server: Server, redis_url: str, tmp_path: Path
) -> None:
    with api_server(session_server, tmp_path) as owner:
        owner.deployment.apply(CATALOGUE)
        owner.deployment.event("ticket-1", "replied", at="*", properties={"settles_at": "1970-01-01T00:00:00Z"})
        until(lambda: value(owner, "witnd_invoice_lines_total") == 1, "the line is counted", seconds=60)
        until(lambda: value(owner, "witnd_invoice_drafts", state="open") is not None, "drafts are counted")
        with api_server(session_server, tmp_path, instance="annex") as standby:
            until(lambda: value(standby, "witnd_metrics_age_seconds") is not None, "Redis was read", seconds=60)
            exported = {name for name, _ in scraped(standby)}
            assert exported & {name for name, figure in METRICS.items() if figure.owned} == set()


def test_what_waits_outside_of_memory_is_asked_for_apart_from_scrapes(
    server: Callable[..., Server], tmp_path: Path
) -> None:
    own = server()
    soon = instant.parse("9000-01-01T00:00:00Z")
    own.call("ZADD", "witn:{shared}:billing:to_issue", soon, "a", soon + 1, "b")
    suspended = EndpointState(failing_since=1, suspended_at=2, reason="it is gone")
    own.call("HSET", "witn:{shared}:endpoints", "rule", encode_endpoint(suspended))
    with api_server(own, tmp_path) as api:
        until(lambda: value(api, "witnd_metrics_age_seconds") is not None, "Redis was asked")
        assert value(api, "witnd_invoice_drafts", state="to issue") == 2
        assert value(api, "witnd_endpoints_suspended") == 1
        own.call("CONFIG", "RESETSTAT")
        for _ in range(20):
            scraped(api)
        seen = own.call("INFO", "commandstats")
        assert "cmdstat_scan" not in str(seen)
        assert "cmdstat_keys" not in str(seen)
        assert "cmdstat_zcard" not in str(seen), "no scrape asks Redis"


def test_while_redis_is_away_a_scrape_says_that_it_is_late_and_stuck(
    server: Callable[..., Server], tmp_path: Path
) -> None:
    own = server(fsync="always")
    with api_server(own, tmp_path) as api:
        api.deployment.apply(CATALOGUE)
        soon = instant.render(int(time.time() * 1000) + 500)
        api.deployment.event("ticket-1", "replied", at="*", properties={"settles_at": soon})
        until(lambda: value(api, "witnd_outcomes_open", partition="0", state="PENDING") == 1, "it is open")
        own.stop()
        until(lambda: (value(api, "witnd_settlement_late_seconds", partition="0") or 0) > 0.2, "it is late")
        until(lambda: (value(api, "witnd_health_problems") or 0) > 0, "it is stuck")
        assert value(api, "witnd_ready") == 0
        own.start()
        until(
            lambda: value(api, "witnd_outcomes_settled_total", partition="0", state="CONFIRMED") == 1, "it is settled"
        )
        assert value(api, "witnd_settlement_late_seconds", partition="0") == 0


def test_texts_in_labels_cannot_break_the_format() -> None:
    told = render({"witnd_ingest_events_total": [(('a"b\nc\\',), 1)]}).decode()
    [family] = [one for one in text_string_to_metric_families(told) if one.name == "witnd_ingest_events"]
    assert family.samples[0].labels == {"answer": 'a"b\nc\\'}
