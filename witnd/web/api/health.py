"""Health checks and metrics."""

from typing import Any

from msgspec import Struct

from witnd.domain.values.mistake import Mistake
from witnd.web.errors import ApiError
from witnd.web.http.route import Call, Raw, route

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


class Alive(Struct, frozen=True):
    """The process responds."""

    status: str


class Ready(Struct, frozen=True, kw_only=True):
    """`partitions`: number of partitions by state. `lag`: accepted events that are not yet processed. `alarms`:
    failures that do not block settlement, including outcomes on hold."""

    status: str
    partitions: dict[str, int]
    lag: int
    alarms: list[str]


@route("GET", "/healthz", says="Check that the process responds.", scope=None, answer=Alive)
async def alive(_: Call[Any]) -> Alive:
    return Alive("ok")


@route("GET", "/livez", says="Check that the process responds. Same as /healthz.", scope=None, answer=Alive)
async def live(_: Call[Any]) -> Alive:
    return Alive("ok")


@route(
    "GET",
    "/startupz",
    says="Check whether the daemon has started; 503 while it loads its partitions.",
    scope=None,
    answer=Alive,
    refusals=("UNAVAILABLE",),
)
async def started(call: Call[Any]) -> Alive:
    health = call.services.health()
    if not health.started:
        details = [Mistake(f"partitions.{state}", str(count)) for state, count in health.partitions.items()]
        raise ApiError("UNAVAILABLE", "the daemon is starting", details, {"Retry-After": "1"})
    return Alive("ok")


@route(
    "GET",
    "/readyz",
    says="Check whether the daemon can process events and settle outcomes; 503 with the reasons if not.",
    scope=None,
    answer=Ready,
    refusals=("UNAVAILABLE",),
)
async def ready(call: Call[Any]) -> Ready:
    health = call.services.health()
    if not health.ready or health.troubles:
        reasons = [*health.troubles, *health.alarms] or ["the daemon is starting"]
        details = [
            *(Mistake("", reason) for reason in reasons),
            *(Mistake(f"partitions.{state}", str(count)) for state, count in health.partitions.items()),
        ]
        raise ApiError("UNAVAILABLE", "; ".join(reasons), details, {"Retry-After": "1"})
    return Ready(status="ok", partitions=dict(health.partitions), lag=health.lag, alarms=list(health.alarms))


@route("GET", "/metrics", says="Read metrics in the Prometheus format.", scope=None, answer_type=PROMETHEUS)
async def metrics(call: Call[Any]) -> Raw:
    return Raw(call.services.metrics(), PROMETHEUS)
