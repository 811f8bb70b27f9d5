"""`witnd invoices credit`: credit lines of an invoice. The rules are in the domain."""

import secrets
from pathlib import Path

import click
from msgspec import Struct

from witnd.app.errors import Refused
from witnd.app.invoices import credit as crediting
from witnd.app.invoices.credit import Item
from witnd.app.invoices.operations import named
from witnd.app.services import Services
from witnd.cli.billing.invoice import SHORT
from witnd.cli.billing.named_request import named_request
from witnd.cli.console.author import author
from witnd.cli.console.context import as_json, config_option, json_option, run, session
from witnd.cli.console.output import printable
from witnd.cli.console.texts import TEXT
from witnd.domain.invoices.invoice import Invoice
from witnd.domain.invoices.json_form import invoice_json
from witnd.domain.invoices.operations import invoice_label
from witnd.domain.outcomes.resolution import derived_id
from witnd.domain.values.money import minor_text


class _Asked(Struct, frozen=True, kw_only=True):
    outcome_keys: tuple[str, ...]
    invoice: str | None
    rows: tuple[str, ...]  # with --invoice: ids or prefixes, each with `=AMOUNT` if only that is credited
    amount: str | None
    reason: str
    name: str
    dry_run: bool


@click.command()
@click.argument("outcome_keys", metavar="[OUTCOME_KEY]...", type=TEXT, nargs=-1)
@click.option("--amount", metavar="AMOUNT", type=TEXT, help="Amount of the only line; default: all that is left.")
@click.option("--reason", type=TEXT, required=True, help="Reason; the customer may see it.")
@click.option("--invoice", "invoice", metavar="ID", type=TEXT, help="With --row: the invoice.")
@click.option(
    "--row",
    "rows",
    metavar="ROW[=AMOUNT]",
    type=TEXT,
    multiple=True,
    help="Id of a line, or the prefix that `show` prints; repeatable.",
)
@click.option("--dry-run", is_flag=True, help="Show the result and change nothing.")
@click.option("--id", "name", metavar="TEXT", type=TEXT, help="Idempotency key: repeating the command credits once.")
@json_option
@config_option
def credit(
    *,
    outcome_keys: tuple[str, ...],
    amount: str | None,
    reason: str,
    invoice: str | None,
    rows: tuple[str, ...],
    dry_run: bool,
    name: str | None,
    json_output: bool,
    config_path: Path | None,
) -> None:
    """Credit all or part of what outcomes, or other lines of an invoice, were billed.

    All lines must be of one invoice. On a draft, each credit is a line. For an issued invoice, witnd issues one credit
    note: it reduces what is due, and the rest goes to the customer's balance, which pays the customer's next invoices
    in that currency. You cannot credit more than was billed.

    \b
    JSON: {"repeated": true if this --id was used before, "invoice": INVOICE, "lines": [LINE…],
      "line": the first of them, "credit_note": NOTE or null, "balance": the customer's balance}

    \b
    Examples:
      witnd invoices credit ticket-4711 --reason 'reopened after the deadline'
      witnd invoices credit ticket-4711 --amount 1.50 --reason goodwill --id refund-17
      witnd invoices credit ticket-4711 ticket-4712 --reason 'wrong customer'
      witnd invoices credit --invoice INV-000012 --row 5f0c3a71b2d9 --row 88ab01=2.50 --reason 'no minimum'
    """
    if bool(outcome_keys) == bool(rows) or (invoice is None) == bool(rows):
        raise click.UsageError("give either OUTCOME_KEY, or --invoice and --row")
    if amount is not None and len(outcome_keys) + len(rows) > 1:
        raise click.UsageError("--amount is for one line; with several, write --invoice ID --row ROW=AMOUNT")
    asked = _Asked(
        outcome_keys=outcome_keys,
        invoice=invoice,
        rows=rows,
        amount=amount,
        reason=reason,
        name=name or secrets.token_hex(8),
        dry_run=dry_run,
    )
    run(_credit(asked, json_output, config_path))


async def _credit(asked: _Asked, as_document: bool, config: Path | None) -> None:
    async with session(config) as opened:
        services = opened.services
        invoice, items = await _items(services, asked)
        # The name belongs to the lines, so that several credits can be named after the same request.
        token = derived_id("credit", *[item.row.id for item in items], asked.name)
        with named_request("credit", asked.name, "it credits once"):
            given = await crediting.credit(
                services, author(), invoice, items, asked.reason, token=token, dry_run=asked.dry_run
            )
    if as_document:
        answer = crediting.rows_credited_json(given)
        facts = {name: getattr(answer, name) for name in answer.__struct_fields__}
        as_json({"repeated": given.done.repeated, "line": answer.lines[0]} | facts)
    else:
        _tell_credit(given)


async def _items(services: Services, asked: _Asked) -> tuple[Invoice, list[Item]]:
    """Return the lines to credit, and their invoice."""
    if asked.invoice is not None:
        invoice = await named(services, asked.invoice, can_shorten=True)
        items = []
        for text in asked.rows:
            id_, equals, amount = text.partition("=")
            row = await crediting.row_beginning(services, invoice, id_)
            items.append(Item(row=row, amount=amount if equals else asked.amount))
        return invoice, items
    found = [await crediting.line_of_outcome(services, key) for key in asked.outcome_keys]
    invoice = found[0][0]
    for key, (other, _) in zip(asked.outcome_keys, found, strict=True):
        if other.id != invoice.id:
            raise Refused(
                "VALIDATION_ERROR",
                f"{key} is on {invoice_label(other)}, but {asked.outcome_keys[0]} is on {invoice_label(invoice)}",
                remedy="credit the lines of each invoice separately",
            )
    return invoice, [Item(row=row, amount=asked.amount) for _, row in found]


def _tell_credit(given: crediting.Credit) -> None:
    note, invoice = given.note, given.done.invoice
    currency = invoice.currency
    before = "already credited: " if given.done.repeated else ""
    if given.done.preview is not None:
        before = "dry run, nothing is changed: "
    label = invoice_label(invoice)
    for row in given.rows:
        what = row.outcome_key or (row.corrects or "")[:SHORT]
        amount = f"{(row.amount or '').lstrip('-')} {currency}"
        if note is None:
            click.echo(printable(f"{before}{amount} for {what}, as a line on {label}"))
        else:
            click.echo(
                printable(f"{before}{note.number or 'credit note'}: {amount} for {what} on {note.invoice_number}")
            )
    if note is None:
        return
    due = invoice_json(invoice).due
    click.echo(printable(f"{label} is {invoice.status}, {due} {currency} is due"))
    balance = minor_text(given.balance, invoice.digits)
    click.echo(printable(f"balance of {note.customer_key}: {balance} {currency}"))
