"""Own the invoices of a deployment: one daemon makes them, the others are on standby."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import structlog

from witnd.billing.biller import Biller, BillingTerms
from witnd.billing.einvoice.issued_documents import IssuedDocuments
from witnd.billing.reversals import ReversalCredits
from witnd.billing.scheduled import ScheduledOperations
from witnd.clock import Clock
from witnd.config import Config
from witnd.daemon.lease_keeper import LeaseKeeper
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.store.catalogue.loader import check_head
from witnd.store.clock.watch import ClockWatch
from witnd.store.errors import Fenced, LostData, LostSteps, StoreRefused, StoreUnavailable, Unsafe, leaves
from witnd.store.invoices.ledger import Ledger
from witnd.store.invoices.reads import Invoices
from witnd.store.invoices.series import credit_series, invoice_series
from witnd.store.server.connection import Endpoint
from witnd.store.server.lease import Lease
from witnd.store.server.retry import Retry
from witnd.store.server.safety import problems

# Delay before blocked invoices are retried.
BLOCKED_SECONDS = 10.0
# How soon invoices are blocked after a loss that the journal shows.
LOST_SECONDS = 0.5
# After this long without an error, the invoices are no longer blocked.
HEALTHY_SECONDS = 15.0

log = structlog.get_logger()


class Billing:
    """Makes invoices while it has the lease: `run()` until cancelled.

    An error that concerns only the invoices blocks them until it is repaired; partitions continue. So does lost data;
    `lost` returns what the journal misses.
    """

    def __init__(
        self,
        config: Config,
        server: Endpoint,
        catalogue: Catalogue,
        clock: Clock,
        invoices: Invoices,
        lease: Lease,
        watch: ClockWatch,
        lost: Callable[[], LostData | None],
    ) -> None:
        self._config = config
        self._catalogue = catalogue
        self._watch = watch
        self._invoices = invoices
        self._lost_marks = lost
        self._lost: LostData | None = None  # for as long as the process runs
        self._ledger = Ledger(
            server,
            config.redis.prefix,
            config.redis.partitions,
            f"witnd-{config.daemon.instance}-billing",
            config.redis.durability,
        )
        self._retry = Retry(self._verify, clock.monotonic)
        self._biller: Biller | None = None
        self._unsafe: str | None = None
        self.alarm: str | None = None  # why the invoices are blocked, for health
        self._lease_keeper = LeaseKeeper(
            "the billing",
            lease,
            self._retry,
            clock,
            seconds=config.daemon.lease,
            standby=lambda owner: log.info("billing.standby", owner=owner),
            look=watch.sample,
        )

    @property
    def is_running(self) -> bool:
        """Whether this daemon makes the invoices."""
        return self._lease_keeper.is_held

    @property
    def troubles(self) -> list[str]:
        """Why the daemon makes no invoices at the moment; empty while all is well."""
        biller = self._biller if self.is_running else None
        of_biller = () if biller is None else (biller.waiting_for, biller.not_issued)
        found = (self._unsafe, self._retry.trouble, self._lease_keeper.waiting_for, *of_biller)
        return [one for one in found if one is not None]

    async def run(self) -> None:
        try:
            while await self._lease_keeper.take():
                try:
                    await self._own()
                except Exception as error:
                    unsafe = _only_unsafe(error)
                    if unsafe is None:
                        raise
                    if isinstance(unsafe, LostData) and self._config.redis.durability.mode == "server":
                        self._lost = unsafe  # with other durabilities, it may not have been confirmed
                    await self._block(unsafe)
        finally:
            self._ledger.close()

    async def release(self) -> None:
        await self._lease_keeper.release()

    async def _own(self) -> None:
        """Make invoices while this daemon has the lease."""
        billing = self._config.billing
        self._raise_lost()
        self._biller = biller = Biller(
            self._ledger,
            self._catalogue,
            self._retry,
            fence=self._lease_keeper.fence,
            terms=BillingTerms(
                period=billing.period,
                grace_ms=int(billing.grace * 1000),
                automatic=billing.issue == "auto",
                zero_invoices=billing.zero_invoices,
            ),
            operations=ScheduledOperations(
                self._invoices,
                self._catalogue,
                invoice_series(billing),
                grace_ms=int(billing.grace * 1000),
                store=IssuedDocuments(self._invoices, self._catalogue).store,
            ),
            credits_=ReversalCredits(self._invoices, self._catalogue, credit_series(billing)),
            safe=self._safe,
            guard=self._watch.guard,
        )
        log.info("billing.running", period=billing.period, issue=billing.issue)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._lease_keeper.renew())
                group.create_task(self._unblock())
                group.create_task(self._watch_lost())
                group.create_task(biller.run())
        except BaseExceptionGroup as failed:
            await self._lease_keeper.handle_loss(failed)
        finally:
            self._unsafe = None  # the next owner checks Redis itself
            self._ledger.close()

    async def _block(self, unsafe: Unsafe) -> None:
        alarm = f"no invoices are made: {unsafe}"
        if alarm != self.alarm:
            self.alarm = alarm
            log.error("billing.blocked", reason=unsafe.reason, remedy=unsafe.remedy)
        with suppress(StoreUnavailable, StoreRefused):
            await self._lease_keeper.release()
        await asyncio.sleep(BLOCKED_SECONDS)

    def _raise_lost(self) -> None:
        if (lost := self._lost or self._lost_marks()) is not None:
            raise lost

    async def _watch_lost(self) -> None:
        while True:
            await asyncio.sleep(LOST_SECONDS)
            self._raise_lost()

    async def _unblock(self) -> None:
        await asyncio.sleep(HEALTHY_SECONDS)
        if self.alarm is not None:
            log.info("billing.unblocked", was=self.alarm)
        self.alarm = None

    async def _safe(self) -> bool:
        """Return whether Redis is safe to store invoices in."""
        found = problems(await self._ledger.health(), self._config.redis.durability)
        reason = "; ".join(one.reason for one in found) or None
        if reason is not None and reason != self._unsafe:
            remedy = "; ".join(one.remedy for one in found)
            log.error("billing.paused", reason=reason, remedy=remedy)
        self._unsafe = reason
        return reason is None

    async def _verify(self) -> None:
        """Check that Redis has the same data after an outage."""
        found = problems(await self._ledger.health(), self._config.redis.durability)
        if found:
            raise StoreRefused(found[0].reason, found[0].remedy)
        known = self._catalogue.chain.head
        check_head(self._catalogue, known, await self._ledger.catalogue_head())
        state = await self._ledger.state()
        if self._biller is not None and state.sequence < self._biller.sequence:
            raise LostSteps("the invoices are", state.sequence, self._biller.sequence)
        if self.is_running:
            await self._ledger.check_positions(state.read)


def _only_unsafe(error: BaseException) -> Unsafe | None:
    """Return the first reason to block invoices, or None if there are other errors too."""
    errors = list(leaves(error))
    if any(isinstance(one, Fenced) or not isinstance(one, Unsafe) for one in errors):
        return None
    return next(one for one in errors if isinstance(one, Unsafe))
