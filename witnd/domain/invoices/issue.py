"""Issue a closed draft. This fixes its parties, taxes, total and dates."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from msgspec.structs import replace

from witnd.domain.invoices.invoice import Invoice
from witnd.domain.invoices.issue_data import Exchange
from witnd.domain.invoices.issue_terms import IssueTerms
from witnd.domain.invoices.operations import (
    Change,
    Decision,
    Refusal,
    Series,
    Unchanged,
    amount_text,
    invoice_label,
    with_payment_status,
)
from witnd.domain.invoices.reversals import Reversed, credit_rows
from witnd.domain.invoices.tax import available, reduced, tax_rows, tax_sum, untaxed
from witnd.domain.values import instant
from witnd.domain.values.local_day import LocalDay, day_number, day_text
from witnd.domain.values.money import difference, plain, plus

_NO_DATES: Final[Mapping[str, str]] = {}


def issue(
    invoice: Invoice,
    balance: Decimal,
    series: Series,
    at: int,
    terms: IssueTerms,
    *,
    today: LocalDay,
    through: int | None = None,
    reversed_: Sequence[Reversed] = (),
    first_reversal: int | None = None,
    date: str | None = None,
    exchange: Exchange | None = None,
    last_dates: Mapping[str, str] = _NO_DATES,
) -> Decision:
    """Issue a closed draft: fix its parties, taxes, total and dates, and pay as much of it as the customer's balance
    covers. If nothing remains due, it is paid.

    `at` is the server's clock in ms, `today` its day in the billing time zone. `date`: an earlier issue date than
    today. `exchange`: the exchange rate of its tax. `last_dates`: the latest date in each series. `through`: all
    reversals that were accepted before this instant (ms), by default the end of the period, are credited on the draft.
    `reversed_` are those that are not credited yet, and `first_reversal` is the earliest of them, as the store has it.
    """
    if (settled := _status_decision(invoice, date, exchange)) is not None:
        return settled
    # A draft may have credits of later reversals.
    through = max(invoice.end if through is None else through, invoice.issued_through or 0)
    earliest = reversed_[0].reversed_at if reversed_ else through
    if first_reversal is not None and first_reversal < min(earliest, through):
        return Refusal(f"outcomes on {invoice_label(invoice)} were reversed meanwhile", "retry")
    issued_on = date or _issue_date(invoice, today)
    name = series.name_on(issued_on)
    table = terms.data.table
    correction = credit_rows(invoice, reversed_, at=at, table=table) if reversed_ else None
    corrected = invoice if correction is None else correction.after
    wrong = _date_refusal(invoice, date, today.date, last_dates.get(name, "")) or _tax_refusal(corrected, terms)
    if wrong is not None:
        return wrong
    reduced_to_fit = replace(corrected, manual=reduced(corrected.taxed, table))
    rows = tax_rows(reduced_to_fit.taxed, table)
    total = plus(reduced_to_fit.net, tax_sum(rows))
    used = min(balance, total)
    after = replace(
        reduced_to_fit,
        revision=invoice.revision + 1,
        status="issued",
        total=total,
        issue_data=replace(terms.data, tax_rows=rows, exchange=exchange),
        balance_used=used,
        issued_through=through,
        issue_date=issued_on,
        due_date=day_text(day_number(issued_on) + terms.days),
    )
    change = Change(
        operation="issue",
        before=invoice,
        after=with_payment_status(after),
        series=name,
        first=series.first,
        until=today.end,
        balance=difference(balance, used),
        waits=False,
        is_pending=False,  # also without manual lines: they may have been removed
        date=issued_on if date is not None else None,
    )
    if correction is None:
        return change
    return replace(change, rows=correction.rows, credited=correction.credited, corrected=correction.corrected)


def _issue_date(invoice: Invoice, today: LocalDay) -> str:
    """Return today. After a change of the time zone, the last day of the period can come again."""
    return max(today.date, invoice.last_day) if today.end > invoice.end else today.date


def _status_decision(invoice: Invoice, date: str | None, exchange: Exchange | None) -> Decision | None:
    """Return the decision for an invoice that is not a closed draft, or None."""
    label = invoice_label(invoice)
    if invoice.status == "issued" or (invoice.status == "paid" and not invoice.live_payments and not invoice.notes):
        if date not in (None, invoice.issue_date):
            return Refusal(f"{label} was issued on {invoice.issue_date}", "its date cannot be changed")
        if exchange is not None and (invoice.issue_data is None or exchange != invoice.issue_data.exchange):
            return Refusal(
                f"{label} was issued with another exchange rate or none",
                "its exchange rate cannot be changed; revise the invoice",
            )
        return Unchanged(invoice)  # the issue itself may have paid it
    if invoice.status != "draft":
        return Refusal(f"{label} is {invoice.status}", "an invoice can be issued only once")
    if not invoice.closed:
        end = instant.render(invoice.end)
        return Refusal(
            f"{label} is open until its period ends at {end}", "issue it after the daemon has closed the period"
        )
    return None


def _date_refusal(invoice: Invoice, date: str | None, today: str, latest: str) -> Refusal | None:
    """Return why an issue date cannot be used, or None. `latest`: the latest date in the series."""
    if date is None:
        return None
    last_day = invoice.last_day
    if date > today:
        return Refusal(f"the issue date {date} is in the future", f"use a date from {last_day} to {today}")
    if date < last_day:
        return Refusal(f"the issue date {date} is before the last day of the period, {last_day}", "use a later date")
    if date < latest:
        return Refusal(
            f"the issue date {date} is before {latest}, the date of an earlier number of the series",
            f"use a date from {latest} to {today}",
        )
    return None


def _tax_refusal(invoice: Invoice, terms: IssueTerms) -> Refusal | None:
    """Return why the taxes of an invoice cannot be computed, or None."""
    table = terms.data.table
    if without := untaxed(invoice.taxed, table):
        listed = ", ".join(one.what if one.rows == 1 else f"{one.what} ({one.rows} lines)" for one in without)
        return Refusal(
            f"some lines of {invoice_label(invoice)} have a tax, and others have none: {listed}",
            f"set billing.tax of customer {invoice.customer_key}, or the tax of these lines",
        )
    for class_, amount in available(invoice.taxed, table).items():
        if amount < 0:
            # Credits of the open invoice can be more than what a cap left at close, or than what remains after a row
            # got another tax.
            what, tax = "the net sum", ""
            if class_ is not None:
                what = f"the taxable amount of {class_.category} {plain(class_.rate)} %"
                tax = " with this tax"
            least = amount_text(amount.copy_negate(), invoice)
            return Refusal(f"{what} is {amount_text(amount, invoice)}", f"add a manual line of at least {least}{tax}")
    return None
