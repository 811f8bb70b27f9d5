"""`witnd audit`: verify that the stored data follows from the log and the frozen terms."""

import sys
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path

import click
from msgspec import Struct
from msgspec.structs import replace

from witnd.audit.acknowledged import missing_events
from witnd.audit.invoices.run import audit_invoices
from witnd.audit.invoices.totals import InvoiceAudit
from witnd.audit.run import PartitionAudit, audit_partitions
from witnd.audit.scope import Mismatch, RepairedLine
from witnd.cli.console.context import as_json, config_option, json_option, run, session, table
from witnd.cli.operate.acknowledged import Compared, acknowledged, journal_loss, missing_event
from witnd.cli.operate.audit_totals import Invoiced, invoice_rows, invoiced
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.outcomes.explain import STATUS_TEXT
from witnd.domain.values import money
from witnd.exit_codes import DIFFERENCE, REDIS
from witnd.store.catalogue.versions import CatalogueStore
from witnd.store.journal.repair import compare_with_journal
from witnd.store.keys import BillingKeys
from witnd.store.query.reads import open_reads


class Billed(Struct, frozen=True, kw_only=True):
    """Invoice lines of one currency, over all partitions."""

    currency: str
    lines: int
    amount: str


class Report(Struct, frozen=True, kw_only=True):
    """The output of `--json`. `exact` is false if a partition changed during the audit."""

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


@click.command()
@click.option("--quick", is_flag=True, help="Check only the sums; do not recompute outcomes and invoices.")
@click.option("--partition", type=int, help="Only this partition, without invoices.")
@click.option(
    "--acknowledged",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file of acknowledged events: list those that Redis does not have.",
)
@json_option
@config_option
def audit(quick: bool, partition: int | None, file: Path | None, json_output: bool, config_path: Path | None) -> None:
    """Recompute every outcome and invoice, and report differences.

    The audit recomputes each outcome from its history and its frozen contract and price. It compares the
    result with the record, deadline, resolution, invoice line and deliveries. For each partition, it
    checks that every accepted event has exactly one fate, that an untrimmed log has exactly these events,
    and that each final outcome has one resolution and each confirmed outcome one line. For all
    partitions, it checks that each collected line is in exactly one invoice, of the right customer,
    currency and period; that amounts follow from the frozen prices; that numbers have no gaps; that
    credits, totals and balances add up; and that Redis has everything in the journal of this host. The
    audit only reads.

    An outcome on hold is a difference, because the audit cannot recompute it. Lines that were late
    because their outcome was on hold are listed as repaired and are not differences.

    You can run the audit while the daemon works. Lines that the daemon has not collected yet are listed
    as waiting and are not differences. The sums of a partition are exact only if nothing changes while
    they are taken. Otherwise the audit reports it and exits with code 3. Differences exit with code 5.

    --acknowledged lists acknowledged events that Redis does not have. Each line of the file is one event:
    a JSON object with "id" and "partition" (or "key") as in the API response, or a partition and an id as
    plain text.

    \b
    JSON: {"clean", "exact", "quick", "outcomes": {status: n}, "events": {fate: n}, "deliveries",
      "billed": [{"currency", "lines", "amount"}…], "invoices": [{"currency", "lines", "waiting",
      "settled", "added", "open", "draft", "issued", "paid", "void" (each {"invoices", "lines",
      "subtotal", "total"}), "credit_notes", "balances" (each {"count", "amount"})}…] | null,
      "partitions": [{"partition", "exact", "log", "gaps", "lost"}…], "difference_count",
      "differences": [{"partition", "invoice", "key", "what", "expected", "found", "remedy"}…],
      "repaired": [{"partition", "key", "resolved_at", "repaired_at"}…],
      "acknowledged": {"events", "missing"} | null}
      (the first 1000 differences of each partition and of the invoices)

    \b
    Examples:
      witnd audit
      witnd audit --quick --json
      witnd audit --quick --acknowledged acknowledged.jsonl
    """
    run(_audit(quick, partition, file, json_output, config_path))


