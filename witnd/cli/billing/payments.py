"""`witnd invoices payment | reverse | balance | refund`: money that customers paid, and what is left of it."""

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from witnd.app.invoices import balances, payments
from witnd.app.invoices.facts import Facts
from witnd.app.invoices.operations import named
from witnd.app.invoices.payments import Recorded
from witnd.cli.billing.named_request import named_request
from witnd.cli.console.author import author
from witnd.cli.console.context import as_json, config_option, json_option, run, session, table
from witnd.cli.console.output import printable
from witnd.cli.console.texts import TEXT
from witnd.domain.outcomes.resolution import derived_id

Command = TypeVar("Command", bound=Callable[..., Any])


def _facts_options(command: Command) -> Command:
    """Add the options of a payment or refund."""
    options = (
        click.option("--amount", metavar="AMOUNT", type=TEXT, required=True, help="Amount, such as 1.50."),
        click.option("--date", metavar="DATE", type=TEXT, help="Date, such as 2026-11-30; default: today."),
        click.option("--method", type=TEXT, help="How it was paid, such as transfer."),
        click.option("--reference", type=TEXT, help="Reference, such as the one of the bank."),
        click.option(
            "--id", "name", metavar="TEXT", type=TEXT, help="Idempotency key: repeating the command records once."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@click.argument("id_", metavar="ID", type=TEXT)
@_facts_options
@json_option
@config_option
def payment(
    *,
    id_: str,
    amount: str,
    date: str | None,
    method: str | None,
    reference: str | None,
    name: str | None,
    json_output: bool,
    config_path: Path | None,
) -> None:
    """Record a payment of an invoice.

    What is due is applied to the invoice. The rest goes to the customer's balance, which pays the customer's next
    invoices in that currency. An invoice is paid when nothing is due.

    \b
    JSON: {"id", "amount", "applied", "date", "method", "reference", "reversed", "recorded_at",
      "reversed_at", "invoice": INVOICE, "balance": the customer's balance}

    \b
    Examples:
      witnd invoices payment INV-000012 --amount 250.00
      witnd invoices payment INV-000012 --amount 250.00 --date 2026-11-30 --method transfer --reference 4711
    """
    facts = Facts(amount=amount, date=date, method=method, reference=reference)
    run(_record(id_, facts, name or secrets.token_hex(8), json_output, config_path))


async def _record(id_: str, facts: Facts, name: str, as_document: bool, config: Path | None) -> None:
    async with session(config) as opened:
        services = opened.services
        invoice = await named(services, id_, can_shorten=True)
        with named_request("payment", name, "it is recorded once"):
            token = derived_id("payment", invoice.id, name)
            done = await payments.record(services, author(), invoice, facts, token=token)
    _tell(done, "", as_document)


@click.command()
@click.argument("id_", metavar="ID", type=TEXT)
@click.argument("payment_id", metavar="PAYMENT", type=TEXT)
@json_option
@config_option
def reverse(*, id_: str, payment_id: str, json_output: bool, config_path: Path | None) -> None:
    """Reverse a wrong payment. What it paid is due again.

    PAYMENT is the id of a payment, or its first characters. witnd records the reversal as a separate entry, and
    never deletes a payment. It refuses the reversal if the customer's balance is below the part that went there.

    \b
    JSON: as for `witnd invoices payment`

    \b
    Example:
      witnd invoices reverse INV-000012 5f0c3a
    """
    run(_reverse(id_, payment_id, json_output, config_path))


async def _reverse(id_: str, text: str, as_document: bool, config: Path | None) -> None:
    async with session(config) as opened:
        services = opened.services
        invoice = await named(services, id_, can_shorten=True)
        found = await payments.payment_beginning(services, invoice, text)
        done = await payments.reverse(services, author(), invoice, found)
    _tell(done, "reversed: ", as_document)


def _tell(done: Recorded, what: str, as_document: bool) -> None:
    if as_document:
        as_json(done)
        return
    one = done.invoice
    currency = one.currency
    click.echo(printable(f"{what}payment of {done.amount} {currency}, {done.applied} of it for {one.number}"))
    click.echo(printable(f"{one.number} is {one.status}, {one.due} {currency} is due"))
    click.echo(printable(f"balance of {one.customer_key}: {done.balance} {currency}"))


@click.command()
@click.argument("customer", metavar="CUSTOMER", type=TEXT)
@json_option
@config_option
def balance(*, customer: str, json_output: bool, config_path: Path | None) -> None:
    """Show the balances of a customer: what was paid or credited and not used.

    \b
    JSON: {"data": [{"currency", "balance"}…]}

    \b
    Example:
      witnd invoices balance acme
    """
    run(_balance(customer, json_output, config_path))


async def _balance(customer: str, as_document: bool, config: Path | None) -> None:
    async with session(config) as opened:
        found = await balances.balances(opened.services, customer)
    if as_document:
        as_json({"data": found})
    elif found:
        table(("currency", "balance"), [(one.currency, one.balance) for one in found])
    else:
        click.echo(printable(f"{customer} has no balance"))


@click.command()
@click.argument("customer", metavar="CUSTOMER", type=TEXT)
@click.option("--currency", type=TEXT, help="Currency; needed if the customer has several balances.")
@_facts_options
@json_option
@config_option
def refund(
    *,
    customer: str,
    currency: str | None,
    amount: str,
    date: str | None,
    method: str | None,
    reference: str | None,
    name: str | None,
    json_output: bool,
    config_path: Path | None,
) -> None:
    """Record that a part of a customer's balance was paid back.

    \b
    JSON: {"id", "customer_key", "currency", "amount", "date", "method", "reference", "recorded_at",
      "balance": the customer's balance afterwards}

    \b
    Example:
      witnd invoices refund acme --amount 12.50 --method transfer
    """
    facts = Facts(amount=amount, date=date, method=method, reference=reference)
    run(_refund(customer, currency, facts, name or secrets.token_hex(8), json_output, config_path))


async def _refund(
    customer: str, currency: str | None, facts: Facts, name: str, as_document: bool, config: Path | None
) -> None:
    async with session(config) as opened:
        with named_request("refund", name, "it is recorded once"):
            token = derived_id("refund_request", customer, name)
            done = await balances.refund(opened.services, author(), customer, currency, facts, token=token)
    if as_document:
        as_json(done)
        return
    click.echo(printable(f"refunded {done.amount} {done.currency} to {customer}"))
    click.echo(printable(f"balance of {customer}: {done.balance} {done.currency}"))
