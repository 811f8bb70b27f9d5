"""`witnd invoices add-line | remove-line | set-tax`: change invoices before issue. The rules are in the domain."""

import secrets
from pathlib import Path

import click
from msgspec import Struct

from witnd.app.invoices import manual_lines
from witnd.app.invoices.credit import row_beginning
from witnd.app.invoices.manual_lines import LineAdded, LineFacts
from witnd.app.invoices.operations import named
from witnd.cli.billing.invoice import SHORT
from witnd.cli.billing.named_request import named_request
from witnd.cli.console.author import author
from witnd.cli.console.context import as_json, config_option, json_option, run, session
from witnd.cli.console.output import printable
from witnd.cli.console.texts import TEXT
from witnd.domain.invoices.json_form import InvoiceJson
from witnd.domain.outcomes.resolution import derived_id

_DRY_RUN = "dry run, nothing is changed: "


class _Asked(Struct, frozen=True, kw_only=True):
    invoice: str | None
    customer: str | None
    facts: LineFacts
    name: str
    dry_run: bool


@click.command("add-line")
@click.argument("id_", metavar="[ID]", type=TEXT, required=False)
@click.option("--customer", metavar="CUSTOMER", type=TEXT, help="Instead of ID: the customer's current period.")
@click.option("--description", type=TEXT, required=True, help="What the line is for, on one line.")
@click.option("--unit-price", metavar="PRICE", type=TEXT, required=True, help="Price of one; negative for a discount.")
@click.option("--quantity", metavar="QUANTITY", type=TEXT, default="1", show_default=True, help="Number above 0.")
@click.option("--tax", metavar="TAX", type=TEXT, help="Key of its tax; default: the customer's.")
@click.option(
    "--currency",
    type=TEXT,
    help="With --customer: the currency; default: that of the rate card.",
)
@click.option("--id", "name", metavar="TEXT", type=TEXT, help="Idempotency key: repeating the command adds it once.")
@click.option("--dry-run", is_flag=True, help="Show the result and change nothing.")
@json_option
@config_option
def add_line(
    *,
    id_: str | None,
    customer: str | None,
    description: str,
    unit_price: str,
    quantity: str,
    tax: str | None,
    currency: str | None,
    name: str | None,
    dry_run: bool,
    json_output: bool,
    config_path: Path | None,
) -> None:
    """Add a manual line to a draft invoice, or to a customer's current period.

    A line with a negative price is a discount. It cannot make a taxable amount negative. While the period is open,
    witnd accepts any discount and reduces it at close. After that, it refuses a discount that is too large.

    \b
    JSON: the LINE, and {"invoice": INVOICE}

    \b
    Examples:
      witnd invoices add-line 5f0c3a --description 'Setup' --unit-price 250.00
      witnd invoices add-line --customer acme --description 'Training' --quantity 2.5 --unit-price 80 --tax reduced
      witnd invoices add-line 5f0c3a --description 'Goodwill' --unit-price -20.00 --dry-run
    """
    if (id_ is None) == (customer is None):
        raise click.UsageError("give either ID or --customer")
    if currency is not None and customer is None:
        raise click.UsageError("--currency is for --customer; an invoice has its own currency")
    facts = LineFacts(
        description=description, quantity=quantity, unit_price=unit_price, tax=tax, currency=currency
    )  # fmt: skip
    asked = _Asked(
        invoice=id_, customer=customer, facts=facts, name=name or secrets.token_hex(8), dry_run=dry_run
    )  # fmt: skip
    run(_add(asked, json_output, config_path))


async def _add(asked: _Asked, as_document: bool, config: Path | None) -> None:
    async with session(config) as opened:
        services = opened.services
        with named_request("line", asked.name, "it is added once"):
            if asked.customer is not None:
                token = derived_id("customer_line", asked.customer, asked.name)
                added = await manual_lines.add_for_customer(
                    services, author(), asked.customer, asked.facts, token=token, dry_run=asked.dry_run
                )
            else:
                invoice = await named(services, asked.invoice or "", can_shorten=True)
                token = derived_id("line_of", invoice.id, asked.name)
                added = await manual_lines.add(
                    services, author(), invoice, asked.facts, token=token, dry_run=asked.dry_run
                )
    _print_line(added, asked.dry_run, as_document)


