"""`witnd invoices issue | pay | void`: what is done to invoices by hand. The rules are in the domain."""

from collections.abc import Callable, Sequence
from pathlib import Path

import click
from msgspec import Struct

from witnd.cli.billing.invoice import desk
from witnd.cli.console.author import author
from witnd.cli.console.context import as_json, config_option, json_option, run, session
from witnd.cli.console.output import printable
from witnd.cli.console.texts import TEXT
from witnd.domain.invoices import operations as invoicing
from witnd.domain.invoices.invoice import Invoice
from witnd.domain.invoices.json_form import InvoiceJson, invoice_json
from witnd.domain.invoices.operations import Refusal, Unchanged, Verdict
from witnd.exit_codes import USAGE
from witnd.store.errors import DamagedInvoice
from witnd.store.invoices.change import Snapshot
from witnd.store.invoices.change_entries import entry_maker
from witnd.store.invoices.reads import Ambiguous, Invoices


class Acted(Struct, frozen=True, kw_only=True):
    """What became of one wish: done, unchanged (it was so already), or refused."""

    asked: str
    result: str
    invoice: InvoiceJson | None
    problem: str | None = None
    remedy: str | None = None


@click.command()
@click.argument("ids", metavar="[ID]...", nargs=-1, type=TEXT)
@click.option("--all-closed", is_flag=True, help="Every draft that waits to be issued, the oldest first.")
@json_option
@config_option
def issue(*, ids: tuple[str, ...], all_closed: bool, json_output: bool, config_path: Path | None) -> None:
    """Issue closed drafts: each gets the next number, and what is to be paid is fixed.

    Credit that the customer has pays as much of it as there is. With `[billing] issue = "auto"` the daemon does this by
    itself when the grace is over. Exit code 2 if one is refused; the others are issued.

    \b
    JSON: {"data": [{"asked": ID, "result": "done", "unchanged" or "refused",
      "invoice": INVOICE or null, "problem", "remedy"}…]}

    \b
    Examples:
      witnd invoices issue 5f0c3a
      witnd invoices issue --all-closed
    """
    if all_closed == bool(ids):
        raise click.UsageError("name invoices by ID, or ask for --all-closed of them")
    run(_issue(ids, json_output, config_path))


async def _issue(ids: Sequence[str], as_document: bool, config: Path | None) -> None:
    async with session(config) as opened:
        store, series = desk(opened), opened.config.billing.series
        acted = []
        for asked in ids or await store.closed_drafts():
            one = await _act(store, asked, lambda seen: invoicing.issue(seen.invoice, seen.balance, series))
            acted.append(one)
            if not as_document:
                _tell(one, "issued")
    if as_document:
        as_json({"data": acted})
    elif not acted:
        click.echo("no draft waits to be issued")
    _end(acted)


@click.command()
@click.argument("id_", metavar="ID", type=TEXT)
@json_option
@config_option
def pay(*, id_: str, json_output: bool, config_path: Path | None) -> None:
    """Record that an issued invoice is paid.

    \b
    JSON: {"asked": ID, "result": "done", "unchanged" or "refused", "invoice": INVOICE or null,
      "problem", "remedy"}

    \b
    Example:
      witnd invoices pay INV-000012
    """
    run(_one(id_, lambda seen: invoicing.pay(seen.invoice), "paid", json_output, config_path))


@click.command()
@click.argument("id_", metavar="ID", type=TEXT)
@click.option("--reason", type=TEXT, required=True, help="Why; people will read it.")
@json_option
@config_option
def void(*, id_: str, reason: str, json_output: bool, config_path: Path | None) -> None:
    """Declare an issued invoice void: nothing of it is owed, and its number stays used.

    Credit that paid for it goes back to the customer. Its outcomes are not billed again. A paid one is not voided: what
    is wrong in it is credited.

    \b
    JSON: {"asked": ID, "result": "done", "unchanged" or "refused", "invoice": INVOICE or null,
      "problem", "remedy"}

    \b
    Example:
      witnd invoices void INV-000012 --reason 'sent to the wrong company'
    """
    decide = lambda seen: invoicing.void(seen.invoice, seen.balance, reason)  # noqa: E731 - as in the others
    run(_one(id_, decide, "void", json_output, config_path))


async def _one(
    id_: str, decide: Callable[[Snapshot], Verdict], participle: str, as_document: bool, config: Path | None
) -> None:
    async with session(config) as opened:
        acted = await _act(desk(opened), id_, decide)
    if as_document:
        as_json(acted)
    else:
        _tell(acted, participle)
    _end([acted])


async def _act(store: Invoices, asked: str, decide: Callable[[Snapshot], Verdict]) -> Acted:
    try:
        return await _act_on(store, asked, decide)
    except DamagedInvoice as damaged:
        return Acted(asked=asked, result="refused", invoice=None, problem=damaged.reason, remedy=damaged.remedy)


async def _act_on(store: Invoices, asked: str, decide: Callable[[Snapshot], Verdict]) -> Acted:
    try:
        found = await store.find(asked)
    except Ambiguous as several:
        return Acted(asked=asked, result="refused", invoice=None, problem=str(several), remedy="name one")
    if not isinstance(found, Invoice):
        problem = f"there is no invoice {asked}" if found is None else f"{asked} is a credit note"
        return Acted(asked=asked, result="refused", invoice=None, problem=problem, remedy="`witnd invoices` lists all")
    done = await store.do(found.id, decide, logged=entry_maker(author()))
    if isinstance(done, Refusal):
        return Acted(
            asked=asked,
            result="refused",
            invoice=invoice_json(found),
            problem=done.problem,
            remedy=done.remedy,
        )
    return Acted(
        asked=asked,
        result="unchanged" if isinstance(done, Unchanged) else "done",
        invoice=invoice_json(done.invoice),
    )


def _tell(acted: Acted, participle: str) -> None:
    one = acted.invoice
    if acted.result == "refused" or one is None:
        click.echo(printable(f"witnd: {acted.problem}; {acted.remedy}"), err=True)
        return
    already = " already" if acted.result == "unchanged" else ""
    paid = "" if one.carried.strip("0.") == "" else f" ({one.carried} more were paid by credit)"
    amount = f"{one.total} {one.currency} for {one.customer_key}{paid}"
    click.echo(printable(f"{one.number} is {participle}{already}: {amount}"))


def _end(acted: Sequence[Acted]) -> None:
    if any(one.result == "refused" for one in acted):
        raise click.exceptions.Exit(USAGE)
