"""The summary of the demo: outcomes by agent, with the sums of the audit.

The rows are counted from the resolutions, the sums come from the audit. Differences between them are reported with
those of the audit.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Final

import msgspec
from msgspec import Struct

from witnd.audit.invoices.run import audit_invoices
from witnd.audit.invoices.totals import InvoiceAudit, StageTotals
from witnd.audit.run import PartitionAudit, audit_partitions
from witnd.demo.receiver import ReceiverStats
from witnd.demo.screen import Piece
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.outcomes.outcome import Status
from witnd.domain.outcomes.resolution import Resolution
from witnd.domain.values import money
from witnd.store.catalogue.versions import CatalogueStore
from witnd.store.keys import BillingKeys, Keys
from witnd.store.query.reads import FATES, Reads
from witnd.store.records.codec import decode_outcome

_SHOWN: Final = 20  # differences; all are counted
_ORDER: Final = ("duplicate", "conflict", "late", "held", "rejected", "waiting")
assert set(_ORDER) == set(FATES)


class Agent(Struct, kw_only=True):
    """The outcomes of one agent."""

    statuses: Counter[str]
    amounts: dict[str, Decimal]


class Summary(Struct, frozen=True, kw_only=True):
    """The data of the summary."""

    agents: Mapping[str, Agent]
    verdict: PartitionAudit
    books: InvoiceAudit
    heard: ReceiverStats

    @property
    def differences(self) -> list[str]:
        """Return all differences as text: those of the audit, and those between rows and audit."""
        found = [
            f"{one.key or 'the partition'}: {one.what}: {one.expected} expected, {one.found} found"
            for one in [*self.verdict.differences, *self.books.differences][:_SHOWN]
        ]
        statuses: Counter[str] = Counter()
        amounts: dict[str, Decimal] = defaultdict(Decimal)
        for agent in self.agents.values():
            statuses.update(agent.statuses)
            for currency, amount in agent.amounts.items():
                amounts[currency] += amount
        for status, expected in self.verdict.outcomes.items():
            if statuses[status] != expected:
                found.append(f"{status} outcomes: {expected} expected, {statuses[status]} found")
        billed = {currency: one.amount for currency, one in self.verdict.sums.items()}
        if billed != amounts:
            found.append(f"amounts: {_money(billed)} expected, {_money(amounts)} found")
        return found

    @property
    def difference_count(self) -> int:
        shown = min(_SHOWN, len(self.verdict.differences) + len(self.books.differences))
        return self.verdict.difference_count + self.books.difference_count + len(self.differences) - shown


async def summary(
    reads: Reads, keys: Keys, billing: BillingKeys, store: CatalogueStore, catalogue: Catalogue, heard: ReceiverStats
) -> Summary:
    """Count and audit everything. The daemon must be stopped."""

    async def learn() -> Catalogue:
        await store.load(catalogue)
        return catalogue

    def silent(_: str) -> None:
        """Ignore progress, because the audit is fast."""

    [verdict] = await audit_partitions(reads, [keys], learn, quick=False, progress=silent)
    books = await audit_invoices(reads, billing, [keys], learn, quick=False, progress=silent)
    return Summary(agents=await _agents(reads, keys, await learn()), verdict=verdict, books=books, heard=heard)


async def _agents(reads: Reads, keys: Keys, catalogue: Catalogue) -> Mapping[str, Agent]:
    agents: dict[str, Agent] = {}

    def add(agent: str, status: Status | str) -> Agent:
        one = agents.setdefault(agent, Agent(statuses=Counter(), amounts=defaultdict(Decimal)))
        one.statuses[status] += 1
        return one

    async for page in reads.entries(keys.resolutions):
        for _, fields in page:
            resolution = msgspec.json.decode(fields[1], type=Resolution)
            one = add(resolution.agent_key, resolution.status)
            if isinstance(resolution.amount, str) and isinstance(resolution.currency, str):
                one.amounts[resolution.currency] += Decimal(resolution.amount)
    async for scored in reads.scan_scores(keys.due):
        names = [keys.outcome(key) for key, _ in scored]
        found = (await reads.pipeline(("MGET", *names)))[0]
        for (key, _), raw in zip(scored, found, strict=True):
            record = None if raw is None else decode_outcome(key, raw)
            if record is not None and record.processed_at is None:
                add(catalogue.contract(record.contract_hash).agent, record.status)
    return dict(sorted(agents.items()))


# -- in words ------------------------------------------------------------------------------------


def lines(summed: Summary) -> Iterator[tuple[Piece, ...]]:
    """Yield the lines of the summary."""
    yield from _table(summed)
    yield ()
    events = summed.verdict.events
    fates = ", ".join(f"{events[fate]} {fate}" for fate in ("applied", *_ORDER))
    yield _row("events", f"{sum(events.values())} received: {fates}")
    heard = summed.heard
    told = f"{heard.verified} verified, {heard.retried} of them after a retry"
    if heard.repeated:
        told += f", {heard.repeated} received again"
    yield _row("webhooks", told, (f", {heard.forged} forged", "bold red") if heard.forged else ())
    yield _row("invoices", _drafts(summed.books))
    count = summed.difference_count
    if not (summed.verdict.exact and summed.books.exact):
        yield _row("audit", "the log changed during the audit, so its sums are not proven")
        return
    counted = sum(summed.verdict.outcomes.values())
    style = "bold red" if count else "bold green"
    yield (
        ("audit: ", "bold"),
        (f"{_many(counted, 'outcome')} recomputed, {_many(count, 'difference')}", style),
    )
    for difference in summed.differences:
        yield ((f"  {difference}", "red"),)


def _drafts(books: InvoiceAudit) -> str:
    """Describe the drafts of the current month."""
    drafts = {currency: sums.stages.get("open", StageTotals()) for currency, sums in books.sums.items()}
    count, lines = sum(one.invoices for one in drafts.values()), sum(one.lines for one in drafts.values())
    waiting = sum(sums.waiting for sums in books.sums.values())
    subtotals = {c: money.to_minor(one.subtotal, books.sums[c].digits) for c, one in drafts.items()}
    said = f"{_many(count, 'draft')} of {_many(lines, 'line')}: {_money(subtotals)}"
    return said + (f" ({_many(waiting, 'line')} not in one yet)" if waiting else "")


def _row(name: str, text: str, more: Piece | tuple[()] = ()) -> tuple[Piece, ...]:
    pieces: list[Piece] = [(f"{name}: ", "bold"), (text, "")]
    return (*pieces, more) if more else tuple(pieces)


def _table(summed: Summary) -> Iterator[tuple[Piece, ...]]:
    """Yield a row for each agent, and the audit's sums."""
    billed = {currency: one.amount for currency, one in summed.verdict.sums.items()}
    proven = Agent(statuses=Counter(summed.verdict.outcomes), amounts=billed)
    agents = [*summed.agents.items(), ("together", proven)]
    # Outcomes are open only after an interrupt.
    settled = not _counts(proven)[-1]
    head = ("agent", "opened", "confirmed", "missed", *(() if settled else ("still open",)))
    rows = [head, *((name, *map(str, _counts(one)))[: len(head)] for name, one in agents)]
    amounts = ["billed", *(_money(one.amounts) for _, one in agents)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, (row, amount) in enumerate(zip(rows, amounts, strict=True)):
        first, *others = zip(row, widths, strict=True)
        cells = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others), amount]
        yield (("  ".join(cells), "bold" if number in (0, len(agents)) else ""),)


def _counts(agent: Agent) -> tuple[int, int, int, int]:
    """Return the numbers of opened, confirmed, missed and open outcomes."""
    statuses = agent.statuses
    still_open = statuses["OPEN"] + statuses["PENDING"]
    confirmed, missed = statuses["CONFIRMED"], statuses["FAILED"]
    return confirmed + missed + still_open, confirmed, missed, still_open


def _money(amounts: Mapping[str, Decimal]) -> str:
    """Format the amounts with the digits of their currency."""
    return ", ".join([f"{amount:f} {currency}" for currency, amount in sorted(amounts.items())]) or "–"


def _many(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"
