"""Whether the daemon is alive, and whether it can apply and settle."""

from typing import Any

from msgspec import Struct

from witnd.app.errors import Detail
from witnd.web.errors import ApiError
from witnd.web.http.route import Call, Raw, route

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


class Alive(Struct, frozen=True):
    """The process answers."""

    status: str


class Ready(Struct, frozen=True, kw_only=True):
    """`partitions`: state → how many. `lag`: events accepted and not yet applied. `alarms`: what does not work
    while outcomes still settle, including outcomes on hold."""

    status: str
    partitions: dict[str, int]
    lag: int
    alarms: list[str]


@route("GET", "/healthz", says="Whether the process answers.", scope=None, answer=Alive)
async def alive(_: Call[Any]) -> Alive:
    return Alive("ok")


@route(
    "GET",
    "/readyz",
    says="Whether the daemon can apply events and settle outcomes; 503 with the reasons where it cannot.",
    scope=None,
    answer=Ready,
    refusals=("UNAVAILABLE",),
)
async def ready(call: Call[Any]) -> Ready:
    health = call.services.health()
    if not health.ready or health.troubles:
        reasons = [*health.troubles, *health.alarms] or ["the daemon is starting"]
        details = [
            *(Detail("", reason) for reason in reasons),
            *(Detail(f"partitions.{state}", str(count)) for state, count in health.partitions.items()),
        ]
        raise ApiError("UNAVAILABLE", "; ".join(reasons), details, {"Retry-After": "1"})
    return Ready(status="ok", partitions=dict(health.partitions), lag=health.lag, alarms=list(health.alarms))


@route("GET", "/metrics", says="Figures for Prometheus.", scope=None, answer_type=PROMETHEUS)
async def metrics(call: Call[Any]) -> Raw:
    return Raw(call.services.metrics(), PROMETHEUS)
