"""The connections of a daemon. Each kind of work has its own, so that none can exhaust those of another.

| work | connections | why this many |
| --- | --- | --- |
| ownership | 4 | Leases are renewed three times per lease; 4 at a time renew 1 024 partitions within a second. |
| billing | 2 | One biller issues one invoice at a time, and renews one lease. |
| api | 32 | Requests of the API and the dashboard. Redis would not answer more of them faster. |
| figures | 2 | Lag, backlog and the pulse of open pages: each looks once a second or less. |
| deliveries | 16 | Two for each of the 8 concurrent calls of all notification rules. |
| channels | 1 a partition | Each relay keeps one connection subscribed to the commands of other processes. |

Events over HTTP and each partition's log have connections of their own (`appender`, `log`).
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from msgspec import Struct
from redis.asyncio import Redis

from witnd.endpoint import Endpoint
from witnd.store.server.connection import connect

__all__ = ["SHARED_CONNECTIONS", "Clients", "open_clients"]

OWNERSHIP: Final = 4
BILLING: Final = 2
API: Final = 32
FIGURES: Final = 2
DELIVERIES: Final = 16

# Of one daemon, whatever its number of partitions; one more for events over HTTP, one for the biller.
SHARED_CONNECTIONS: Final = OWNERSHIP + BILLING + API + FIGURES + DELIVERIES + 2


class Clients(Struct, frozen=True, kw_only=True):
    """One client for each kind of work."""

    ownership: Redis
    billing: Redis
    api: Redis
    figures: Redis
    deliveries: Redis
    channels: Redis


@asynccontextmanager
async def open_clients(server: Endpoint, partitions: int) -> AsyncIterator[Clients]:
    """Open the clients for the duration of the context. Each connects at its first call."""
    sizes = {
        "ownership": OWNERSHIP,
        "billing": BILLING,
        "api": API,
        "figures": FIGURES,
        "deliveries": DELIVERIES,
        "channels": partitions,
    }
    async with AsyncExitStack() as stack:
        yield Clients(
            **{
                work: await stack.enter_async_context(connect(server, connections=size, work=work))
                for work, size in sizes.items()
            }
        )
