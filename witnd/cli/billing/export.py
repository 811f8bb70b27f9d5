"""`witnd invoices export`: write invoices and credit notes to files.

How they look is in `witnd.billing.export`, finding them in `documents`; this module writes them.
"""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

import click
from msgspec import Struct
from msgspec.structs import replace

from witnd.app.invoices import exports, operations
from witnd.billing.export import stripe
from witnd.billing.export.bill import Bill, Note
from witnd.billing.export.page import Detail
from witnd.cli.billing.documents import Named, papers
from witnd.cli.billing.single_files import ENDINGS, report_written, write_files
from witnd.cli.billing.stripe_customers import read_stripe_customers
from witnd.cli.billing.whole_file import STDOUT, whole_file
from witnd.cli.console.context import config_option, run
from witnd.cli.console.failure import refuse
from witnd.cli.console.options import PERIOD
from witnd.cli.console.output import printable
from witnd.cli.console.texts import TEXT
from witnd.domain.invoices.invoice import Invoice
from witnd.domain.invoices.operations import invoice_label
from witnd.domain.values.money import minor_text
from witnd.domain.values.period_text import DateRange
from witnd.exit_codes import USAGE
from witnd.store.invoices.reads import InvoiceFilter

_FORMS: Final = ("csv", "jsonl", *ENDINGS, "stripe")


class _Wish(Struct, frozen=True, kw_only=True):
    """The options of an export."""

    names: tuple[str, ...]
    period: DateRange | None
    customer: str | None
    wanted: InvoiceFilter
    form: str
    what: Literal["lines", "invoices", "credit-notes"]
    output: str
    detail: Detail | None
    stripe_customers: Path | None
    stripe_round: bool


@click.command()
@click.argument("names", metavar="[ID]...", nargs=-1, type=TEXT)
@click.option("--period", type=PERIOD, metavar="PERIOD", help="A year, a month (2026-11), or a day in the period.")
@click.option("--customer", type=TEXT, help="Only documents of this customer.")
@click.option(
    "--status", "stages", type=click.Choice(operations.STAGES), multiple=True, help="Only invoices with this status."
)
@click.option("--currency", type=TEXT, help="Only invoices in this currency.")
@click.option("--format", "form", type=click.Choice(_FORMS), required=True, help="Format.")
@click.option("--what", type=click.Choice(["lines", "invoices", "credit-notes"]), help="What to write; default: lines.")
@click.option(
    "--output",
    default=STDOUT,
    metavar="FILE",
    help="A file, a directory for several documents, or - for standard output.",
)
@click.option(
    "--detail", type=click.Choice(["full", "summary"]), help="Whether a page or PDF lists every outcome; default: full."
)
@click.option(
    "--stripe-customers",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Stripe ids of your customers: CSV of key and cus_… id, or one JSON object.",
)
@click.option("--stripe-round", is_flag=True, help="Round totals that Stripe cannot charge exactly, with a warning.")
@config_option
def export(
    names: tuple[str, ...],
    period: DateRange | None,
    customer: str | None,
    stages: tuple[str, ...],
    currency: str | None,
    form: str,
    what: Literal["lines", "invoices", "credit-notes"] | None,
    output: str,
    detail: Detail | None,
    stripe_customers: Path | None,
    stripe_round: bool,
    config_path: Path | None,
) -> None:
    """Write invoices and credit notes for spreadsheets, programs, printers or Stripe.

    ID is an id, its first six or more characters, or an invoice number. Without IDs, the command writes all
    invoices that match the filters, the newest period first. It replaces an existing file only after it has
    written everything. It sends nothing and changes nothing in witnd.

    \b
    csv     one table of all lines; with --what, of the invoices or credit notes
    jsonl   the same, one JSON document per line
    html    one page per invoice, to print; from here on, several files need a directory as --output
    pdf     the same page as PDF (needs the extra pdf)
    xml     an electronic invoice (EN 16931) as CII; ubl: as UBL
    facturx a PDF that contains the XML (needs the extra einvoice)
    json    the invoice as it was stored at issue
    stripe  the bodies of "create an invoice item" requests for issued invoices, one per line;
            with --what invoices, one per invoice

    \b
    Examples:
      witnd invoices export --period 2026-11 --format csv --output november.csv
      witnd invoices export INV-000042 --format pdf --output invoice.pdf
      witnd invoices export --customer acme --format jsonl --what invoices
    """
    filters = (period, customer, currency, stages or None)
    if not names and filters == (None,) * 4:
        raise click.UsageError("give numbers or ids, or select invoices with --period or --customer")
    if names and filters != (None,) * 4:
        raise click.UsageError("give either numbers and ids, or filters such as --period and --customer")
    if what == "credit-notes" and (stages or currency is not None):
        raise click.UsageError("--status and --currency do not apply to credit notes; leave them out")
    _check(form, what, detail, stripe_customers, stripe_round)
    wish = _Wish(
        names=names,
        period=period,
        customer=customer,
        wanted=replace(
            InvoiceFilter() if period is None else operations.in_period(period),
            customer=customer,
            currency=currency,
            stages=frozenset(stages),
        ),
        form=form,
        what=what or "lines",
        output=output,
        detail=detail,
        stripe_customers=stripe_customers,
        stripe_round=stripe_round,
    )
    run(_export(wish, config_path))


