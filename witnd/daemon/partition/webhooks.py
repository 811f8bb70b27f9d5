"""Create the relay that sends the webhooks of a partition, or of the biller."""

from witnd.daemon.partition.deps import PartitionDeps
from witnd.daemon.partition.endpoints import Endpoints
from witnd.notify.lane import Confirmed
from witnd.notify.relay import Relay
from witnd.store.deliveries.outbox import Outbox
from witnd.store.keys import OutboxKeys


def relay_of(shared: PartitionDeps, keys: OutboxKeys, fence: str, confirmed: Confirmed | None) -> Relay:
    """Return the relay of an outbox. `fence`: the value of its owner's lease. `confirmed`: see `Relay`."""
    outbox = Outbox(shared.clients.deliveries, keys, shared.shared_keys, fence=fence, channels=shared.clients.channels)
    return Relay(
        outbox,
        send=shared.send,
        endpoint=Endpoints(shared.catalogue, shared.clock.now_ms).of,
        now_ms=shared.clock.now_ms,
        random=shared.random,
        schedule=tuple(int(step * 1000) for step in shared.config.webhooks.schedule),
        slots=shared.slots,
        calls=shared.calls,
        confirmed=confirmed,
    )
