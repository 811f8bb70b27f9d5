"""Create drafts for customers who owe a recurring fee or commitment for a period without any outcome."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from witnd.billing.steps import Steps
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.catalogue.period_terms import period_charges
from witnd.domain.invoices.invoice import Invoice, empty_invoice
from witnd.domain.values.period import Calendar, Period
from witnd.store.invoices.codec import billed_fields
from witnd.store.invoices.ledger import Ledger
from witnd.store.partition.commit import Commit

# Drafts per step: a few ms of server time.
STEP_DRAFTS = 500
# Customers whose terms are calculated before other tasks run: a few ms.
CUSTOMERS_PER_TURN = 200


class FeePeriods:
    """Creates the drafts of one period after another. `charged_to`: all periods that end at or before it are done."""

    def __init__(
        self,
        ledger: Ledger,
        catalogue: Catalogue,
        steps: Steps,
        call: Callable[[str, Callable[[], Awaitable[Any]]], Awaitable[Any]],
    ) -> None:
        self.charged_to = 0
        self._ledger = ledger
        self._catalogue = catalogue
        self._steps = steps
        self._call = call

    def next_end(self, calendar: Calendar) -> int | None:
        """Return the end of the next period in which a customer can owe a fee or commitment."""
        first = self._catalogue.first_charge
        at = self.charged_to if first is None else max(first, self.charged_to)
        return None if first is None or at >= calendar.until else calendar.period_at(at).end

    async def create_drafts(self, calendar: Calendar, until: int) -> None:
        """Create the missing drafts of all periods that end by `until`."""
        while (end := self.next_end(calendar)) is not None and end <= until:
            period = calendar.period_at(end - 1)
            waiting: list[Invoice] = []
            for place, customer in enumerate(self._catalogue.keys("customer")):
                if place % CUSTOMERS_PER_TURN == 0:
                    await asyncio.sleep(0)
                waiting += due_drafts(self._catalogue, customer, period, calendar)
                if len(waiting) >= STEP_DRAFTS:
                    await self._write(waiting)
                    waiting = []
            await self._write(waiting, end)

    async def _write(self, drafts: Sequence[Invoice], charged_to: int | None = None) -> None:
        """Write the drafts that do not exist yet, and with the last ones of a period its end."""
        keys, ids = self._ledger.keys, [draft.id for draft in drafts]
        known = await self._call("reading drafts", partial(self._ledger.find_invoices, ids))
        step = self._steps.begin()
        for draft in drafts:
            if draft.id not in known:
                add_draft(step, self._ledger, draft)
        if charged_to is not None:
            step.add("HSET", keys.state, "charged_to", charged_to)
        await self._steps.commit(step)
        self.charged_to = charged_to or self.charged_to


def due_drafts(catalogue: Catalogue, customer: str, period: Period, calendar: Calendar) -> list[Invoice]:
    """Return an empty draft for each currency in which a customer owes a fee or commitment for a period."""
    charges = period_charges(catalogue, customer, period, calendar)
    return [empty_invoice(customer, due.currency, due.digits, period) for due in charges.values() if due.is_due]


def add_draft(step: Commit, ledger: Ledger, draft: Invoice) -> None:
    """Add a new draft and its places in the lists to a step."""
    keys = ledger.keys
    step.add("HSET", keys.invoice(draft.id), *billed_fields(draft))
    step.add("ZADD", keys.invoices, draft.start, draft.id)
    step.add("ZADD", keys.customer(draft.customer_key), draft.start, draft.id)
    step.add("ZADD", keys.open, draft.end, draft.id)