async def _audit(quick: bool, partition: int | None, file: Path | None, as_document: bool, config: Path | None) -> None:
    progress = _progress()
    async with session(config) as opened, open_reads(opened.server) as reads:
        catalogue = Catalogue()
        store = CatalogueStore(opened.redis, opened.global_keys, opened.partitions)

        async def learn() -> Catalogue:
            await store.load(catalogue)
            await store.check(catalogue)
            return catalogue

        opened.chosen(partition)  # refuses an unknown one
        verdicts = await audit_partitions(
            reads, opened.chosen(None), learn, quick=quick, progress=progress, only=partition
        )
        books = None
        if partition is None:
            books = await audit_invoices(
                reads,
                BillingKeys(opened.config.redis.prefix),
                opened.chosen(None),
                learn,
                quick=quick,
                progress=progress,
            )
        where = opened.config.daemon.state_dir, opened.config.redis.prefix, opened.partitions
        missing = [journal_loss(loss) for loss in await compare_with_journal(opened.redis, *where)]
        compared = None
        if file is not None:
            progress("acknowledged events")
            count, lost = await missing_events(reads, opened.chosen(None), acknowledged(file, opened.partitions))
            compared = Compared(events=count, missing=len(lost))
            missing += [missing_event(*one) for one in lost]
    progress("")
    report = _report(verdicts, books, quick)
    report = replace(
        report,
        clean=report.clean and not missing,
        difference_count=report.difference_count + len(missing),
        differences=[*report.differences, *missing],
        acknowledged=compared,
    )
    if as_document:
        as_json(report)
    else:
        _print(report)
    if report.difference_count:
        raise click.exceptions.Exit(DIFFERENCE)
    if not report.exact:
        raise click.exceptions.Exit(REDIS)


def _progress() -> Callable[[str], None]:
    """Overwrite one line of progress on a terminal; print nothing elsewhere."""
    if not sys.stderr.isatty():
        return lambda _line: None

    def say(line: str) -> None:
        click.echo(f"\r\x1b[K{line}", err=True, nl=False)

    return say


def _report(verdicts: Sequence[PartitionAudit], books: InvoiceAudit | None, quick: bool) -> Report:
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


def _print(report: Report) -> None:
    _print_differences(report.differences)
    rows: list[tuple[object, ...]] = [
        ("outcomes", STATUS_TEXT[status], count) for status, count in report.outcomes.items()
    ]
    rows += [("events", fate, count) for fate, count in report.events.items()]
    rows += [("events", "accepted", sum(report.events.values()))]
    if not report.quick:
        rows += [("deliveries", "", report.deliveries)]
    rows += [("invoice lines", f"{one.lines} in {one.currency}", one.amount) for one in report.billed]
    for sums in report.invoices or ():
        rows += invoice_rows(sums)
    if report.acknowledged is not None:
        rows.append(("acknowledged events", "compared", report.acknowledged.events))
    table(("what", "", "total"), rows)
    for late in report.repaired:
        click.echo(
            f"repaired: {late.key} was due at {late.resolved_at} while on hold, and was billed at {late.repaired_at}"
        )
    for one in report.partitions:
        if one["log"] != "compared":
            click.echo(f"partition {one['partition']}: the log was {one['log']}")
        if one["gaps"]:
            click.echo(
                f"partition {one['partition']}: `witnd repair gap` accepted {one['gaps']} "
                f"gap{'' if one['gaps'] == 1 else 's'} in its log, with {one['lost']} entries known to be missing"
            )
        if not one["exact"]:
            click.echo(
                f"witnd: the sums of partition {one['partition']} are not exact because it kept changing; "
                "repeat the audit when no events arrive and no outcome is due, or stop the daemon first",
                err=True,
            )
    if not report.exact and all(one["exact"] for one in report.partitions):
        click.echo("witnd: some invoices changed during the audit; repeat it", err=True)
    if report.difference_count:
        many = f"{report.difference_count} difference{'' if report.difference_count == 1 else 's'}"
        remedy = "back up the data before you change anything"
        click.echo(f"witnd: {many} between stored and recomputed data; {remedy}", err=True)
    elif report.clean:
        click.echo("clean: stored and recomputed data agree")


def _print_differences(differences: Sequence[Mismatch]) -> None:
    """Print the differences of partitions, then those of invoices with their remedies."""
    of_partitions = [one for one in differences if one.partition is not None]
    of_invoices = [one for one in differences if one.partition is None]
    if of_partitions:
        table(
            ("key", "partition", "what", "expected", "found"),
            [(one.key or "(all)", one.partition, one.what, one.expected, one.found) for one in of_partitions],
        )
        click.echo()
    if of_invoices:
        table(
            ("invoice", "key", "what", "expected", "found", "do"),
            [
                (one.invoice or "(all)", one.key or "(all)", one.what, one.expected, one.found, one.remedy)
                for one in of_invoices
            ],
        )
        click.echo()
