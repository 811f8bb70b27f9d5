"""Audit all stored data: partitions, invoices, the journal of this host, and acknowledged events."""

from collections.abc import Iterable, Sequence
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from witnd.app.audit_totals import Invoiced, invoiced
from witnd.app.services import Services
from witnd.audit.acknowledged import Acknowledged, missing_events
from witnd.audit.invoices.run import audit_invoices
from witnd.audit.invoices.totals import InvoiceAudit
from witnd.audit.run import PartitionAudit, Progress, audit_partitions
from witnd.audit.scope import Mismatch, RepairedLine
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.outcomes.event import EntryId
from witnd.domain.values import money
from witnd.store.journal.journal import Loss
from witnd.store.journal.repair import compare_with_journal
from witnd.store.keys import BillingKeys
from witnd.store.query.reads import open_reads, text_of


class Compared(Struct, frozen=True, kw_only=True):
    """Events of `--acknowledged`; `missing` are in no log, history or fate."""

    events: int
    missing: int


class Billed(Struct, frozen=True, kw_only=True):
    """Invoice lines of one currency, over all partitions."""

    currency: str
    lines: int
    amount: str


class Report(Struct, frozen=True, kw_only=True):
    """The result. `exact` is false if a partition changed during the audit."""

    clean: bool
    exact: bool
    quick: bool
    outcomes: dict[str, int]
    events: dict[str, int]
    deliveries: int
    billed: list[Billed]
    invoices: list[Invoiced] | None
    partitions: list[dict[str, object]]
    difference_count: int
    differences: list[Mismatch]
    repaired: list[RepairedLine]
    acknowledged: Compared | None = None


def _ignore(_progress: str) -> None:
    """Show no progress."""


async def audit(
    services: Services,
    *,
    quick: bool = False,
    partition: int | None = None,
    acknowledged: Iterable[Acknowledged] | None = None,
    progress: Progress = _ignore,
) -> Report:
    """Audit everything, or only one partition without invoices, with all partitions that were one with it. `quick`:
    check only the sums."""
    config, store = services.config, services.catalogue_store
    catalogue = Catalogue()

    async def learn() -> Catalogue:
        await store.load(catalogue)
        await store.check(catalogue)
        return catalogue

    async with open_reads(services.server) as reads:
        services.chosen(partition)  # refuses an unknown one
        verdicts = await audit_partitions(
            reads, services.partitions, learn, quick=quick, progress=progress, only=partition
        )
        books = None
        if partition is None:
            keys = BillingKeys(config.redis.prefix)
            books = await audit_invoices(reads, keys, services.partitions, learn, quick=quick, progress=progress)
        where = config.daemon.state_dir, config.redis.prefix, config.redis.partitions
        missing = [_journal_loss(loss) for loss in await compare_with_journal(services.client, *where)]
        compared = None
        if acknowledged is not None:
            progress("acknowledged events")
            count, lost = await missing_events(reads, services.partitions, acknowledged)
            compared = Compared(events=count, missing=len(lost))
            missing += [_missing_event(*one) for one in lost]
    report = _report(verdicts, books, quick=quick)
    return replace(
        report,
        clean=report.clean and not missing,
        difference_count=report.difference_count + len(missing),
        differences=[*report.differences, *missing],
        acknowledged=compared,
    )


def _report(verdicts: Sequence[PartitionAudit], books: InvoiceAudit | None, *, quick: bool) -> Report:
    outcomes: dict[str, int] = {}
    events: dict[str, int] = {}
    sums: dict[str, tuple[int, Decimal, int]] = {}
    for verdict in verdicts:
        for status, count in verdict.outcomes.items():
            outcomes[status] = outcomes.get(status, 0) + count
        for fate, count in verdict.events.items():
            events[fate] = events.get(fate, 0) + count
        for currency, one in verdict.sums.items():
            lines, amount, digits = sums.get(currency, (0, Decimal(0), 0))
            sums[currency] = (lines + one.lines, money.plus(amount, one.amount), max(digits, one.digits))
    exact = all(verdict.exact for verdict in verdicts) and (books is None or books.exact)
    count = sum(verdict.difference_count for verdict in verdicts) + (books.difference_count if books else 0)
    return Report(
        clean=exact and not count,
        exact=exact,
        quick=quick,
        outcomes=outcomes,
        events=events,
        deliveries=sum(verdict.deliveries for verdict in verdicts),
        billed=[
            Billed(currency=currency, lines=lines, amount=money.minor_text(amount, digits))
            for currency, (lines, amount, digits) in sorted(sums.items())
        ],
        invoices=[invoiced(*one) for one in books.sums.items()] if books else None,
        partitions=[
            {
                "partition": verdict.partition,
                "exact": verdict.exact,
                "log": verdict.log,
                "gaps": verdict.gaps,
                "lost": verdict.lost,
            }
            for verdict in verdicts
        ],
        difference_count=count,
        differences=[one for verdict in verdicts for one in verdict.differences] + (books.differences if books else []),
        repaired=[one for verdict in verdicts for one in verdict.repaired],
    )


def _journal_loss(loss: Loss) -> Mismatch:
    return Mismatch(
        partition=None,
        key="",
        what="journal of this host",
        expected="everything that it records",
        found=loss.reason,
        remedy=loss.remedy,
    )


def _missing_event(partition: int, entry: EntryId) -> Mismatch:
    return Mismatch(
        partition=partition,
        key="",
        what=f"acknowledged event {text_of(entry)}",
        expected="in the log, a history or a fate",
        found="nowhere",
        remedy="send it again with the same idempotency key",
    )
