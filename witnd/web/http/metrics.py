"""Metrics for Prometheus: delays, blocked work and billed amounts.

What each figure is called and means stands here; `witnd.daemon.metrics` knows the values. Labels have few values:
partitions, states, routes, statuses. No keys, customers or tokens.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from witnd import __version__

Kind: TypeAlias = Literal["counter", "gauge", "summary"]
# The values of the labels, and the number; of a summary how many and their sum.
Sample: TypeAlias = tuple[Sequence[str], float | tuple[float, float]]


class MetricSpec(NamedTuple):
    """A metric. `owned`: only the daemon that owns the partition, or makes the invoices, exports it. A sum over
    daemons then counts everything once."""

    kind: Kind
    says: str
    labels: tuple[str, ...] = ()
    owned: bool = False


METRICS: Final[Mapping[str, MetricSpec]] = {
    "witnd_build_info": MetricSpec("gauge", "Always 1. The label `version` is the version of witnd.", ("version",)),
    "witnd_ready": MetricSpec(
        "gauge", "1 if the daemon processes events and settles outcomes, else 0. Same as `/readyz`."
    ),
    "witnd_health_problems": MetricSpec(
        "gauge", "Current health problems that block processing. `/readyz` lists them."
    ),
    "witnd_alarms": MetricSpec(
        "gauge", "Current failures that do not block settlement, such as the journal. `/readyz` lists them."
    ),
    "witnd_task_failures_total": MetricSpec(
        "counter", "Unexpected errors after which a task restarted, by task.", ("task",)
    ),
    "witnd_partitions": MetricSpec(
        "gauge", "Partitions by state in this daemon: starting, running, standby, stopped.", ("state",)
    ),
    "witnd_events_total": MetricSpec("counter", "Events by fate.", ("partition", "fate"), owned=True),
    "witnd_events_held": MetricSpec("gauge", "Held events.", ("partition",), owned=True),
    "witnd_outcomes_open": MetricSpec(
        "gauge", "Outcomes that are not final, by state: OPEN, PENDING.", ("partition", "state"), owned=True
    ),
    "witnd_outcomes_settled_total": MetricSpec(
        "counter", "Final outcomes by state: CONFIRMED, FAILED.", ("partition", "state"), owned=True
    ),
    "witnd_settlement_late_seconds": MetricSpec(
        "gauge", "How late the first due outcome is; 0 if none is due.", ("partition",), owned=True
    ),
    "witnd_log_time_seconds": MetricSpec(
        "gauge", "Unix time up to which the log is processed.", ("partition",), owned=True
    ),
    "witnd_commits_total": MetricSpec(
        "counter", "Commits of the partition. Grows while events arrive.", ("partition",), owned=True
    ),
    "witnd_outcomes_in_memory": MetricSpec("gauge", "Outcomes in memory.", ("partition",), owned=True),
    "witnd_log_lag_events": MetricSpec(
        "gauge", "Accepted events that are not yet processed, in this daemon's partitions.", owned=True
    ),
    "witnd_invoice_lines_total": MetricSpec(
        "counter",
        "Invoice lines in this daemon's partitions. At rest, equal to the number of confirmed outcomes.",
        owned=True,
    ),
    "witnd_deliveries": MetricSpec(
        "gauge",
        "Unfinished deliveries in this daemon's partitions: queued, parked at a suspended endpoint, dead.",
        ("state",),
        owned=True,
    ),
    "witnd_outcomes_unqueued": MetricSpec(
        "gauge",
        "Final outcomes in this daemon's partitions whose deliveries are not queued yet.",
        owned=True,
    ),
    "witnd_endpoints_suspended": MetricSpec(
        "gauge", "Suspended endpoints. witnd sends nothing to them until you resume them.", owned=True
    ),
    "witnd_endpoints_failing": MetricSpec(
        "gauge", "Endpoints whose last attempt failed, including suspended ones.", owned=True
    ),
    "witnd_invoice_period_waiting_seconds": MetricSpec(
        "gauge", "Time since the end of the oldest period that is not closed; 0 if none waits.", owned=True
    ),
    "witnd_invoice_drafts": MetricSpec(
        "gauge", "Draft invoices by state: open, or closed and waiting for issue.", ("state",), owned=True
    ),
    "witnd_metrics_age_seconds": MetricSpec(
        "gauge", "Age of the metrics that are read from Redis: lines, deliveries, endpoints, drafts."
    ),
    "witnd_ingest_events_total": MetricSpec(
        "counter",
        "Events over HTTP by result: taken, rejected (not in the log), unconfirmed (unknown).",
        ("answer",),
    ),
    "witnd_log_lines_dropped_total": MetricSpec(
        "counter", "Dropped log lines: nobody read them in time, or the daemon could not write them."
    ),
    "witnd_http_requests_total": MetricSpec(
        "counter",
        "Requests by route and status. `(unknown)`: no such route. `(malformed)`: not HTTP.",
        ("route", "status"),
    ),
    "witnd_http_request_seconds": MetricSpec("summary", "Duration of requests, by route.", ("route",)),
}


def render(samples: Mapping[str, Iterable[Sample]]) -> bytes:
    """Return the metrics as text. A metric without samples is left out."""
    return generate_latest(_Given(samples))


class _Given(Collector):
    def __init__(self, samples: Mapping[str, Iterable[Sample]]) -> None:
        self._samples = {"witnd_build_info": [((__version__,), 1.0)], **samples}

    def collect(self) -> Iterator[Metric]:
        for name, samples in self._samples.items():
            yield _family(name, METRICS[name], samples)
        yield from ProcessCollector(registry=None).collect()


def _family(name: str, figure: MetricSpec, samples: Iterable[Sample]) -> Metric:
    if figure.kind == "summary":
        summary = SummaryMetricFamily(name, figure.says, labels=figure.labels)
        for labels, both in samples:
            assert isinstance(both, tuple), name
            summary.add_metric(labels, count_value=int(both[0]), sum_value=both[1])
        return summary
    make = CounterMetricFamily if figure.kind == "counter" else GaugeMetricFamily
    family = make(name, figure.says, labels=figure.labels)
    for labels, value in samples:
        assert not isinstance(value, tuple), name
        family.add_metric(labels, value)
    return family
