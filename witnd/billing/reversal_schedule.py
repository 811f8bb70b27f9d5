"""Decides when the reversals on each invoice are credited, from how far the logs are applied."""

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, Final, NamedTuple

import structlog

from witnd.billing.reversals import ReversalCredits
from witnd.billing.steps import Steps
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.invoices.invoice import Invoice
from witnd.domain.values.period import Calendar
from witnd.store.errors import DamagedInvoice
from witnd.store.invoices.ledger import Ledger, Positions
from witnd.store.invoices.reversals import known_reversals

# Interval of checks of all invoices with pending reversals: a person may have issued or revised them.
SCAN_MS: Final = 10_000

log = structlog.get_logger()


class Reached(NamedTuple):
    """The instants (ms) up to which the invoices are complete. `applied`: all logs are applied up to here, so no
    earlier entry can follow. `live`: the same, but a log without unapplied entries counts up to the server's clock."""

    applied: int = 0
    live: int = 0

    def after(self, positions: Positions) -> "Reached":
        """Return these instants once all lines of these positions are collected."""
        logs = zip(positions.cursors, positions.logs, strict=True)
        live = min(max(cursor, positions.now_ms) if last <= cursor else cursor for cursor, last in logs)
        return Reached(max(self.applied, min(positions.cursors)), max(self.live, live))


