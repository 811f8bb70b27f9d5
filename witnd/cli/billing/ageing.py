"""`witnd invoices ageing`: sum what customers owe, by the days since the due date."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from witnd.app.invoices import ageing as reports
from witnd.app.invoices.ageing import AgeingReport, AgeingSums
from witnd.cli.billing.invoice import right
from witnd.cli.console.context import as_json, config_option, json_option, run, session, table
from witnd.cli.console.output import printable
from witnd.cli.console.texts import TEXT
from witnd.store.invoices.reads import LOOKED_AT_MAX

COLUMNS: Final = ("customer", "", "invoices", "current", "1-30 days", "31-60 days", "over 60", "total")


@click.command()
@click.option("--customer", type=TEXT, help="Only invoices of this customer.")
@click.option("--currency", type=TEXT, help="Only invoices in this currency.")
@json_option
@config_option
def ageing(*, customer: str | None, currency: str | None, json_output: bool, config_path: Path | None) -> None:
    """Sum what is due of unpaid invoices, by the days since the due date, for each customer and currency.

    `current` is not overdue. Today is the date in the billing time zone. In each currency, the customer
    with the largest amount in the oldest bucket comes first.

    \b
    JSON: {"date", "totals": [SUMS…], "customers": [SUMS with "customer_key"…], "complete", "unreadable": [ID…]},
      a SUMS being {"currency", "invoices", "current", "days_1_30", "days_31_60", "over_60", "total"}

    \b
    Examples:
      witnd invoices ageing
      witnd invoices ageing --customer acme --json
    """
    run(_ageing(customer, currency, json_output, config_path))


async def _ageing(customer: str | None, currency: str | None, as_document: bool, config: Path | None) -> None:
    async with session(config) as opened:
        report = await reports.report(opened.services, customer_key=customer, currency=currency, most=LOOKED_AT_MAX)
    if as_document:
        as_json(report)
        return
    click.echo(f"due on {report.date}")
    table(COLUMNS, _rows(report))
    for id_ in report.unreadable:
        click.echo(printable(f"unreadable: invoice {id_} is damaged and not included; run `witnd audit`"))
    if not report.complete:
        click.echo(f"incomplete: only the {LOOKED_AT_MAX} unpaid invoices with the earliest due dates are included")


def _rows(report: AgeingReport) -> list[tuple[object, ...]]:
    """Return one row for each customer and currency, then the totals."""
    sums: Sequence[AgeingSums] = [*report.customers, *report.totals]
    names = [*(one.customer_key for one in report.customers), *("total" for _ in report.totals)]
    amounts = [right(getattr(one, field) for one in sums) for field in (*reports.FIELDS, "total")]
    return [
        (name, one.currency, one.invoices, *cells)
        for name, one, cells in zip(names, sums, zip(*amounts, strict=True), strict=True)
    ]
