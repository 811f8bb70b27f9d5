"""The Redis clients of a daemon. Each kind of work has its own connections, so it cannot exhaust those of others.

| work | connections | why this many |
| --- | --- | --- |
| ownership | 4 | Leases are renewed three times per lease; 4 at a time renew 1 024 partitions within a second. |
| billing | 2 | One biller issues one invoice at a time, and renews one lease. |
| api | 32 | Requests of the API and the dashboard. Redis would not answer faster over more connections. |
| figures | 2 | Lag, backlog, and updates of open pages: each reads at most once a second. |
| deliveries | 16 | Two for each of the 8 concurrent calls of all notification rules. |
| channels | 1 a partition, and 1 | Each relay keeps one connection subscribed to the commands of other processes. |

Events over HTTP (`log.appender`), the log of each partition (`log.reader`) and billing events have other connections.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from msgspec import Struct
from redis.asyncio import Redis

from witnd.endpoint import Endpoint
from witnd.store.server.routing.client import connect

__all__ = ["SHARED_CONNECTIONS", "Clients", "open_clients"]

OWNERSHIP: Final = 4
BILLING: Final = 2
API: Final = 32
FIGURES: Final = 2
DELIVERIES: Final = 16

# Connections of one daemon for any number of partitions; one more for events over HTTP, one for the biller, and for its
# billing events and their relay one each.
SHARED_CONNECTIONS: Final = OWNERSHIP + BILLING + API + FIGURES + DELIVERIES + 4


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
    """Open the clients and close them with the context. Each connects at its first call."""
    sizes = {
        "ownership": OWNERSHIP,
        "billing": BILLING,
        "api": API,
        "figures": FIGURES,
        "deliveries": DELIVERIES,
        "channels": partitions + 1,
    }
    async with AsyncExitStack() as stack:
        yield Clients(
            **{
                work: await stack.enter_async_context(connect(server, connections=size, work=work))
                for work, size in sizes.items()
            }
        )
