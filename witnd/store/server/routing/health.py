"""Reads the state of the primaries that witnd uses."""

from collections.abc import Iterable
from functools import partial

from witnd.endpoint import Endpoint
from witnd.settings import Durability
from witnd.store.keys import GlobalKeys, Keys
from witnd.store.server import wire
from witnd.store.server.routing.slots import slot_of
from witnd.store.server.routing.topology import replica_refusal, topology_of
from witnd.store.server.routing.wires import Connection
from witnd.store.server.safety import Health, Problem, read_health


async def read_primary(connection: Connection, seconds: float) -> Health:
    """Read the state of the server of a connection. Raises `StoreRefused` if it is not the primary any more; then the
    primary is looked up again."""
    found = await connection.wire()
    server = connection.endpoint
    health = await read_health(partial(found.ask, seconds=seconds), server.mode)
    if server.mode != "single" and health.info.get("role", "master") != "master":
        connection.expire()
        raise replica_refusal(server)
    return health


async def primaries(server: Endpoint, prefix: str, partitions: int) -> list[Endpoint]:
    """Return the primaries of all keys of a deployment. Raises `Unsafe` if the address is wrong."""
    shared = GlobalKeys(prefix)
    keys = [shared.catalogue, shared.meta, *(Keys(prefix, number).state for number in range(partitions))]
    return await topology_of(server).check(map(slot_of, keys))


async def read_all(server: Endpoint, prefix: str, partitions: int, seconds: float) -> dict[Endpoint, Health]:
    """Read the state of every primary that a deployment uses."""
    found = {}
    for primary in await primaries(server, prefix, partitions):
        connection = await wire.connect(primary, "witnd-gate")
        try:
            found[primary] = await read_health(partial(connection.ask, seconds=seconds), server.mode)
        finally:
            connection.close()
        if server.mode != "single" and found[primary].info.get("role", "master") != "master":
            raise replica_refusal(primary)
    return found


def durability_warnings(servers: Iterable[Endpoint], server: Endpoint, durability: Durability) -> list[Problem]:
    """Return a warning if a failover can lose acknowledged events."""
    if server.mode == "single" or durability.mode == "replica":
        return []
    count = len(list(servers))
    return [
        Problem(
            f'redis.durability is "{durability}", but {server} can fail over '
            f"({count} {'primary' if count == 1 else 'primaries'}): the new primary may lack acknowledged events",
            'set redis.durability = "replica"',
        )
    ]
