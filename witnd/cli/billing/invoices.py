"""`witnd invoices`: which there are, one in full, credit notes. Doing something to them is left to `invoicing` and
`crediting`.
"""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path

import click

from witnd.app.invoices import operations
from witnd.cli.billing.credit import credit
from witnd.cli.billing.invoice import (
    COLUMNS,
    NOTE_COLUMNS,
    PAYMENT_COLUMNS,
    ROW_COLUMNS,
    head_lines,
    listed,
    listed_notes,
    listed_payments,
    note_lines,
    row_cells,
    stage_lines,
    sum_lines,
)
from witnd.cli.billing.operations import issue, pay, revise, void
from witnd.cli.billing.payments import balance, payment, refund, reverse
from witnd.cli.console.context import as_json, config_option, json_option, run, session, table
from witnd.cli.console.options import DefaultGroup, page_options
from witnd.cli.console.output import print_page, printable
from witnd.cli.console.texts import TEXT
from witnd.domain.invoices.invoice import Invoice, Row
from witnd.domain.invoices.json_form import credit_note_json, invoice_json, line_json, payment_json
from witnd.domain.invoices.operations import CreditNote
from witnd.domain.values.money import minor_text
from witnd.store.invoices.reads import LOOKED_AT_MAX, InvoiceFilter, Invoices


@click.group(cls=DefaultGroup)
def invoices() -> None:
    """List, show, issue, void, revise, credit and export invoices; record payments and refunds.

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
       "period_end", "lines", "unrated", "subtotal", "credited", "total", "balance_used",
       "payments_applied", "noted", "notes_applied", "due", "issue_date", "due_date", "issued_at",
       "paid_at", "voided_at", "reason", "edition", "revises", "revises_number", "revised_by",
       "revision"};
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


@invoices.command("show")
@click.argument("id_", metavar="ID", type=TEXT)
@click.option(
    "--rows",
    "shown",
    type=click.IntRange(0),
    default=100,
    show_default=True,
    help="Show at most N lines; JSON has all.",
)
@json_option
@config_option
def show(*, id_: str, shown: int, json_output: bool, config_path: Path | None) -> None:
    """Show an invoice or credit note with its lines, credits and totals, and how each amount was calculated.

    \b
    JSON: {"invoice": INVOICE, "lines": [LINE…], "payments": [PAYMENT…], "credit_notes": [NOTE…],
      "balance": the customer's balance}, a PAYMENT being
      {"id", "amount", "applied", "date", "method", "reference", "reversed", "recorded_at",
       "reversed_at"}, and a LINE
      {"id", "invoice_id", "kind", "outcome_key", "customer_key", "agent_key", "resolved_at",
       "unit", "price_per_unit", "amount", "amount_exact", "currency", "rated", "rate_card",
       "price_hash", "contract_hash", "working", "corrects", "reason"};
      for a credit note, the NOTE that `witnd invoices notes --json` lists

    \b
    Examples:
      witnd invoices show INV-000012
      witnd invoices show 5f0c3a --rows 1000
      witnd invoices show INV-000012 --json | jq .lines
    """
    run(_show(id_, shown, json_output, config_path))


async def _show(id_: str, shown: int, as_document: bool, config: Path | None) -> None:
    async with session(config) as opened:
        store = opened.services.invoices
        found = await operations.document(opened.services, id_, can_shorten=True)
        if isinstance(found, CreditNote):
            _show_note(found, as_document)
        elif as_document:
            await _print_document(store, found)
        else:
            await _print(store, found, shown)


async def _print_document(store: Invoices, invoice: Invoice) -> None:
    lines = [line_json(invoice, row) async for row in store.rows.of_invoice(invoice)]
    notes = [credit_note_json(note) for note in await store.notes_of(invoice)]
    balance = minor_text(await store.balance(invoice.customer_key, invoice.currency), invoice.digits)
    payments = [payment_json(invoice, one) for one in await store.payments(invoice.id)]
    document = {
        "invoice": invoice_json(invoice),
        "lines": lines,
        "payments": payments,
        "credit_notes": notes,
        "balance": balance,
    }
    as_json(document)


async def _print(store: Invoices, invoice: Invoice, shown: int) -> None:
    rows: list[Row] = []
    outcomes = 0
    async for row in store.rows.of_invoice(invoice):
        outcomes += row.kind == "outcome"
        if row.kind != "outcome" or outcomes <= shown:
            rows.append(row)
    notes = await store.notes_of(invoice)
    balance = await store.balance(invoice.customer_key, invoice.currency)
    _say(*head_lines(invoice), *stage_lines(invoice), "")
    table(ROW_COLUMNS, row_cells(rows))
    if outcomes > shown:
        _say(f"… and {outcomes - shown} more outcomes; --rows {outcomes} shows them")
    _say("", *sum_lines(invoice, balance))
    if payments := await store.payments(invoice.id):
        _say("")
        table(PAYMENT_COLUMNS, listed_payments(invoice, payments))
    if notes:
        _say("")
        table(NOTE_COLUMNS, listed_notes(notes))


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
      {"id", "number", "invoice_id", "invoice_number", "customer_key", "currency", "amount", "applied",
       "reason", "issued_at", "lines": [LINE…]}; a LINE as in `witnd invoices show --json`

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
    print_page(page, NOTE_COLUMNS, listed_notes, credit_note_json, as_document=as_document, unreadable="credit note")


async def _note(id_: str, as_document: bool, config: Path | None) -> None:
    async with session(config) as opened:
        found = await operations.note_named(opened.services, id_, can_shorten=True)
    _show_note(found, as_document)


def _show_note(note: CreditNote, as_document: bool) -> None:
    if as_document:
        as_json(credit_note_json(note))
    else:
        _say(*note_lines(note))


def _say(*lines: str) -> None:
    for line in lines:
        click.echo(printable(line))


for _command in (issue, pay, payment, reverse, void, revise, credit, balance, refund):
    invoices.add_command(_command)
try:
    invoices.add_command(import_module("witnd.cli.billing.export").export)
except ModuleNotFoundError as _missing:
    if _missing.name != "witnd.cli.billing.export":
        raise
