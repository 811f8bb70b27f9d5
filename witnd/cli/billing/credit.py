"""`witnd invoices credit`: credit a line of an invoice. The rules are in the domain."""

import secrets
from pathlib import Path

import click
from msgspec import Struct

from witnd.app.errors import Refused
from witnd.app.invoices import credit as crediting
from witnd.app.invoices.operations import Reused, named
from witnd.cli.billing.invoice import SHORT
from witnd.cli.console.author import author
from witnd.cli.console.context import as_json, config_option, json_option, run, session
from witnd.cli.console.output import printable
from witnd.cli.console.texts import TEXT
from witnd.domain.invoices.operations import invoice_label
from witnd.domain.outcomes.resolution import derived_id
from witnd.domain.values.money import minor_text


class _Asked(Struct, frozen=True, kw_only=True):
    outcome_key: str | None
    invoice: str | None
    row: str | None
    amount: str | None
    reason: str
    name: str


@click.command()
@click.argument("outcome_key", metavar="[OUTCOME_KEY]", type=TEXT, required=False)
@click.option("--amount", metavar="AMOUNT", type=TEXT, help="Amount, such as 1.50; default: all that is left.")
@click.option("--reason", type=TEXT, required=True, help="Reason; the customer may see it.")
@click.option(
    "--invoice", "invoice", metavar="ID", type=TEXT, help="With --row: the invoice of a line without an outcome."
)
@click.option("--row", metavar="ROW", type=TEXT, help="Id of the line, or the prefix that `show` prints.")
@click.option("--id", "name", metavar="TEXT", type=TEXT, help="Idempotency key: repeating the command credits once.")
@json_option
@config_option
def credit(
    *,
    outcome_key: str | None,
    amount: str | None,
    reason: str,
    invoice: str | None,
    row: str | None,
    name: str | None,
    json_output: bool,
    config_path: Path | None,
) -> None:
    """Credit all or part of the amount that an outcome was billed.

    On a draft invoice, the credit is a line. For an issued invoice, witnd issues a credit note; its amount pays the
    customer's next invoices in that currency. You cannot credit more than was billed.

    \b
    JSON: {"repeated": true if this --id was used before, "invoice": INVOICE, "line": LINE,
      "credit_note": NOTE or null, "balance": the customer's credit}

    \b
    Examples:
      witnd invoices credit ticket-4711 --reason 'reopened after the deadline'
      witnd invoices credit ticket-4711 --amount 1.50 --reason goodwill --id refund-17
      witnd invoices credit --invoice INV-000012 --row 5f0c3a71b2d9 --reason 'no minimum in the first month'
    """
    if (outcome_key is None) != (invoice is not None and row is not None) or (invoice is None) != (row is None):
        raise click.UsageError("give either OUTCOME_KEY, or --invoice and --row")
    asked = _Asked(
        outcome_key=outcome_key,
        invoice=invoice,
        row=row,
        amount=amount,
        reason=reason,
        name=name or secrets.token_hex(8),
    )
    run(_credit(asked, json_output, config_path))


async def _credit(asked: _Asked, as_document: bool, config: Path | None) -> None:
    async with session(config) as opened:
        services, key = opened.services, asked.outcome_key
        if key is not None:
            invoice, row = await crediting.line_of_outcome(services, key)
        else:
            invoice = await named(services, asked.invoice or "", can_shorten=True)
            row = await crediting.row_beginning(services, invoice, asked.row or "")
        # The name belongs to one row, so that several credits can be named after the same request.
        token = derived_id("credit", row.id, asked.name)
        try:
            given = await crediting.credit(
                services, author(), invoice, row, amount=asked.amount, reason=asked.reason, token=token
            )
        except Reused as before:
            raise Refused(
                "CONFLICT", f"--id {asked.name} was used before: it {before.how}", remedy="choose another --id"
            ) from None
        except Refused as refused:
            if refused.code == "UNAVAILABLE":
                remedy = f"repeat the command with --id {asked.name}; it credits once"
                raise Refused(refused.code, f"credit not confirmed ({refused.__cause__})", remedy=remedy) from refused
            raise
    if as_document:
        answer = crediting.credited_json(given)
        as_json({"repeated": given.done.repeated} | {name: getattr(answer, name) for name in answer.__struct_fields__})
    else:
        _tell_credit(given)


def _tell_credit(given: crediting.Credit) -> None:
    row, note, invoice = given.row, given.note, given.done.invoice
    currency = invoice.currency
    what = row.outcome_key or (row.corrects or "")[:SHORT]
    amount = f"{(row.amount or '').lstrip('-')} {currency}"
    before = "already credited: " if given.done.repeated else ""
    if note is None:
        click.echo(printable(f"{before}{amount} for {what}, as a line on {invoice_label(invoice)}"))
        return
    number, customer, balance = note.number, note.customer_key, minor_text(given.balance, invoice.digits)
    click.echo(printable(f"{before}{number}: {amount} for {what} on {note.invoice_number}"))
    click.echo(printable(f"credit balance of {customer}: {balance} {currency}"))
