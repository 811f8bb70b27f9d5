"""An audit of the invoices: every line is in exactly one, every sum is that of its rows, every closed one is priced
again.

It goes through the periods one by one: first the lines of a period, then its invoices, each as it stands at one time
together with how far the biller has read. So it holds on a running system too: lines that come meanwhile are read
up to that time before an invoice is judged. It takes the memory of one period's invoices. Nothing is written.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from decimal import Decimal
from typing import Final

from witnd.audit.findings import OTHERS, RESTORE, Findings
from witnd.audit.invoices.credits import Balances
from witnd.audit.invoices.indexes import check_keys, check_numbers
from witnd.audit.invoices.invoice import Examiner, Horizon, Tally
from witnd.audit.invoices.lines import Streams, Told, line_content, mark
from witnd.audit.invoices.seen import END_OF_TIME, FIXED, Biller, biller, questions, seen_of
from witnd.audit.invoices.totals import Books, Sums
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.invoices.invoice import invoice_id
from witnd.domain.values import instant
from witnd.domain.values.money import exact_sum
from witnd.domain.values.period import Calendar, Period
from witnd.store.keys import BillingKeys, Keys
from witnd.store.log.reader import entry_id
from witnd.store.query.reads import PAGE, Reads, text_of
from witnd.store.records.line_position import line_digest
from witnd.store.records.score import whole

# How often an invoice is looked at again because something was done to it meanwhile.
ATTEMPTS: Final = 8
# Commands of one atomic read: a few ms of the server's time.
COMMANDS_MAX: Final = 1000


Learn = Callable[[], Awaitable[Catalogue]]


async def audit_invoices(
    reads: Reads,
    keys: BillingKeys,
    partitions: Sequence[Keys],
    learn: Learn,
    *,
    quick: bool,
    progress: Callable[[str], None],
) -> Books:
    """Raises what reads raise. `learn` answers with the catalogue as it is by now."""
    walk = _Walk(reads, keys, partitions, learn, progress, quick=quick)
    await walk.run()
    progress("invoices: lists, numbers, balances")
    await check_keys(reads, keys, len(partitions), walk.findings)
    await check_numbers(reads, keys, walk.findings)
    await walk.balances.walk()
    for currency, (count, amount) in walk.balances.sums.items():
        booked = walk.sums.of(currency)
        booked.balances, booked.balance = count, amount
    return Books(
        exact=walk.exact,
        sums=dict(sorted(walk.sums.currencies.items())),
        differences=walk.findings.kept,
        difference_count=walk.findings.count,
    )


class _Walk:
    """Through all periods that have lines or invoices, the oldest first."""

    def __init__(
        self,
        reads: Reads,
        keys: BillingKeys,
        partitions: Sequence[Keys],
        learn: Learn,
        progress: Callable[[str], None],
        *,
        quick: bool,
    ) -> None:
        self.findings = Findings()
        self.balances = Balances(reads, keys, self.findings)
        self.sums = Sums()
        self.exact = True
        self._reads, self._keys, self._partitions = reads, keys, partitions
        self._learn, self._progress = learn, progress
        self._streams = Streams(reads, partitions, self.findings)
        self._examiner = Examiner(reads, keys, self._streams, quick=quick)
        self._state = Biller({}, None, 0)
        self._period = Period(0, 0, "")
        # Of the period at hand: what its lines come to by invoice, whose invoice is whose, and which are judged.
        self._tallies: dict[str, Tally] = {}
        self._ids: dict[tuple[str, str], str] = {}
        self._done: set[str] = set()
        self._looked_at = 0

    async def run(self) -> None:
        self._state = biller(self._keys.state, (await self._reads.pipeline(("HGETALL", self._keys.state)))[0])
        await self._check_positions()
        if self._state.calendar is not None:
            end = 0
            while (at := await self._next(end)) is not None:
                await self._audit_period(self._calendar.period_at(at))
                end = self._period.end
        elif (await self._reads.pipeline(("EXISTS", self._keys.invoices)))[0]:
            self.findings.differ("calendar of the biller", "one: there are invoices", "none", RESTORE)
        await self._count_waiting()
        if self.exact:
            self.sums.compare(self.findings)

    @property
    def _calendar(self) -> Calendar:
        return self._state.calendar or Calendar.of("month")

    async def _check_positions(self) -> None:
        """The last lines that were read are there, and are the same: nobody has trimmed or replaced them."""
        for keys in self._partitions:
            position = self._state.positions.get(keys.partition)
            if position is None:
                continue
            place = text_of(position.entry)
            found = (await self._reads.pipeline(("XRANGE", keys.lines, place, place)))[0]
            what = f"line {position.number} of {keys.lines}"
            if not found:
                self.findings.differ(what, "there: the biller has read up to it", "none", RESTORE)
            elif line_digest(found[0][1][1]) != position.digest:
                self.findings.differ(what, "the one that the biller has read", "another", RESTORE)

    async def _next(self, end: int) -> int | None:
        """An instant of the next period with lines or invoices."""
        command = ("ZRANGEBYSCORE", self._keys.invoices, end, f"({END_OF_TIME}", "WITHSCORES", "LIMIT", 0, 1)
        found = (await self._reads.pipeline(command))[0]
        instants = [whole(found[1])] if found else []
        if (at := await self._streams.next_at(self._state.read)) is not None:
            instants.append(max(at, end))
        return min(instants, default=None)

    # -- one period ----------------------------------------------------------------------------------------------------

    async def _audit_period(self, period: Period) -> None:
        self._period = period
        self._tallies, self._ids, self._done = {}, {}, set()
        self._examiner.begin(period, self._streams.taken, self._id_of)
        await self._collect()
        async for ids in self._listed():
            await self._judge(ids)
        while left := list(self._tallies):
            await self._judge(left)

    async def _listed(self) -> AsyncIterator[list[str]]:
        """The period's invoices. Some may come twice where others are added meanwhile."""
        start = 0
        while True:
            bounds = (self._period.start, f"({self._period.end}", "LIMIT", start, PAGE)
            page = (await self._reads.pipeline(("ZRANGEBYSCORE", self._keys.invoices, *bounds)))[0]
            yield [id_.decode() for id_ in page]
            if len(page) < PAGE:
                return
            start += PAGE

    async def _collect(self) -> None:
        """Count the lines of the period up to where the biller was."""
        async for page in self._streams.take(self._period.end, self._state.read):
            for told in page:
                booked = self.sums.of(told.line.currency)
                booked.lines += 1
                booked.digits = max(booked.digits, told.line.digits)
                id_ = self._id_of(told) if told.at in self._period else None
                if id_ is None or id_ in self._done:
                    booked.waiting += 1
                    continue
                tally = self._tallies.get(id_)
                if tally is None:
                    tally = self._tallies[id_] = Tally()
                tally.lines += 1
                tally.mark += mark(line_content(told))
                if told.line.amount is None:
                    tally.unrated += 1
                else:
                    tally.settled = exact_sum((tally.settled, Decimal(told.line.amount)))

    def _id_of(self, told: Told) -> str:
        whose = told.line.customer_key, told.line.currency
        id_ = self._ids.get(whose)
        if id_ is None:
            id_ = self._ids[whose] = invoice_id(*whose, self._period)
        return id_

    # -- invoices ------------------------------------------------------------------------------------------------------

    async def _judge(self, ids: Sequence[str]) -> None:
        """Judge those that are not judged yet; again those to which something was done meanwhile."""
        waiting = [id_ for id_ in ids if id_ not in self._done]
        most = max(1, COMMANDS_MAX // (FIXED + len(self._partitions)))
        for _ in range(ATTEMPTS):
            moved: list[str] = []
            for at in range(0, len(waiting), most):
                moved += await self._judge_some(waiting[at : at + most])
            if not moved:
                return
            waiting = moved
        self.exact = False
        for id_ in waiting:
            self._finish(id_)

    async def _judge_some(self, ids: Sequence[str]) -> list[str]:
        """Answers which of them have moved on."""
        partitions = [keys.partition for keys in self._partitions]
        raw, *answers = await self._reads.transaction_with_errors(
            ("HGETALL", self._keys.state), *questions(self._keys, partitions, ids)
        )
        if isinstance(raw, Exception):
            await self._reads.pipeline(("HGETALL", self._keys.state))  # raises, by name
        self._state = state = biller(self._keys.state, raw)
        await self._collect()
        catalogue = await self._learn()
        horizon = Horizon(self._calendar, state.closed_to, state.read, catalogue.price_by_hash)
        each, moved = FIXED + len(partitions), []
        for place, id_ in enumerate(ids):
            tally, found = self._tallies.get(id_, Tally()), Findings(id_)
            seen = seen_of(id_, answers[place * each : (place + 1) * each])
            if isinstance(seen, str):
                expected = f"one of {tally.lines} lines" if tally.lines else "one: it is listed"
                found.differ("invoice", expected, seen, RESTORE)
            else:
                judged = await self._examiner.judge(seen, tally, horizon, found)
                if judged is None:
                    moved.append(id_)
                    continue
                self.sums.enter(seen.invoice, tally.settled, judged.added)
                if judged.balance_missing:
                    await self.balances.check(seen.invoice.customer_key, seen.invoice.currency)
            self._finish(id_)
            self.findings.take(found)
        self._progress(f"invoices: {self._looked_at}, those of {instant.render(self._period.start)[:10]}")
        return moved

    def _finish(self, id_: str) -> None:
        self._done.add(id_)
        self._tallies.pop(id_, None)
        self._looked_at += 1

    # -- what is on no invoice yet -------------------------------------------------------------------------------------

    async def _count_waiting(self) -> None:
        """The lines behind those that were read; none of them may belong to a period that is closed."""
        state = self._state = biller(self._keys.state, (await self._reads.pipeline(("HGETALL", self._keys.state)))[0])
        last = await self._reads.pipeline(
            *(("XREVRANGE", keys.lines, "+", "-", "COUNT", 1) for keys in self._partitions)
        )
        ends = {
            keys.partition: entry_id(found[0][0]) if found else (0, 0)
            for keys, found in zip(self._partitions, last, strict=True)
        }
        async for page in self._streams.take(END_OF_TIME, ends):
            for told in page:
                booked = self.sums.of(told.line.currency)
                booked.lines += 1
                booked.digits = max(booked.digits, told.line.digits)
                booked.waiting += 1
                read = state.read.get(told.partition, (0, 0))
                if told.entry > read and told.at < state.closed_to:
                    until = instant.render(state.closed_to)
                    found_ = f"not read, and resolved {told.line.resolved_at}"
                    self.findings.differ(
                        "line",
                        f"in an invoice: all until {until} are closed",
                        found_,
                        OTHERS,
                        key=told.line.outcome_key,
                    )
