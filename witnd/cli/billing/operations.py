"""`witnd invoices issue | pay | void`: change invoices. The rules are in the domain."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

import click
from msgspec import Struct

from witnd.app.errors import Refused
from witnd.app.invoices import operations, payments
from witnd.app.services import Services
from witnd.cli.console.author import author
from witnd.cli.console.context import as_json, config_option, json_option, run, session
from witnd.cli.console.failure import remedy_of
from witnd.cli.console.output import printable
from witnd.cli.console.texts import TEXT
from witnd.domain.invoices.invoice import Invoice
from witnd.domain.invoices.json_form import InvoiceJson, invoice_json
from witnd.domain.invoices.operations import Unchanged
from witnd.exit_codes import USAGE
from witnd.store.errors import DamagedInvoice
from witnd.store.invoices.change import Operation

Result: TypeAlias = Operation | Unchanged


class Acted(Struct, frozen=True, kw_only=True):
    """The result for one invoice: done, unchanged or refused."""

    argument: str
    result: str
    invoice: InvoiceJson | None
    problem: str | None = None
    remedy: str | None = None


@click.command()
@click.argument("ids", metavar="[ID]...", nargs=-1, type=TEXT)
@click.option("--all-closed", is_flag=True, help="Issue every closed draft, the oldest first.")
@json_option
@config_option
def issue(*, ids: tuple[str, ...], all_closed: bool, json_output: bool, config_path: Path | None) -> None:
    """Issue closed drafts: each gets the next number and a final total.

    The customer's balance pays as much of the total as it can. With `[billing] issue = "auto"`, the daemon issues
    drafts when their grace is over. If a draft cannot be issued, the exit code is 2; the others are issued.

    \b
    JSON: {"data": [{"argument": ID, "result": "done", "unchanged" or "refused",
      "invoice": INVOICE or null, "problem", "remedy"}…]}

    \b
    Examples:
      witnd invoices issue 5f0c3a
      witnd invoices issue --all-closed
    """
    if all_closed == bool(ids):
        raise click.UsageError("give one or more IDs, or --all-closed")
    run(_issue(ids, json_output, config_path))


async def _issue(ids: Sequence[str], as_document: bool, config: Path | None) -> None:
    async with session(config) as opened:
        services = opened.services
        acted = []
        for argument in ids or await services.invoices.closed_drafts():
            one = await _act(services, argument, lambda invoice: operations.issue(services, author(), invoice))
            acted.append(one)
            if not as_document:
                _tell(one, "issued")
    if as_document:
        as_json({"data": acted})
    elif not acted:
        click.echo("no drafts to issue")
    _end(acted)


@click.command()
@click.argument("id_", metavar="ID", type=TEXT)
@json_option
@config_option
def pay(*, id_: str, json_output: bool, config_path: Path | None) -> None:
    """Record a payment of all that is due, received today.

    For another amount or date, use `witnd invoices payment`.

    \b
    JSON: {"argument": ID, "result": "done", "unchanged" or "refused", "invoice": INVOICE or null,
      "problem", "remedy"}

    \b
    Example:
      witnd invoices pay INV-000012
    """
    run(_one(id_, payments.pay, "paid", json_output, config_path))


@click.command()
@click.argument("id_", metavar="ID", type=TEXT)
@click.option("--reason", type=TEXT, required=True, help="Reason; the customer may see it.")
@json_option
@config_option
def void(*, id_: str, reason: str, json_output: bool, config_path: Path | None) -> None:
    """Void an issued invoice. Nothing is due any more, and its number is not used again.

    What the customer's balance paid returns to it. Its outcomes are not billed again. An invoice with a payment or a
    credit note cannot be voided: credit its lines, or reverse its payments first.

    \b
    JSON: {"argument": ID, "result": "done", "unchanged" or "refused", "invoice": INVOICE or null,
      "problem", "remedy"}

    \b
    Example:
      witnd invoices void INV-000012 --reason 'sent to the wrong company'
    """
    run(_one(id_, partial(operations.void, reason=reason), "void", json_output, config_path))


async def _one(
    id_: str, operation: Callable[..., Awaitable[Result]], participle: str, as_document: bool, config: Path | None
) -> None:
    async with session(config) as opened:
        services = opened.services
        acted = await _act(services, id_, lambda invoice: operation(services, author(), invoice))
    if as_document:
        as_json(acted)
    else:
        _tell(acted, participle)
    _end([acted])


async def _act(services: Services, argument: str, do: Callable[[Invoice], Awaitable[Result]]) -> Acted:
    found = None
    try:
        found = await operations.named(services, argument, can_shorten=True)
        done = await do(found)
    except (Refused, DamagedInvoice) as refused:
        if isinstance(refused, Refused):
            problem, remedy = refused.problem, remedy_of(refused)
        else:
            problem, remedy = refused.reason, refused.remedy
        invoice = None if found is None else invoice_json(found)
        return Acted(argument=argument, result="refused", invoice=invoice, problem=problem, remedy=remedy)
    result = "unchanged" if isinstance(done, Unchanged) else "done"
    return Acted(argument=argument, result=result, invoice=invoice_json(done.invoice))


def _tell(acted: Acted, participle: str) -> None:
    one = acted.invoice
    if acted.result == "refused" or one is None:
        click.echo(printable("witnd: " + "; ".join(filter(None, (acted.problem, acted.remedy)))), err=True)
        return
    already = " already" if acted.result == "unchanged" else ""
    paid = "" if one.balance_used.strip("0.") == "" else f", {one.balance_used} of it paid from the balance"
    amount = f"{one.total} {one.currency} for {one.customer_key}{paid}"
    click.echo(printable(f"{one.number} is {participle}{already}: {amount}"))


def _end(acted: Sequence[Acted]) -> None:
    if any(one.result == "refused" for one in acted):
        raise click.exceptions.Exit(USAGE)
