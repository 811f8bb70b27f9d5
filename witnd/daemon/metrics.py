"""Collect the values of metrics. A few are read from Redis at intervals, none by a scrape."""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple, cast

from redis.asyncio import Redis

from witnd.app.daemon_services import Health
from witnd.clock import Clock
from witnd.daemon.partition.owner import Owner
from witnd.daemon.side_task import SideTask
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.webhooks.notification import rule_id
from witnd.store.deliveries.endpoint_codec import decode_endpoint
from witnd.store.errors import StoreRefused, StoreUnavailable
from witnd.store.keys import BillingKeys, GlobalKeys, Keys
from witnd.store.log.appender import Appender
from witnd.store.server.connection import redis_errors
from witnd.telemetry import dropped_lines
from witnd.web.http.metrics import Sample
from witnd.web.http.server import Server

# Interval of reads from Redis: some constant-time commands for each rule and partition.
READ_SECONDS: Final = 10.0
# Final fates of events.
_FATES: Final = ("applied", "duplicate", "conflict", "reversed", "late", "rejected")


class _Waiting(NamedTuple):
    """Counts of one partition that are not in memory, or of the invoices. `lines` counts all lines ever written."""

    lines: int
    queued: int
    parked: int
    dead: int
    unqueued: int


_NOTHING: Final = _Waiting(0, 0, 0, 0, 0)


class Backlog:
    """Reads counts from Redis: `run()` until cancelled."""

    def __init__(self, client: Redis, shared: GlobalKeys, partitions: Sequence[Keys], clock: Clock) -> None:
        self.of_partitions: list[_Waiting] = []
        self._of_billing = _NOTHING
        self.samples: dict[str, list[Sample]] = {}  # without a partition
        self.read_at: float | None = None  # on the monotonic clock
        self._client = client
        self._shared = shared
        self._partitions = partitions
        self._billing = BillingKeys(shared.prefix)
        self._clock = clock
        self._period_ended: int | None = None

    async def run(self, catalogue: Catalogue) -> None:
        while True:
            with contextlib.suppress(StoreUnavailable, StoreRefused):  # the caller that needs Redis logs it
                await self._look([rule_id(name) for name in catalogue.keys("notification_rule")])
                self.read_at = self._clock.monotonic()
            await asyncio.sleep(READ_SECONDS)

    @property
    def waiting_seconds(self) -> float:
        """Return the time since the end of the first period that is not closed."""
        ended = self._period_ended
        return 0.0 if ended is None else max(0.0, (self._clock.now_ms() - ended) / 1000)

    async def _look(self, rules: Sequence[str]) -> None:
        with redis_errors():
            async with self._client.pipeline(transaction=False) as asked:
                asked.hvals(self._shared.endpoints)
                asked.zrange(self._billing.open, 0, 0, withscores=True)
                asked.zcard(self._billing.open)
                asked.zcard(self._billing.to_issue)
                asked.zcard(self._billing.dead)
                for rule in rules:
                    asked.zcard(self._billing.outbox(rule))
                    asked.zcard(self._billing.parked(rule))
                for keys in self._partitions:
                    asked.xinfo_stream(keys.lines)
                    asked.zcard(keys.dead)
                    asked.hlen(keys.unqueued)
                    for rule in rules:
                        asked.zcard(keys.outbox(rule))
                        asked.zcard(keys.parked(rule))
                found = cast("list[object]", await asked.execute(raise_on_error=False))
        endpoints, first, drafts, closed, dead_events = found[:5]
        start = 5 + 2 * len(rules)
        events = found[5:start]
        self._of_billing = _NOTHING._replace(
            queued=sum(map(_number, events[::2])), parked=sum(map(_number, events[1::2])), dead=_number(dead_events)
        )
        # A reply can be an error, for example while the server is loading.
        states = [decode_endpoint(record) for record in endpoints] if isinstance(endpoints, list) else []
        self._period_ended = int(first[0][1]) if isinstance(first, list) and first else None
        each = 3 + 2 * len(rules)
        rest = [found[at : at + each] for at in range(start, len(found), each)]
        self.of_partitions = [
            _Waiting(
                lines=int(info["entries-added"]) if isinstance(info, dict) else 0,
                queued=sum(map(_number, queues[::2])),
                parked=sum(map(_number, queues[1::2])),
                dead=_number(dead),
                unqueued=_number(unqueued),
            )
            for info, dead, unqueued, *queues in rest
        ]
        self.samples = {
            "witnd_endpoints_suspended": [((), sum(state.suspended for state in states))],
            "witnd_endpoints_failing": [((), sum(state.failing_since is not None for state in states))],
            "witnd_invoice_drafts": [(("open",), _number(drafts)), (("to issue",), _number(closed))],
        }

    def _sums(self, numbers: Sequence[int], *, is_billing: bool) -> dict[str, list[Sample]]:
        """Return metrics summed over these partitions, and the invoices."""
        parts = [self.of_partitions[number] for number in numbers] + ([self._of_billing] if is_billing else [])
        return {
            "witnd_invoice_lines_total": [((), sum(one.lines for one in parts))],
            "witnd_deliveries": [
                (("queued",), sum(one.queued for one in parts)),
                (("parked",), sum(one.parked for one in parts)),
                (("dead",), sum(one.dead for one in parts)),
            ],
            "witnd_outcomes_unqueued": [((), sum(one.unqueued for one in parts))],
        }

    def samples_of(self, numbers: Sequence[int], *, is_billing: bool) -> dict[str, list[Sample]]:
        """Return the metrics of the owned partitions, and of the invoices if this daemon makes them. So a sum over
        all daemons counts everything once."""
        if self.read_at is None:
            return {}
        found: dict[str, list[Sample]] = {"witnd_metrics_age_seconds": [((), self._clock.monotonic() - self.read_at)]}
        if numbers or is_billing:
            found |= self._sums(numbers, is_billing=is_billing)
        if is_billing:
            found |= self.samples
            found["witnd_invoice_period_waiting_seconds"] = [((), self.waiting_seconds)]
        return found


