"""The webhooks of billing events: the owner of the biller queues and sends them."""

from collections.abc import Sequence

from witnd.daemon.journal_keeper import MarksWatch
from witnd.daemon.partition.deps import PartitionDeps
from witnd.daemon.partition.webhooks import relay_of
from witnd.daemon.side_task import SideTask
from witnd.domain.webhooks.notification import NotificationRule
from witnd.notify.event_queueing import EventQueuer
from witnd.store.billing_events.queue import EventQueue
from witnd.store.invoices.ledger import Ledger
from witnd.store.keys import BillingKeys


class BillingWebhooks:
    """Queues and sends while this daemon has the lease of the biller. `fence`: the value of that lease."""

    def __init__(self, shared: PartitionDeps, ledger: Ledger, marks: MarksWatch, fence: str) -> None:
        self._shared = shared
        self._ledger = ledger
        self._marks = marks
        config, keys = shared.config, BillingKeys(shared.config.redis.prefix)
        # A webhook must not report what a failover can undo, or a number whose loss would not be noticed.
        confirmed = self._confirmed if marks.is_needed else None
        self.relay = relay_of(shared, keys, fence, confirmed)
        name = f"witnd-{config.daemon.instance}"
        queue = EventQueue(shared.clients.deliveries, shared.server, keys, name, fence)
        queuer = EventQueuer(queue, self._rules, self.relay.wake_lanes, shared.random, config.http.public_url or None)
        self.sides = [
            SideTask("webhooks of invoices", self.relay.run),
            SideTask("billing events", queuer.run),
        ]

    async def _rules(self, at: int) -> Sequence[NotificationRule]:
        await self._ledger.load_catalogue(self._shared.catalogue)
        return self._shared.catalogue.rules(at)

    async def _confirmed(self, _: int) -> None:
        await self._marks.recorded()
