"""Create the relay that sends the webhooks of a partition."""

from random import random

from witnd.daemon.partition.deps import PartitionDeps
from witnd.daemon.partition.endpoints import Endpoints
from witnd.notify.lane import Confirmed
from witnd.notify.relay import Relay
from witnd.store.deliveries.outbox import Outbox
from witnd.store.keys import Keys


def relay_of(shared: PartitionDeps, keys: Keys, fence: str, confirmed: Confirmed | None) -> Relay:
    """Return the relay of a partition. `fence`: the value of its lease. `confirmed`: see `Relay`."""
    outbox = Outbox(shared.clients.deliveries, keys, shared.shared_keys, fence=fence, channels=shared.clients.channels)
    return Relay(
        outbox,
        send=shared.send,
        endpoint=Endpoints(shared.catalogue, shared.clock.now_ms).of,
        now_ms=shared.clock.now_ms,
        random=random,
        schedule=tuple(int(step * 1000) for step in shared.config.webhooks.schedule),
        slots=shared.slots,
        calls=shared.calls,
        confirmed=confirmed,
    )
