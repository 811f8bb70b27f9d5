"""Own the invoices of a deployment: one daemon makes them and sends their webhooks, the others are on standby."""

import asyncio
from contextlib import suppress

import structlog

from witnd.billing.biller import Biller, BillingTerms
from witnd.billing.einvoice.issued_documents import IssuedDocuments
from witnd.billing.reversals import ReversalCredits
from witnd.billing.scheduled import ScheduledOperations
from witnd.daemon.billing_webhooks import BillingWebhooks
from witnd.daemon.block_watch import Blocked
from witnd.daemon.journal_keeper import MarksWatch
from witnd.daemon.lease_keeper import LeaseKeeper
from witnd.daemon.partition.deps import PartitionDeps
from witnd.daemon.side_task import SideTask
from witnd.store.catalogue.loader import check_head
from witnd.store.errors import Fenced, LostData, LostSteps, StoreRefused, StoreUnavailable, Unsafe, leaves
from witnd.store.invoices.ledger import Ledger
from witnd.store.invoices.reads import Invoices
from witnd.store.invoices.series import credit_series, invoice_series
from witnd.store.keys import BillingKeys
from witnd.store.server.lease import Lease
from witnd.store.server.retry import Retry
from witnd.store.server.safety import problems

# How long a daemon with blocked invoices still sends webhooks, and then how long it leaves the lease to others.
BLOCKED_SECONDS = 10.0
# Running attempts at the end. Those that are cut off are recorded as begun and repeated under the same id.
DELIVERY_GRACE_SECONDS = 5.0
# How soon invoices are blocked after a loss that the journal shows.
LOST_SECONDS = 0.5
# After this long without an error, the invoices are no longer blocked.
HEALTHY_SECONDS = 15.0

log = structlog.get_logger()


