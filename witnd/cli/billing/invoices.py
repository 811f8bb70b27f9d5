"""`witnd invoices`: the group of its commands, and lists of invoices and credit notes."""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path

import click

from witnd.app.invoices import operations
from witnd.cli.billing.ageing import ageing
from witnd.cli.billing.credit import credit
from witnd.cli.billing.invoice import COLUMNS, NOTE_COLUMNS, listed, listed_notes
from witnd.cli.billing.issue import issue
from witnd.cli.billing.manual_lines import add_line, remove_line, set_tax
from witnd.cli.billing.operations import pay, revise, void
from witnd.cli.billing.payments import balance, payment, refund, reverse
from witnd.cli.billing.show import note_times, show, show_note
from witnd.cli.console.context import config_option, json_option, run, session
from witnd.cli.console.options import DefaultGroup, page_options
from witnd.cli.console.output import print_page
from witnd.cli.console.texts import TEXT
from witnd.domain.invoices.json_form import credit_note_json, invoice_json
from witnd.store.invoices.reads import LOOKED_AT_MAX, InvoiceFilter


@click.group(cls=DefaultGroup)
def invoices() -> None:
    """List, show, change, issue, void, revise, credit and export invoices; record payments and refunds.

    The daemon adds confirmed outcomes to draft invoices, and closes each draft when its period ends. The default
    command is `list`. ID is an id, its first six or more characters, or an invoice number.
    """


@invoices.command("list")
@click.option("--customer", type=TEXT, help="Only documents of this customer.")
@click.option(
    "--status", "stages", type=click.Choice(operations.STAGES), multiple=True, help="Only invoices with this status."
)
@click.option(
    "--period", type=TEXT, metavar="PERIOD", help="A year, a month (2026-11), or a day or instant in the period."
)
@click.option("--currency", type=TEXT, help="Only invoices in this currency.")
@page_options
@json_option
@config_option
def list_(
    *,
    customer: str | None,
    stages: tuple[str, ...],
    period: str | None,
    currency: str | None,
    limit: int,
    after: str | None,
    json_output: bool,
    config_path: Path | None,
) -> None:
    """List invoices, the newest period first.

    open: lines still arrive. draft: the period is closed, the lines are fixed, and the invoice waits for issue.
    issued: it has a number, and an amount is due. Then paid, or void.

    \b
    JSON: {"data": [INVOICE…], "next_cursor": text or null, "unreadable": [ID…]}, an INVOICE being
      {"id", "number", "status", "closed", "customer_key", "currency", "period", "period_start",
       "period_end", "lines", "unrated", "subtotal", "credited", "tax", "tax_rows": [TAX…], "total",
       "balance_used", "payments_applied", "noted", "notes_applied", "due", "issue_date", "due_date",
       "issued_at", "paid_at", "voided_at", "reason", "edition", "revises", "revises_number",
       "revised_by", "revision"}, and a TAX
      {"category", "rate", "taxable", "tax", "name", "note"};
      open is shown as the status "draft" with "closed": false

    \b
    Examples:
      witnd invoices
      witnd invoices --status draft --period 2026-11
      witnd invoices --customer acme --status issued --json
    """
    wanted = partial(
        operations.wanted, customer_key=customer, currency=currency, status=",".join(stages) or None, period=period
    )  # fmt: skip
    run(_list(wanted, limit, after, json_output, config_path))


async def _list(
    wanted: Callable[[], InvoiceFilter], limit: int, after: str | None, as_document: bool, config: Path | None
) -> None:
    chosen = wanted()  # before it connects: the mistake is in the command
    async with session(config) as opened:
        page = await operations.listed(opened.services, chosen, limit, after, looked_at_max=LOOKED_AT_MAX)
    print_page(page, COLUMNS, listed, invoice_json, as_document=as_document, unreadable="invoice")


@invoices.command("notes")
@click.argument("id_", metavar="[ID]", type=TEXT, required=False)
@click.option("--customer", type=TEXT, help="Only documents of this customer.")
@click.option("--invoice", metavar="ID", type=TEXT, help="Only credit notes of this invoice.")
@page_options
@json_option
@config_option
def notes(
    *,
    id_: str | None,
    customer: str | None,
    invoice: str | None,
    limit: int,
    after: str | None,
    json_output: bool,
    config_path: Path | None,
) -> None:
    """List credit notes, the newest first, or show the credit note ID.

    \b
    JSON: {"data": [NOTE…], "next_cursor": text or null, "unreadable": [ID…]}, for an ID the one NOTE:
      {"id", "number", "invoice_id", "invoice_number", "customer_key", "currency", "amount", "tax",
       "tax_rows": [TAX…], "total", "applied", "reason", "issued_at", "lines": [LINE…]}; a LINE as in
      `witnd invoices show --json`

    \b
    Examples:
      witnd invoices notes --customer acme
      witnd invoices notes CN-000003 --json
    """
    if customer is not None and invoice is not None:
        raise click.UsageError("--customer cannot be combined with --invoice")
    if id_ is None:
        run(_notes(customer, invoice, limit, after, json_output, config_path))
    elif (customer, invoice, after) != (None, None, None):
        raise click.UsageError("--customer, --invoice and --after apply to lists; leave them out with an ID")
    else:
        run(_note(id_, json_output, config_path))


async def _notes(
    customer: str | None,
    invoice: str | None,
    limit: int,
    after: str | None,
    as_document: bool,
    config: Path | None,
) -> None:
    async with session(config) as opened:
        services = opened.services
        found = None if invoice is None else await operations.named(services, invoice, can_shorten=True)
        page = await operations.notes_listed(
            services, limit, after, customer=customer, invoice=found, looked_at_max=LOOKED_AT_MAX
        )  # fmt: skip
        times = await note_times(services)
    rows = partial(listed_notes, times=times)
    print_page(page, NOTE_COLUMNS, rows, credit_note_json, as_document=as_document, unreadable="credit note")


async def _note(id_: str, as_document: bool, config: Path | None) -> None:
    async with session(config) as opened:
        found = await operations.note_named(opened.services, id_, can_shorten=True)
        await show_note(opened.services, found, as_document)


for _command in (
    show, add_line, remove_line, set_tax, issue, pay, payment, reverse, void, revise, credit, balance, refund, ageing,
):  # fmt: skip
    invoices.add_command(_command)
try:
    invoices.add_command(import_module("witnd.cli.billing.export").export)
except ModuleNotFoundError as _missing:
    if _missing.name != "witnd.cli.billing.export":
        raise
