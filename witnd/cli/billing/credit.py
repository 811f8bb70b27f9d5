"""`witnd invoices credit`: giving back what an outcome was billed for. The rules are in the domain."""

import secrets
from decimal import Decimal
from pathlib import Path

import click
from msgspec import Struct

from witnd.cli.billing.invoice import SHORT, desk, meant, refuse
from witnd.cli.console.author import author
from witnd.cli.console.context import Session, as_json, config_option, json_option, load_catalogue, run, session
from witnd.cli.console.output import printable
from witnd.cli.console.texts import TEXT
from witnd.domain.invoices import credit as crediting
from witnd.domain.invoices.credit import amount_of
from witnd.domain.invoices.invoice import Invoice, Row
from witnd.domain.invoices.json_form import (
    CreditNoteJson,
    InvoiceJson,
    LineJson,
    credit_note_json,
    invoice_json,
    line_json,
)
from witnd.domain.invoices.operations import CreditNote, Refusal, called
from witnd.domain.outcomes.explain import SPOKEN
from witnd.domain.outcomes.partitioning import partition_of
from witnd.domain.outcomes.resolution import derived_id
from witnd.domain.values.money import minor_text
from witnd.store.errors import StoreUnavailable
from witnd.store.invoices.change import Operation
from witnd.store.invoices.change_entries import entry_maker
from witnd.store.invoices.reads import Invoices
from witnd.store.query.reads import reading
from witnd.store.records.codec import terms_of

SHORTEST = 6  # characters of a row's id


class Credited(Struct, frozen=True, kw_only=True):
    """A credit that was given; `repeated` where it had been given under this --id before."""

    repeated: bool
    invoice: InvoiceJson
    line: LineJson
    credit_note: CreditNoteJson | None
    balance: str


class _Asked(Struct, frozen=True, kw_only=True):
    outcome_key: str | None
    invoice: str | None
    row: str | None
    amount: str | None
    reason: str
    name: str


@click.command()
@click.argument("outcome_key", metavar="[OUTCOME_KEY]", type=TEXT, required=False)
@click.option("--amount", metavar="AMOUNT", type=TEXT, help="How much, such as 1.50; else all that is left of it.")
@click.option("--reason", type=TEXT, required=True, help="Why; people will read it.")
@click.option("--invoice", "invoice", metavar="ID", type=TEXT, help="For a line that is no outcome's: its invoice …")
@click.option("--row", metavar="ROW", type=TEXT, help="… and its id, or the beginning that `show` prints.")
@click.option("--id", "name", metavar="TEXT", type=TEXT, help="Name of this credit: asked twice, it is given once.")
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
    """Give back (part of) what an outcome was billed for.

    Before its invoice is issued this is a line on it. Afterwards it is a credit note with a number of its own, and
    credit that pays the customer's next invoices in that currency. Never more is given back than was billed.

    \b
    JSON: {"repeated": given before under this --id, "invoice": INVOICE, "line": LINE,
      "credit_note": NOTE or null, "balance": the customer's credit}

    \b
    Examples:
      witnd invoices credit ticket-4711 --reason 'reopened after the deadline'
      witnd invoices credit ticket-4711 --amount 1.50 --reason goodwill --id refund-17
      witnd invoices credit --invoice INV-000012 --row 5f0c3a71b2d9 --reason 'no minimum in the first month'
    """
    if (outcome_key is None) != (invoice is not None and row is not None) or (invoice is None) != (row is None):
        raise click.UsageError("name an OUTCOME_KEY, or a line by --invoice and --row")
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
        store, series = desk(opened), opened.config.billing.credit_series
        found, row = await (_by_row(store, asked) if asked.outcome_key is None else _by_outcome(opened, store, asked))
        amount = _amount(asked.amount, found)
        try:
            done = await store.do(
                found.id,
                lambda seen: crediting.credit(
                    seen.invoice,
                    row,
                    seen.credited,
                    amount,
                    asked.reason,
                    balance=seen.balance,
                    series=series,
                    at=seen.at,
                ),
                row=row.id,
                token=derived_id("credit", row.id, asked.name),
                logged=entry_maker(author(), "credit"),
            )
        except StoreUnavailable:
            click.echo(f"witnd: ask again with --id {asked.name}: then it is given once, whatever happened", err=True)
            raise
        if not isinstance(done, Operation):
            refuse(str(done) if isinstance(done, Refusal) else f"{called(done.invoice)} is so already")
        given, note = await _given(store, done)
        if given.reason != asked.reason or (amount is not None and Decimal(given.amount or 0) != -amount):
            gave = f"{(given.amount or '').lstrip('-')} {found.currency} for {given.reason!r}"
            refuse(f"--id {asked.name} was used before: it gave back {gave}; choose another --id")
        balance = minor_text(await store.balance(found.customer_key, found.currency), found.digits)
    if as_document:
        as_json(
            Credited(
                repeated=done.repeated,
                invoice=invoice_json(done.invoice),
                line=line_json(done.invoice, given),
                credit_note=None if note is None else credit_note_json(note),
                balance=balance,
            )
        )
    else:
        _tell_credit(done, given, note, balance)


