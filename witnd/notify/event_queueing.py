"""Queue the deliveries of billing events: one for each rule that was in effect at the event's instant."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

import structlog

from witnd.domain.webhooks.billing_event import event_delivery, event_message, receivers
from witnd.domain.webhooks.message import Delivery
from witnd.domain.webhooks.notification import NotificationRule
from witnd.notify.backoff import Backoff
from witnd.store.billing_events.queue import EventQueue, StoredEvent
from witnd.store.errors import StoreRefused, StoreUnavailable, Unreadable
from witnd.store.records.event_codec import decode_event

# Longest wait in the server. Then the last queued event is read again, because a failover can undo it.
WAIT_MS: Final = 10_000

# Returns the rules in effect at an instant (ms), after all versions that are written by now.
RulesAt = Callable[[int], Awaitable[Sequence[NotificationRule]]]
log = structlog.get_logger()


class EventQueuer:
    """Queues deliveries: `run()` until cancelled. Calls `queued` with the rules of each event. `public_url`: the start
    of the link in a message, or None. Raises `Fenced`."""

    def __init__(
        self,
        queue: EventQueue,
        rules: RulesAt,
        queued: Callable[[Iterable[str]], None],
        random: Callable[[], float],
        public_url: str | None,
    ) -> None:
        self._queue = queue
        self._rules = rules
        self._queued = queued
        self._public_url = public_url
        self._backoff = Backoff("billing_events.store", random)

    async def run(self) -> None:
        failures = 0
        try:
            while True:
                try:
                    await self._queue_next()
                except (StoreUnavailable, StoreRefused) as error:
                    await self._backoff.wait(error, failures)
                    failures += 1
                else:
                    self._backoff.reset()
                    failures = 0
        finally:
            self._queue.close()

    async def _queue_next(self) -> None:
        last, found = await self._queue.next_events(WAIT_MS)
        for one in found:
            at, deliveries = await self._deliveries(one)
            await self._queue.queue(last, one.id, at, deliveries)
            self._queued(delivery.rule_id for delivery in deliveries)
            last = one.id

    async def _deliveries(self, stored: StoredEvent) -> tuple[int, list[Delivery]]:
        """Return the instant of an event (ms) and its deliveries; of a damaged one, none."""
        try:
            event = decode_event(stored.id, stored.record)
        except Unreadable as damaged:
            remedy = "run `witnd audit`; another program wrote it"
            log.error("billing_event.unreadable", event_id=stored.id, reason=str(damaged), remedy=remedy)
            return 0, []
        message = event_message(event, self._public_url)
        return event.at, [
            event_delivery(rule, event, message) for rule in receivers(await self._rules(event.at), event)
        ]