@click.command("remove-line")
@click.argument("id_", metavar="ID", type=TEXT)
@click.argument("line", metavar="LINE", type=TEXT)
@click.option("--dry-run", is_flag=True, help="Show the result and change nothing.")
@json_option
@config_option
def remove_line(*, id_: str, line: str, dry_run: bool, json_output: bool, config_path: Path | None) -> None:
    """Remove a manual line of a draft invoice. After issue, credit it instead.

    LINE is the id of a line, or the prefix that `witnd invoices show` prints.

    \b
    JSON: the INVOICE

    \b
    Example:
      witnd invoices remove-line 5f0c3a 88ab01c2d3e4
    """
    run(_remove(id_, line, dry_run, json_output, config_path))


async def _remove(id_: str, line: str, dry_run: bool, as_document: bool, config: Path | None) -> None:
    async with session(config) as opened:
        services = opened.services
        invoice = await named(services, id_, can_shorten=True)
        row = await row_beginning(services, invoice, line)
        left = await manual_lines.remove(services, author(), invoice, row.id, dry_run=dry_run)
    if as_document:
        as_json(left)
        return
    removed = f"removed {row.description} from {_label(left)}"
    click.echo(printable(f"{_DRY_RUN if dry_run else ''}{removed}"))
    click.echo(printable(f"subtotal: {left.subtotal} {left.currency}"))


@click.command("set-tax")
@click.argument("id_", metavar="ID", type=TEXT)
@click.argument("line", metavar="LINE", type=TEXT)
@click.option("--tax", metavar="TAX", type=TEXT, help="Key of the tax.")
@click.option("--own-tax", is_flag=True, help="Restore the line's own tax.")
@click.option("--reason", type=TEXT, required=True, help="Reason, for the change log.")
@click.option("--dry-run", is_flag=True, help="Show the result and change nothing.")
@json_option
@config_option
def set_tax(
    *,
    id_: str,
    line: str,
    tax: str | None,
    own_tax: bool,
    reason: str,
    dry_run: bool,
    json_output: bool,
    config_path: Path | None,
) -> None:
    """Change the tax of a line of a draft.

    LINE is the id of a line, or the prefix that `witnd invoices show` prints. To change the tax
    of all lines that have no tax of their own, change the billing data of the customer.

    \b
    JSON: the LINE, and {"invoice": INVOICE}

    \b
    Examples:
      witnd invoices set-tax 5f0c3a 88ab01c2d3e4 --tax export --reason 'delivered abroad'
      witnd invoices set-tax 5f0c3a 88ab01c2d3e4 --own-tax --reason 'not delivered abroad'
    """
    if (tax is None) != own_tax:
        raise click.UsageError("give either --tax or --own-tax")
    run(_set_tax(id_, line, tax, reason, dry_run, json_output, config_path))


async def _set_tax(
    id_: str, line: str, tax: str | None, reason: str, dry_run: bool, as_document: bool, config: Path | None
) -> None:
    async with session(config) as opened:
        services = opened.services
        invoice = await named(services, id_, can_shorten=True)
        row = await row_beginning(services, invoice, line)
        done = await manual_lines.override_tax(services, author(), invoice, row, tax, reason, dry_run=dry_run)
    if as_document:
        as_json(done)
        return
    has = f"has the tax {done.tax}" if done.tax else "has no tax"
    what = done.outcome_key or done.description or f"line {done.id[:SHORT]}"
    click.echo(printable(f"{_DRY_RUN if dry_run else ''}{what} on {_label(done.invoice)} {has}"))


def _print_line(added: LineAdded, dry_run: bool, as_document: bool) -> None:
    if as_document:
        as_json(added)
        return
    tax = f", tax {added.tax}" if added.tax else ""
    said = f"{added.description} on {_label(added.invoice)}: {added.amount} {added.currency}{tax}"
    click.echo(printable(f"{_DRY_RUN if dry_run else f'line {added.id[:SHORT]}: '}{said}"))
    click.echo(printable(f"subtotal: {added.invoice.subtotal} {added.currency}"))


def _label(invoice: InvoiceJson) -> str:
    return f"the draft of {invoice.customer_key} from {invoice.first_day} to {invoice.last_day}"