def _amount(text: str | None, invoice: Invoice) -> Decimal | None:
    try:
        return None if text is None else amount_of(text, invoice)
    except ValueError as wrong:
        refuse(f"--amount: {text!r} {wrong}")


async def _by_outcome(opened: Session, store: Invoices, asked: _Asked) -> tuple[Invoice, Row]:
    """The invoice and the row of an outcome: both follow from what the outcome froze and when it resolved."""
    key = asked.outcome_key or ""
    async with reading(opened.server) as reads:
        record, _ = await reads.outcome(opened.keys(partition_of(key, opened.partitions)), key)
    if record is None:
        refuse(f"there is no outcome {key}; `witnd outcomes` lists them")
    if record.status != "CONFIRMED":
        refuse(f"{key} is {SPOKEN[record.status]}, so it is not billed; only confirmed outcomes are")
    _, price = terms_of(key, record, await load_catalogue(opened))
    invoice = await store.of_outcome(record.customer_key, price.currency, record.billed_at)
    row = None if invoice is None else await store.rows.of_outcome(invoice, key, record.billed_at)
    if invoice is None or row is None:
        refuse(f"{key} is in no invoice yet; a running daemon collects it within seconds")
    return invoice, row


async def _by_row(store: Invoices, asked: _Asked) -> tuple[Invoice, Row]:
    invoice, id_ = await meant(store, asked.invoice or ""), asked.row or ""
    found = [row async for row in store.rows.of(invoice) if row.id.startswith(id_)] if len(id_) >= SHORTEST else []
    if len(found) != 1:
        many = "several lines that begin" if found else "no line with an id that begins"
        refuse(f"{called(invoice)} has {many} with {id_!r}; `witnd invoices show` prints them")
    return invoice, found[0]


async def _given(store: Invoices, done: Operation) -> tuple[Row, CreditNote | None]:
    if done.operation == "note":
        note = await store.note(done.made)
        assert note is not None, done
        return note.rows[0], note
    async for row in store.rows.credits(done.invoice):
        if row.id == done.made:
            return row, None
    raise AssertionError(done)


def _tell_credit(done: Operation, given: Row, note: CreditNote | None, balance: str) -> None:
    currency = done.invoice.currency
    what = given.outcome_key or (given.corrects or "")[:SHORT]
    amount = f"{(given.amount or '').lstrip('-')} {currency}"
    before = "had been given already: " if done.repeated else ""
    if note is None:
        click.echo(printable(f"{before}{amount} for {what}, as a line of {called(done.invoice)}"))
        return
    number, customer = note.number, note.customer_key
    click.echo(printable(f"{before}{number}: {amount} for {what} of {note.invoice_number}"))
    click.echo(printable(f"{customer} has {balance} {currency} of credit for the next invoices"))