class ReversalSchedule:
    """Credits pending reversals when they are due. `safe` returns whether Redis is safe to store credit notes in.
    `grace_ms` is None if invoices are issued by hand only."""

    def __init__(
        self,
        ledger: Ledger,
        catalogue: Catalogue,
        steps: Steps,
        credits_: ReversalCredits,
        call: Callable[[str, Callable[[], Awaitable[Any]]], Awaitable[Any]],
        safe: Callable[[], Awaitable[bool]],
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
        self._safe = safe
        self._grace_ms = grace_ms
        # Issued invoices with pending reversals: the end (ms) of the first period after which more is due.
        self._due: dict[str, int] = {}
        self._new: set[str] = set()  # invoices with new pending reversals
        self._scan_at = 0

    def add(self, id_: str) -> None:
        """Record that an invoice has new pending reversals."""
        self._new.add(id_)

    async def credit(self, reached: Reached, calendar: Calendar, now_ms: int, *, is_closing: bool = False) -> None:
        """Credit what is due. `is_closing`: the periods that ended before `reached` are about to be closed, so check
        all invoices."""
        new, self._new = self._new, set()
        if new or is_closing or now_ms >= self._scan_at:
            await self._call("reading the catalogue", partial(self._ledger.load_catalogue, self._catalogue))
        if not is_closing and now_ms < self._scan_at:
            ends = [await self._credit(id_, reached, calendar) for id_ in sorted(new)]
            known = [] if self.next_end is None else [self.next_end]
            self.next_end = min((*known, *(end for end in ends if end is not None)), default=None)
            return
        self.trouble = None
        ends = []
        for id_ in await self._newest_editions():
            if id_ not in new and (due := self._due.get(id_, 0)) > reached.applied:
                ends.append(due)
            else:
                ends.append(await self._credit(id_, reached, calendar))
        self.next_end = min((end for end in ends if end is not None), default=None)
        # Closing makes more credits due.
        self._scan_at = 0 if is_closing else now_ms + SCAN_MS

    async def _newest_editions(self) -> list[str]:
        """Return the invoices with pending reversals, once those on revised invoices are moved to the next edition: a
        credit note must have all of its period."""
        while True:
            ids: list[str] = await self._call("reading reversals", self._invoices.reversals.waiting)
            heads = await self._call("reading invoices", partial(self._ledger.find_invoices, self._unknown(ids)))
            revised = {id_: head.revised_by for id_, head in heads.items() if head.revised_by is not None}
            if not revised:
                self._due = {id_: self._due[id_] for id_ in ids if id_ in self._due}
                return ids
            for id_, next_ in revised.items():
                await self._move(id_, next_)

    def _unknown(self, ids: Iterable[str]) -> list[str]:
        """Return the invoices that may have been revised when a reversal was added. Otherwise revising moves them."""
        return [id_ for id_ in ids if id_ not in self._due]

    async def _credit(self, id_: str, reached: Reached, calendar: Calendar) -> int | None:
        """Credit what is due on one invoice. Return the end of the period after which more of it is due."""
        self._due.pop(id_, None)
        try:
            end = await self._credit_invoice(id_, reached, calendar)
        except DamagedInvoice as damaged:
            if self.trouble is None:
                log.error("billing.reversal_not_credited", invoice=id_, reason=damaged.reason, remedy=damaged.remedy)
            self.trouble = f"the reversals on invoice {id_} are not credited: {damaged}"
            return None
        if end is not None:
            self._due[id_] = end
        return end

    async def _credit_invoice(self, id_: str, reached: Reached, calendar: Calendar) -> int | None:
        invoice = await self._call("reading an invoice", partial(self._invoices.get, id_))
        if invoice is None:
            raise DamagedInvoice(f"invoice {id_} does not exist", "run `witnd audit` to see what is wrong")
        if invoice.revised_by is not None:
            await self._move(id_, invoice.revised_by)
            return None
        if invoice.status in ("draft", "void"):
            await self._call("crediting reversals", partial(self._add_rows, invoice, reached))
            return await self._next_row(invoice)
        keys = await self._call("reading reversals", partial(self._invoices.reversals.pending_keys, id_))
        for period in dict.fromkeys(calendar.period_at(at) for _, at in keys):
            if period.end > reached.applied or not await self._call("checking Redis", self._safe):
                return period.end
            await self._call("writing a credit note", partial(self._credits.write_note, invoice, period))
        return None

    async def _add_rows(self, invoice: Invoice, reached: Reached) -> bool:
        """Credit on a draft the reversals that every later issue would include."""
        if invoice.status == "void":
            return await self._credits.add_rows(invoice, None)
        if not invoice.closed:
            return await self._credits.add_rows(invoice, min(invoice.end, reached.live))
        through = reached.applied
        if self._grace_ms is not None:
            through = min(through, invoice.end + self._grace_ms)
        if invoice.subtotal or invoice.manual:
            return await self._credits.add_rows(invoice, through)
        # Nothing remains of a draft without amounts. It may never be issued, so its reversals must not wait.
        return await self._credits.add_rows(invoice, reached.applied, through)

    async def _next_row(self, invoice: Invoice) -> int | None:
        """Return how far the logs must be applied for the next credit row on a closed draft. If they are idle, a tick
        makes it due, so that a person who issues the draft has all reversals on it."""
        if not invoice.closed:
            return None
        keys = await self._call("reading reversals", partial(self._invoices.reversals.pending_keys, invoice.id))
        if not keys:
            return None
        due = keys[0][1] + 1
        is_in_time = self._grace_ms is None or due <= invoice.end + self._grace_ms
        return due if is_in_time or not (invoice.subtotal or invoice.manual) else None

    async def _move(self, id_: str, next_: str) -> None:
        """Move reversals that were collected while the invoice was revised to its next edition."""
        pending = await self._call("reading reversals", partial(self._invoices.reversals.pending_keys, id_))
        keys, step = self._ledger.keys, self._steps.begin()
        stored = await self._call(
            "reading reversals",
            partial(known_reversals, self._ledger, {id_: [key for key, _ in pending]}),
        )
        for key, at in pending:
            step.add("HSET", keys.reversals(next_), key, stored[id_, key])
            step.add("ZADD", keys.pending_reversals(next_), at, key)
            step.add("ZADD", keys.reversed, "LT", at, next_)
        step.add("UNLINK", keys.pending_reversals(id_))
        step.add("ZREM", keys.reversed, id_)
        await self._steps.commit(step)
        self._new.add(next_)