def _number(answer: object) -> int:
    return answer if isinstance(answer, int) else 0


def collect_samples(
    owners: Sequence[Owner],
    health: Health,
    lag: Sequence[int],
    backlog: Backlog,
    appender: Appender,
    server: Server,
    clock: Clock,
    sides: Sequence[SideTask],
    *,
    is_billing: bool,
) -> Mapping[str, Sequence[Sample]]:
    """Return all current metrics. `lag`: by partition."""
    running = [owner.number for owner in owners if owner.state == "running"]
    found: dict[str, list[Sample]] = {
        "witnd_ready": [((), float(health.ready and not health.troubles))],
        "witnd_health_problems": [((), len(health.troubles))],
        "witnd_alarms": [((), len(health.alarms))],
        "witnd_task_failures_total": [((kind,), failures) for kind, failures in _failures(sides).items()],
        "witnd_partitions": [((state,), count) for state, count in health.partitions.items()],
        "witnd_log_lines_dropped_total": [((), dropped_lines())],
        "witnd_ingest_events_total": [((answer,), count) for answer, count in appender.answers.items()],
        "witnd_http_requests_total": [((at, str(status)), n) for (at, status), n in sorted(server.requests.items())],
        "witnd_http_request_seconds": [((name,), took) for name, took in _duration_samples(server)],
    }
    for owner in owners:
        for name, sample in _partition_samples(owner, clock.now_ms()):
            found.setdefault(name, []).append(sample)
    if running:
        found["witnd_log_lag_events"] = [((), sum(lag[number] for number in running))]
    return found | backlog.samples_of(running, is_billing=is_billing)


def _failures(sides: Sequence[SideTask]) -> dict[str, int]:
    found: dict[str, int] = {}
    for side in sides:
        found[side.kind] = found.get(side.kind, 0) + side.failures
    return found


def _duration_samples(server: Server) -> Iterator[tuple[str, tuple[float, float]]]:
    for name, seconds in sorted(server.seconds.items()):
        yield name, (sum(count for (route, _), count in server.requests.items() if route == name), seconds)


def _partition_samples(owner: Owner, now_ms: int) -> Iterator[tuple[str, Sample]]:
    """Yield the metrics of a partition if this daemon owns it."""
    if owner.state != "running" or owner.memory is None or owner.pipeline is None:
        return
    number, partition = str(owner.number), owner.memory.partition
    counters = partition.counters
    for fate in _FATES:
        yield "witnd_events_total", ((number, fate), counters[fate])
    yield "witnd_events_held", ((number,), counters["held"])
    for state in ("OPEN", "PENDING"):
        yield "witnd_outcomes_open", ((number, state), counters[state])
    for state in ("CONFIRMED", "FAILED"):
        yield "witnd_outcomes_settled_total", ((number, state), counters[state])
    first = partition.deadlines.peek()
    late = 0.0 if first is None else max(0.0, (now_ms - first[0]) / 1000)
    yield "witnd_settlement_late_seconds", ((number,), late)
    yield "witnd_log_time_seconds", ((number,), partition.cursor[0] / 1000)
    yield "witnd_commits_total", ((number,), owner.pipeline.sequence)
    yield "witnd_outcomes_in_memory", ((number,), len(partition.known))
