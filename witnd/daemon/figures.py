"""The values of the figures: from memory, and a few that Redis is asked for now and then, never by a scrape."""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, cast

from redis.asyncio import Redis

from witnd.clock import Clock
from witnd.daemon.owner import Owner
from witnd.daemon.side_task import SideTask
from witnd.domain.catalogue import Catalogue
from witnd.domain.notification import rule_id
from witnd.store.appender import Appender
from witnd.store.connection import mapped
from witnd.store.errors import StoreRefused, StoreUnavailable
from witnd.store.keys import BillingKeys, GlobalKeys, Keys
from witnd.store.outbox import decode_endpoint
from witnd.telemetry import dropped_lines
from witnd.web.metrics import Sample
from witnd.web.server import Server
from witnd.web.services import Health

# Between two looks at what only Redis knows: some constant-time commands for each rule and partition.
LOOK_SECONDS: Final = 10.0
# Those that held and waiting events may still become.
_FATES: Final = ("applied", "duplicate", "conflict", "late", "rejected")


class Backlog:
    """What waits outside of memory, over all partitions. `run()` until cancelled."""

    def __init__(self, client: Redis, shared: GlobalKeys, partitions: Sequence[Keys], clock: Clock) -> None:
        self.samples: dict[str, list[Sample]] = {}
        self.looked: float | None = None  # when, on the monotonic clock
        self._client = client
        self._shared = shared
        self._partitions = partitions
        self._billing = BillingKeys(shared.prefix)
        self._clock = clock
        self._period_ended: int | None = None

    async def run(self, catalogue: Catalogue) -> None:
        while True:
            with contextlib.suppress(StoreUnavailable, StoreRefused):  # whoever needs Redis says so
                await self._look([rule_id(name) for name in catalogue.keys("notification_rule")])
                self.looked = self._clock.monotonic()
            await asyncio.sleep(LOOK_SECONDS)

    @property
    def waiting_seconds(self) -> float:
        """Since the first period ended that is not closed."""
        ended = self._period_ended
        return 0.0 if ended is None else max(0.0, (self._clock.now_ms() - ended) / 1000)

    async def _look(self, rules: Sequence[str]) -> None:
        with mapped():
            async with self._client.pipeline(transaction=False) as asked:
                asked.hvals(self._shared.endpoints)
                asked.zrange(self._billing.open, 0, 0, withscores=True)
                asked.zcard(self._billing.open)
                asked.zcard(self._billing.to_issue)
                for keys in self._partitions:
                    asked.xinfo_stream(keys.lines)
                    asked.zcard(keys.dead)
                    for rule in rules:
                        asked.zcard(keys.outbox(rule))
                        asked.zcard(keys.parked(rule))
                found = cast("list[object]", await asked.execute(raise_on_error=False))
        endpoints, first, drafts, closed = found[:4]
        # An answer may be an error, as from a server that is still loading.
        states = [decode_endpoint(record) for record in endpoints] if isinstance(endpoints, list) else []
        self._period_ended = int(first[0][1]) if isinstance(first, list) and first else None
        each = 2 + 2 * len(rules)
        rest = [found[at : at + each] for at in range(4, len(found), each)]
        lines = sum(int(info["entries-added"]) for info, *_ in rest if isinstance(info, dict))
        self.samples = {
            "witnd_invoice_lines_total": [((), lines)],
            "witnd_deliveries": [
                (("queued",), sum(_number(one) for part in rest for one in part[2::2])),
                (("parked",), sum(_number(one) for part in rest for one in part[3::2])),
                (("dead",), sum(_number(part[1]) for part in rest)),
            ],
            "witnd_endpoints_suspended": [((), sum(state.suspended for state in states))],
            "witnd_endpoints_failing": [((), sum(state.failing_since is not None for state in states))],
            "witnd_invoice_drafts": [(("open",), _number(drafts)), (("to issue",), _number(closed))],
        }


def _number(answer: object) -> int:
    return answer if isinstance(answer, int) else 0


def gather(
    owners: Sequence[Owner],
    health: Health,
    backlog: Backlog,
    appender: Appender,
    server: Server,
    clock: Clock,
    sides: Sequence[SideTask],
) -> Mapping[str, Sequence[Sample]]:
    """All figures that are known at the moment."""
    found: dict[str, list[Sample]] = {
        "witnd_ready": [((), float(health.ready and not health.troubles))],
        "witnd_troubles": [((), len(health.troubles))],
        "witnd_alarms": [((), len(health.alarms))],
        "witnd_task_failures_total": [((kind,), failures) for kind, failures in _failures(sides).items()],
        "witnd_partitions": [((state,), count) for state, count in health.partitions.items()],
        "witnd_log_lag_events": [((), health.lag)],
        "witnd_log_lines_dropped_total": [((), dropped_lines())],
        "witnd_ingest_events_total": [((answer,), count) for answer, count in appender.answers.items()],
        "witnd_http_requests_total": [((at, str(status)), n) for (at, status), n in sorted(server.requests.items())],
        "witnd_http_request_seconds": [((name,), took) for name, took in _took(server)],
    }
    for owner in owners:
        for name, sample in _of_partition(owner, clock.now_ms()):
            found.setdefault(name, []).append(sample)
    if backlog.looked is not None:
        found |= backlog.samples
        found["witnd_invoice_period_waiting_seconds"] = [((), backlog.waiting_seconds)]
        found["witnd_figures_age_seconds"] = [((), clock.monotonic() - backlog.looked)]
    return found


def _failures(sides: Sequence[SideTask]) -> dict[str, int]:
    found: dict[str, int] = {}
    for side in sides:
        found[side.kind] = found.get(side.kind, 0) + side.failures
    return found


def _took(server: Server) -> Iterator[tuple[str, tuple[float, float]]]:
    for name, seconds in sorted(server.seconds.items()):
        yield name, (sum(count for (route, _), count in server.requests.items() if route == name), seconds)


def _of_partition(owner: Owner, now_ms: int) -> Iterator[tuple[str, Sample]]:
    """Nothing of a partition that another daemon has: it tells."""
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
    yield "witnd_steps_total", ((number,), owner.pipeline.sequence)
    yield "witnd_outcomes_in_memory", ((number,), len(partition.known))
