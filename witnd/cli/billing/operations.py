"""`witnd invoices pay | void | revise`: change invoices. `issue` is beside it. The rules are in the domain."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

import click
from msgspec import Struct

from witnd.app.errors import Refused
from witnd.app.invoices import operations, payments
from witnd.app.invoices.document import LackJson, lacks_json
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

Command = TypeVar("Command", bound=Callable[..., Any])
Result: TypeAlias = Operation | Unchanged


_DRY_RUN: Final = "dry run, nothing is changed: "


def dry_run_option(command: Command) -> Command:
    """Add `--dry-run`, which reaches the command as `dry_run: bool`."""
    return click.option("--dry-run", is_flag=True, help="Show the result and change nothing.")(command)


class Acted(Struct, frozen=True, kw_only=True):
    """The result for one invoice: done, unchanged or refused. `warnings`: what an issued invoice lacks, `lacks`:
    what it lacks to be an electronic invoice."""

    argument: str
    result: str
    invoice: InvoiceJson | None
    dry_run: bool = False
    problem: str | None = None
    remedy: str | None = None
    warnings: list[str] = []
    lacks: list[LackJson] = []


@click.command()
@click.argument("id_", metavar="ID", type=TEXT)
@json_option
@config_option
def pay(*, id_: str, json_output: bool, config_path: Path | None) -> None:
    """Record a payment of all that is due, received today.

    For another amount or date, use `witnd invoices payment`.

    \b
    JSON: {"argument": ID, "result": "done", "unchanged" or "refused", "invoice": INVOICE or null,
      "dry_run", "problem", "remedy", "warnings"}

    \b
    Example:
      witnd invoices pay INV-000012
    """
    run(_one(id_, payments.pay, "paid", json_output, config_path))


@click.command()
@click.argument("id_", metavar="ID", type=TEXT)
@click.option("--reason", type=TEXT, required=True, help="Reason; the customer may see it.")
@click.option("--yes", is_flag=True, help="Confirm that the money is written off.")
@dry_run_option
@json_option
@config_option
def void(*, id_: str, reason: str, yes: bool, dry_run: bool, json_output: bool, config_path: Path | None) -> None:
    """Void an issued invoice: write its money off. Nothing is due any more, and its number is not used again.

    What the customer's balance paid returns to it. Its outcomes are not billed again. An invoice with a payment or a
    credit note cannot be voided: credit its lines, or reverse its payments first.

    \b
    JSON: {"argument": ID, "result": "done", "unchanged" or "refused", "invoice": INVOICE or null,
      "dry_run", "problem", "remedy", "warnings"}

    \b
    Example:
      witnd invoices void INV-000012 --reason 'sent to the wrong company' --yes
    """
    if not (yes or dry_run):
        raise click.UsageError(
            "voiding writes the money of the invoice off, and its outcomes are not billed again; confirm with --yes, "
            "or look at the result with --dry-run"
        )
    operation = partial(operations.void, reason=reason, dry_run=dry_run)
    run(_one(id_, operation, "void", json_output, config_path, dry_run=dry_run))


@click.command()
@click.argument("id_", metavar="ID", type=TEXT)
@click.option("--reason", type=TEXT, help="Reason; the customer may see it.")
@dry_run_option
@json_option
@config_option
def revise(*, id_: str, reason: str | None, dry_run: bool, json_output: bool, config_path: Path | None) -> None:
    """Void an issued invoice, and open a draft with the same lines as its next edition.

    Credit lines of the draft, then issue it: it gets a new number. With `[billing] issue = "auto"`, the daemon
    issues it when the grace is over, counted from now. An invoice with a payment or a credit note cannot be revised.

    \b
    JSON: the draft as INVOICE, and {"voided": the INVOICE that it replaces}

    \b
    Examples:
      witnd invoices revise INV-000012 --dry-run
      witnd invoices revise INV-000012 --reason 'wrong price'
    """
    run(_revise(id_, reason, dry_run, json_output, config_path))


async def _revise(id_: str, reason: str | None, dry_run: bool, as_document: bool, config: Path | None) -> None:
    async with session(config) as opened:
        services = opened.services
        invoice = await operations.named(services, id_, can_shorten=True)
        revision = await operations.revise(services, author(), invoice, reason, dry_run=dry_run)
    draft, voided = revision.draft, revision.done.invoice
    if as_document:
        as_json(operations.revised_json(revision))
        return
    already = " already" if isinstance(revision.done, Unchanged) else ""
    click.echo(printable(f"{_DRY_RUN if dry_run else ''}{voided.number} is void{already}: {voided.reason}"))
    amount = f"{invoice_json(draft).subtotal} {draft.currency}"
    click.echo(printable(f"edition {draft.edition} is {draft.id}: {draft.status}, {amount} for {draft.customer_key}"))


async def _one(
    id_: str,
    operation: Callable[..., Awaitable[Result]],
    participle: str,
    as_document: bool,
    config: Path | None,
    *,
    dry_run: bool = False,
) -> None:
    async with session(config) as opened:
        services = opened.services
        acted = await act(services, id_, lambda invoice: operation(services, author(), invoice), dry_run=dry_run)
    if as_document:
        as_json(acted)
    else:
        report(acted, participle)
    end([acted])


async def act(
    services: Services,
    argument: str,
    do: Callable[[Invoice], Awaitable[Result]],
    *,
    dry_run: bool = False,
    is_issue: bool = False,
) -> Acted:
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
    data = done.invoice.issue_data if is_issue else None
    return Acted(
        argument=argument,
        result="unchanged" if isinstance(done, Unchanged) else "done",
        invoice=invoice_json(done.invoice),
        dry_run=dry_run,
        warnings=operations.warnings(done.invoice),
        lacks=[] if data is None else lacks_json(done.invoice, data),
    )


def report(acted: Acted, participle: str) -> None:
    one = acted.invoice
    if acted.result == "refused" or one is None:
        click.echo(printable("witnd: " + "; ".join(filter(None, (acted.problem, acted.remedy)))), err=True)
        return
    already = " already" if acted.result == "unchanged" else ""
    tax = f", {one.tax} of it tax" if one.tax_rows else ""
    paid = "" if one.balance_used.strip("0.") == "" else f", {one.balance_used} of it paid from the balance"
    amount = f"{one.total} {one.currency} for {one.customer_key}{tax}{paid}"
    before = _DRY_RUN if acted.dry_run else ""
    click.echo(printable(f"{before}{one.number or one.id} is {participle}{already}: {amount}"))


def end(acted: Sequence[Acted]) -> None:
    if any(one.result == "refused" for one in acted):
        raise click.exceptions.Exit(USAGE)
