"""`witnd invoices show`: an invoice or credit note in full."""

from pathlib import Path

import click

from witnd.app.invoices import document, operations
from witnd.app.services import Services
from witnd.billing.export.local_times import LocalTimes
from witnd.billing.issue_preview import with_current_data
from witnd.billing.row_taxes import RowTaxes
from witnd.cli.billing.invoice import (
    NOTE_COLUMNS,
    PAYMENT_COLUMNS,
    estimate_lines,
    head_lines,
    listed_notes,
    listed_payments,
    note_lines,
    party_lines,
    row_columns,
    stage_lines,
    sum_lines,
)
from witnd.cli.console.context import as_json, config_option, json_option, run, session, table
from witnd.cli.console.output import printable
from witnd.cli.console.texts import TEXT
from witnd.domain.invoices.invoice import Invoice, Row
from witnd.domain.invoices.issue_data import buyer_json, seller_json
from witnd.domain.invoices.json_form import credit_note_json, line_json
from witnd.domain.invoices.operations import CreditNote
from witnd.domain.invoices.payment import payment_json
from witnd.domain.values.money import minor_text


@click.command("show")
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
    JSON: {"invoice": INVOICE, "estimate" and "estimated_at" of an open one, else null,
      "groups": [{"agent_key", "grade", "amount", "estimate"}…],
      "seller": SELLER or null, "buyer": BUYER, "lines": [LINE…],
      "payments": [PAYMENT…], "credit_notes": [NOTE…], "balance": the customer's balance}, a PAYMENT
      being {"id", "amount", "applied", "date", "method", "reference", "reversed", "recorded_at",
       "reversed_at"}, a LINE
      {"id", "invoice_id", "kind", "outcome_key", "customer_key", "agent_key", "resolved_at",
       "unit", "price_per_unit", "amount", "amount_exact", "currency", "rated", "rate_card",
       "price_hash", "contract_hash", "working", "corrects", "reason", "repaired_at", "tax",
       "description", "quantity", "unit_price"},
      a SELLER and a BUYER their fields in the catalogue, without the logo;
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
        services = opened.services
        found = await operations.document(services, id_, can_shorten=True)
        if isinstance(found, CreditNote):
            await show_note(services, found, as_document)
        elif as_document:
            await _print_document(services, found)
        else:
            await _print(services, found, shown)


async def _print_document(services: Services, found: Invoice) -> None:
    store, catalogue = services.invoices, await services.learned()
    invoice, data = with_current_data(catalogue, found, services.now_ms())
    taxes = RowTaxes(catalogue, invoice, services.now_ms())
    estimated = await document.estimate(services, found)
    lines = [line_json(invoice, row, taxes.shown(row)) async for row in store.rows.of_invoice(invoice)]
    as_json(
        {
            "invoice": document.head_json(invoice, data),
            **document.estimate_json(found, estimated),
            "seller": seller_json(data),
            "buyer": buyer_json(invoice.customer_key, data),
            "lines": lines,
            "payments": [payment_json(invoice, one) for one in await store.payments(invoice.id)],
            "credit_notes": [credit_note_json(note) for note in await store.notes_of(invoice)],
            "balance": minor_text(await store.balance(invoice.customer_key, invoice.currency), invoice.digits),
        }
    )


async def _print(services: Services, found: Invoice, shown: int) -> None:
    store, catalogue = services.invoices, await services.learned()
    invoice, data = with_current_data(catalogue, found, services.now_ms())
    taxes = RowTaxes(catalogue, invoice, services.now_ms())
    rows: list[tuple[Row, str | None]] = []
    outcomes = 0
    async for row in store.rows.of_invoice(invoice):
        outcomes += row.kind == "outcome"
        if row.kind != "outcome" or outcomes <= shown:
            rows.append((row, taxes.shown(row)))
    notes = await store.notes_of(invoice)
    balance = await store.balance(invoice.customer_key, invoice.currency)
    times = LocalTimes(await services.calendar(), invoice.zone)
    _say(*head_lines(invoice, times), *party_lines(data), *stage_lines(invoice, times), "")
    table(*row_columns(rows, times))
    if outcomes > shown:
        _say(f"… and {outcomes - shown} more outcomes; --rows {outcomes} shows them")
    _say("", *sum_lines(invoice, data.tax_rows, balance))
    if (estimated := await document.estimate(services, found)) is not None:
        _say("", *estimate_lines(estimated, times))
    if payments := await store.payments(invoice.id):
        _say("")
        table(PAYMENT_COLUMNS, listed_payments(invoice, payments))
    if notes:
        _say("")
        table(NOTE_COLUMNS, listed_notes(notes, times))


async def show_note(services: Services, note: CreditNote, as_document: bool) -> None:
    if as_document:
        as_json(credit_note_json(note))
    else:
        _say(*note_lines(note, await note_times(services)))


async def note_times(services: Services) -> LocalTimes:
    """Return the times in the current billing time zone."""
    calendar = await services.calendar()
    return LocalTimes(calendar, calendar.rule_at(services.now_ms()).zone)


def _say(*lines: str) -> None:
    for line in lines:
        click.echo(printable(line))
