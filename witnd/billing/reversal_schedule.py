"""Decides when the reversals on each invoice are credited, from how far the logs are applied."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import structlog

from witnd.billing.reversals import ReversalCredits
from witnd.billing.steps import Steps
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.invoices.invoice import Invoice
from witnd.domain.values.period import Calendar
from witnd.store.errors import DamagedInvoice
from witnd.store.invoices.ledger import Ledger
from witnd.store.invoices.reversals import known_reversals

# Interval of checks of all invoices with pending reversals: a person may have issued or revised them.
SCAN_MS: Final = 10_000

log = structlog.get_logger()


class ReversalSchedule:
    """Credits pending reversals when they are due. `grace_ms` is None if invoices are issued by hand only."""

    def __init__(
        self,
        ledger: Ledger,
        catalogue: Catalogue,
        steps: Steps,
        credits_: ReversalCredits,
        call: Callable[[str, Callable[[], Awaitable[Any]]], Awaitable[Any]],
        grace_ms: int | None,
    ) -> None:
        self.trouble: str | None = None  # why the reversals of an invoice are not credited
        self.next_end: int | None = 0  # the end (ms) of the first period for which credit notes are due
        self._ledger = ledger
        self._catalogue = catalogue
        self._steps = steps
        self._invoices = credits_.invoices
        self._credits = credits_
        self._call = call
        self._grace_ms = grace_ms
        self._new: set[str] = set()  # invoices with new pending reversals
        self._scan_at = 0

    def add(self, id_: str) -> None:
        """Record that an invoice has new pending reversals."""
        self._new.add(id_)

    async def credit(self, reached: int, calendar: Calendar, now_ms: int, *, is_closing: bool = False) -> None:
        """Credit what is due. `reached`: all logs are applied and their lines collected up to this instant (ms).
        `is_closing`: the periods that ended by then are about to be closed, so check all invoices."""
        new, self._new = self._new, set()
        if new or is_closing or now_ms >= self._scan_at:
            await self._call("reading the catalogue", partial(self._ledger.load_catalogue, self._catalogue))
        if not is_closing and now_ms < self._scan_at:
            ends = [await self._credit(id_, reached, calendar) for id_ in sorted(new)]
            known = [] if self.next_end is None else [self.next_end]
            self.next_end = min((*known, *(end for end in ends if end is not None)), default=None)
            return
        self.trouble = None
        ids = await self._call("reading reversals", self._invoices.reversals.waiting)
        ends = [await self._credit(id_, reached, calendar) for id_ in ids]
        self.next_end = min((end for end in ends if end is not None), default=None)
        # The close makes other credits due.
        self._scan_at = 0 if is_closing else now_ms + SCAN_MS

    async def _credit(self, id_: str, reached: int, calendar: Calendar) -> int | None:
        """Credit what is due on one invoice. Return the end of the period after which more of it is due."""
        try:
            return await self._credit_invoice(id_, reached, calendar)
        except DamagedInvoice as damaged:
            if self.trouble is None:
                log.error("billing.reversal_not_credited", invoice=id_, reason=damaged.reason, remedy=damaged.remedy)
            self.trouble = f"the reversals on invoice {id_} are not credited: {damaged}"
            return None

    async def _credit_invoice(self, id_: str, reached: int, calendar: Calendar) -> int | None:
        invoice = await self._call("reading an invoice", partial(self._invoices.get, id_))
        if invoice is None:
            raise DamagedInvoice(f"invoice {id_} does not exist", "run `witnd audit` to see what is wrong")
        if invoice.revised_by is not None:
            await self._move(invoice, invoice.revised_by)
            return None
        if invoice.status in ("draft", "void"):
            before = self._limit(invoice, reached)
            await self._call("crediting reversals", partial(self._credits.add_rows, invoice, before))
            return None
        keys = await self._call("reading reversals", partial(self._invoices.reversals.pending_keys, id_))
        for period in dict.fromkeys(calendar.period_at(at) for _, at in keys):
            if period.end > reached:
                return period.end
            await self._call("writing a credit note", partial(self._credits.write_note, invoice, period))
        return None

    def _limit(self, invoice: Invoice, reached: int) -> int | None:
        """Return the instant before which reversals are credited now: on a draft, only those that its issue, whenever
        it happens, takes account of."""
        if invoice.status == "void":
            return None
        if not invoice.closed:
            return invoice.end
        return reached if self._grace_ms is None else min(reached, invoice.end + self._grace_ms)

    async def _move(self, invoice: Invoice, next_: str) -> None:
        """Move reversals that were collected while the invoice was revised to its next edition."""
        pending = await self._call("reading reversals", partial(self._invoices.reversals.pending_keys, invoice.id))
        keys, step = self._ledger.keys, self._steps.begin()
        stored = await self._call(
            "reading reversals",
            partial(known_reversals, self._ledger, {invoice.id: [key for key, _ in pending]}),
        )
        for key, at in pending:
            step.add("HSET", keys.reversals(next_), key, stored[invoice.id, key])
            step.add("ZADD", keys.pending_reversals(next_), at, key)
            step.add("ZADD", keys.reversed, "LT", at, next_)
        step.add("UNLINK", keys.pending_reversals(invoice.id))
        step.add("ZREM", keys.reversed, invoice.id)
        await self._steps.commit(step)
        self._new.add(next_)
