"""`witnd audit`: verify that the stored data follows from the log and the frozen terms."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import click

from witnd.app import audit as use
from witnd.app.audit import Report
from witnd.app.audit_totals import Invoiced, Part
from witnd.audit.scope import Mismatch
from witnd.cli.console.context import as_json, config_option, json_option, run, session, table
from witnd.cli.operate.acknowledged import acknowledged
from witnd.domain.outcomes.explain import STATUS_TEXT
from witnd.exit_codes import DIFFERENCE, REDIS

# What people call the stages of invoices.
_STAGES: Final = {
    "open": "open drafts",
    "draft": "closed drafts",
    "issued": "invoices issued",
    "paid": "invoices paid",
    "void": "invoices void",
}


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
    async with session(config) as opened:
        events = None if file is None else acknowledged(file, opened.partitions)
        report = await use.audit(
            opened.services, quick=quick, partition=partition, acknowledged=events, progress=progress
        )
    progress("")
    if as_document:
        as_json(report)
    else:
        print_report(report)
    end_audit(report)


def end_audit(report: Report) -> None:
    """End the command with the exit code of a report that is not clean."""
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


def print_report(report: Report) -> None:
    """Print a report for people."""
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
        rows += _invoice_rows(sums)
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


def _invoice_rows(one: Invoiced) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for name, spoken in _STAGES.items():
        part: Part = getattr(one, name)
        if part.invoices:
            lines = f"{part.invoices} in {one.currency}, {part.lines} line{'' if part.lines == 1 else 's'}"
            rows.append((spoken, lines, part.subtotal))
    if one.waiting:
        rows.append(("on no invoice yet", f"{one.waiting} line{'' if one.waiting == 1 else 's'} in {one.currency}", ""))
    for spoken, amounts in (("credit notes", one.credit_notes), ("balances", one.balances)):
        if amounts.count:
            rows.append((spoken, f"{amounts.count} in {one.currency}", amounts.amount))
    return rows