class Billing:
    """Makes invoices while it has the lease: `run()` until stopped or cancelled.

    An error that concerns only the invoices blocks them until it is repaired; partitions and webhooks continue. So does
    lost data; `marks` has what the journal misses.
    """

    number = None  # the invoices are no partition

    def __init__(self, shared: PartitionDeps, invoices: Invoices, lease: Lease, marks: MarksWatch) -> None:
        config = shared.config
        self._shared = shared
        self._config = config
        self._catalogue = shared.catalogue
        self._watch = shared.watches.shared
        self._invoices = invoices
        self._marks = marks
        self._lost: LostData | None = None  # for as long as the process runs
        self.keys = BillingKeys(config.redis.prefix)
        self.supervised = SideTask("billing", self.run, self.release)
        self.sides: list[SideTask] = []  # tasks that must not end the invoices
        self._stopping = asyncio.Event()
        self._ledger = Ledger(
            shared.server,
            config.redis.prefix,
            config.redis.partitions,
            f"witnd-{config.daemon.instance}-billing",
            config.redis.durability,
        )
        self._retry = Retry(self._verify, shared.clock.monotonic)
        self._biller: Biller | None = None
        self._unsafe: Blocked | None = None
        self._block: Blocked | None = None  # what has blocked the invoices
        self._lease_keeper = LeaseKeeper(
            "the billing",
            lease,
            self._retry,
            shared.clock,
            seconds=config.daemon.lease,
            standby=lambda owner: log.info("billing.standby", owner=owner),
            look=self._watch.sample,
        )

    @property
    def is_running(self) -> bool:
        """Whether this daemon makes the invoices."""
        return self._lease_keeper.is_held

    @property
    def is_ours(self) -> bool:
        """Whether this daemon has the lease."""
        return self.is_running

    @property
    def blocked(self) -> Blocked | None:
        """Why no invoices are made, until someone acts."""
        return self._block or self._unsafe

    @property
    def alarm(self) -> str | None:
        """Why the invoices are blocked, for health."""
        return None if self._block is None else f"no invoices are made: {_words(self._block)}"

    @property
    def troubles(self) -> list[str]:
        """Why the daemon makes no invoices at the moment; empty while all is well."""
        biller = self._biller if self.is_running else None
        of_biller = () if biller is None else (biller.waiting_for, biller.not_issued)
        unsafe = None if self._unsafe is None else self._unsafe.reason
        found = (unsafe, self._retry.trouble, self._lease_keeper.waiting_for, *of_biller)
        return [one for one in found if one is not None]

    async def run(self) -> None:
        try:
            while await self._lease_keeper.take():
                try:
                    is_blocked = await self._own()
                except (Unsafe, ExceptionGroup) as error:
                    self._report_block(error)
                    is_blocked = True
                if is_blocked:
                    with suppress(StoreUnavailable, StoreRefused):
                        await self._lease_keeper.release()
                    await self._pause(BLOCKED_SECONDS)
        finally:
            self._ledger.close()

    def stop(self) -> None:
        """Stop making invoices, wait a moment for deliveries, and return from `run`."""
        self._lease_keeper.stop()
        self._stopping.set()

    async def release(self) -> None:
        await self._lease_keeper.release()

    async def _own(self) -> bool:
        """Make invoices and send webhooks while this daemon has the lease. Return whether the invoices are blocked."""
        webhooks = BillingWebhooks(self._shared, self._ledger, self._marks, self._lease_keeper.fence)
        self.sides, is_blocked = webhooks.sides, False
        try:
            async with asyncio.TaskGroup() as group:
                beside = [group.create_task(self._lease_keeper.renew())]
                beside += [group.create_task(side.run()) for side in webhooks.sides]
                working = group.create_task(self._work())
                stopping = group.create_task(self._stopping.wait())
                await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
                is_blocked = working.done()
                working.cancel()
                stopping.cancel()
                await webhooks.relay.stop(DELIVERY_GRACE_SECONDS)
                for task in beside:
                    task.cancel()
        except BaseExceptionGroup as failed:
            await self._lease_keeper.handle_loss(failed)
            is_blocked = False
        finally:
            self.sides = []
            self._unsafe = None  # the next owner checks Redis itself
            self._ledger.close()
        return is_blocked

    async def _work(self) -> None:
        """Make invoices until they are blocked. Then return a moment later, as webhooks can still be sent."""
        try:
            self._raise_lost()
            await self._make_invoices()
        except (Unsafe, ExceptionGroup) as error:
            self._report_block(error)
            await self._pause(BLOCKED_SECONDS)

    async def _make_invoices(self) -> None:
        billing = self._config.billing
        self._biller = biller = Biller(
            self._ledger,
            self._catalogue,
            self._retry,
            fence=self._lease_keeper.fence,
            terms=BillingTerms(
                period=billing.period,
                time_zone=billing.time_zone,
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
        log.info("billing.running", period=billing.period, time_zone=billing.time_zone, issue=billing.issue)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._unblock())
            group.create_task(self._watch_lost())
            group.create_task(biller.run())

    def _report_block(self, error: Exception) -> None:
        """Record what blocks the invoices. Raises all other errors."""
        unsafe = _only_unsafe(error)
        if unsafe is None:
            raise error
        if isinstance(unsafe, LostData) and self._config.redis.durability.mode == "server":
            self._lost = unsafe  # with other durabilities, it may not have been confirmed
        block = Blocked(unsafe.reason, unsafe.remedy)
        if block != self._block:
            self._block = block
            log.error("billing.blocked", reason=unsafe.reason, remedy=unsafe.remedy)

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    def _raise_lost(self) -> None:
        if (lost := self._lost or self._marks.lost) is not None:
            raise lost

    async def _watch_lost(self) -> None:
        while True:
            await asyncio.sleep(LOST_SECONDS)
            self._raise_lost()

    async def _unblock(self) -> None:
        await asyncio.sleep(HEALTHY_SECONDS)
        if self.alarm is not None:
            log.info("billing.unblocked", was=self.alarm)
        self._block = None

    async def _safe(self) -> bool:
        """Return whether Redis is safe to store invoices in."""
        found = problems(await self._ledger.health(), self._config.redis.durability)
        if not found:
            self._unsafe = None
            return True
        unsafe = Blocked("; ".join(one.reason for one in found), "; ".join(one.remedy for one in found))
        if unsafe != self._unsafe:
            log.error("billing.paused", reason=unsafe.reason, remedy=unsafe.remedy)
        self._unsafe = unsafe
        return False

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


def _words(block: Blocked) -> str:
    return f"{block.reason}; {block.remedy}"


def _only_unsafe(error: BaseException) -> Unsafe | None:
    """Return the first reason to block invoices, or None if there are other errors too."""
    errors = list(leaves(error))
    if any(isinstance(one, Fenced) or not isinstance(one, Unsafe) for one in errors):
        return None
    return next(one for one in errors if isinstance(one, Unsafe))