def _check(form: str, what: str | None, detail: Detail | None, customers: Path | None, rounded: bool) -> None:
    """Refuse options that cannot be combined, before anything is read."""
    if form != "stripe" and (customers is not None or rounded):
        raise click.UsageError("--stripe-customers and --stripe-round require --format stripe")
    if form in ENDINGS and what in ("lines", "invoices"):
        raise click.UsageError("the format always has the invoice with its lines; leave out --what")
    if detail is not None and form not in exports.PRINTED:
        raise click.UsageError("--detail requires --format html, pdf or facturx")
    if form == "stripe" and what == "credit-notes":
        raise click.UsageError("credit notes reach Stripe with the invoices that they pay; leave out --what")
    if form == "stripe" and customers is None:
        raise click.UsageError(
            "--format stripe requires --stripe-customers: a file with one line per customer, such as "
            "acme,cus_Q4rT8vXkLm2N"
        )


async def _export(wish: _Wish, config: Path | None) -> None:
    customers = {} if wish.stripe_customers is None else read_stripe_customers(wish.stripe_customers)
    async with papers(config) as documents:
        named = await documents.found(wish.names)
        if wish.form in ENDINGS:
            await write_files(
                documents,
                _each(wish, documents, named),
                wish.form,
                wish.detail,
                wish.output,
                is_one=bool(wish.names) and len(named) == 1,
            )
            return
        asked = _Asked(wish, documents, named)
        with whole_file(wish.output) as write:
            async for chunk in asked.text(customers):
                write(chunk)
            asked.refuse_nothing_written()
    asked.tell()


class _Asked:
    """The documents of one file, counted while they are written."""

    def __init__(self, wish: _Wish, documents: Named, named: list[Bill | Note]) -> None:
        self._wish = wish
        self._documents = documents
        self._bills = [one for one in named if isinstance(one, Bill)]
        self._notes = [one for one in named if isinstance(one, Note)]
        self._count = 0
        self._left_out: Counter[str] = Counter()
        self._rounded: list[str] = []
        self._refused: list[stripe.UnsupportedByStripe] = []
        notes_wanted = wish.what == "credit-notes"
        for paper in self._bills if notes_wanted else self._notes:
            kind, other = ("an invoice", "lines") if notes_wanted else ("a credit note", "credit-notes")
            refuse(f"{paper.title} is {kind}; use --what {other}, or leave it out")

    def text(self, customers: dict[str, str]) -> AsyncIterator[str]:
        wish = self._wish
        if wish.form == "stripe":
            what: Literal["lines", "invoices"] = "invoices" if wish.what == "invoices" else "lines"
            return stripe.requests(
                self._issued(), customers, what, rounded=wish.stripe_round, on_refused=self._refused.append
            )
        form: exports.Table = "csv" if wish.form == "csv" else "jsonl"
        if wish.what == "credit-notes":
            return exports.notes_text(self._all_notes(), form)
        return exports.invoices_text(self._all_bills(), form, wish.what)

    def refuse_nothing_written(self) -> None:
        """End without a file if Stripe can charge none of the invoices."""
        if self._refused and len(self._refused) == self._count:
            refuse("; ".join(map(str, self._refused)))

    async def _all_bills(self) -> AsyncIterator[Bill]:
        for bill in self._bills:
            self._count += 1
            yield bill
        if not self._wish.names:
            async for bill in self._documents.bills(self._wish.wanted):
                self._count += 1
                yield bill

    async def _all_notes(self) -> AsyncIterator[Note]:
        for note in self._notes:
            self._count += 1
            yield note
        if not self._wish.names:
            async for note in self._documents.notes(self._wish.period, self._wish.customer):
                self._count += 1
                yield note

    async def _issued(self) -> AsyncIterator[Bill]:
        """Yield the invoices for Stripe. A list skips those that are not issued; an explicit id of such an invoice
        is refused."""
        async for bill in self._all_bills():
            invoice = bill.invoice
            if invoice.status != "issued" and not self._wish.names:
                self._count -= 1
                self._left_out[invoice.stage] += 1
                continue
            self._note_rounding(invoice)
            yield bill

    def _note_rounding(self, invoice: Invoice) -> None:
        if not self._wish.stripe_round:
            return
        with suppress(stripe.UnsupportedByStripe):  # it is refused when its items are made
            charged = stripe.chargeable_total(invoice)
            if charged != invoice.net:
                was, is_ = (minor_text(one, invoice.digits) for one in (invoice.net, charged))
                self._rounded.append(f"{invoice_label(invoice)}: {was} {invoice.currency} is charged as {is_}")

    def tell(self) -> None:
        """Report on standard error, so that the export itself can go through a pipe."""
        for line in self._rounded:
            click.echo(printable(f"witnd: rounded {line}"), err=True)
        if self._left_out:
            many = ", ".join([f"{count} {stage}" for stage, count in sorted(self._left_out.items())])
            click.echo(f"witnd: not exported, because Stripe charges only issued invoices: {many}", err=True)
        for wrong in self._refused:
            click.echo(printable(f"witnd: not exported: {wrong}"), err=True)
        written = self._count - len(self._refused)
        report_written(written, "credit note" if self._wish.what == "credit-notes" else "invoice", self._wish.output)
        if self._refused:
            raise click.exceptions.Exit(USAGE)


async def _each(wish: _Wish, documents: Named, named: list[Bill | Note]) -> AsyncIterator[Bill | Note]:
    for paper in named:
        yield paper
    if wish.names:
        return
    found: AsyncIterator[Bill | Note] = documents.bills(wish.wanted)
    if wish.what == "credit-notes":
        found = documents.notes(wish.period, wish.customer)
    async for paper in found:
        yield paper
