"""`witnd invoices issue`: issue closed drafts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from witnd.app.invoices import operations
from witnd.app.invoices.facts import ExchangeRate
from witnd.cli.billing.operations import Acted, act, dry_run_option, end, report
from witnd.cli.console.author import author
from witnd.cli.console.context import as_json, config_option, json_option, run, session
from witnd.cli.console.output import printable
from witnd.cli.console.texts import TEXT

# Invoices named in one message if several lack the same fields.
_NAMES_SHOWN: Final = 3


@click.command()
@click.argument("ids", metavar="[ID]...", nargs=-1, type=TEXT)
@click.option("--all-closed", is_flag=True, help="Issue every closed draft, the oldest first.")
@click.option(
    "--date",
    metavar="DATE",
    type=TEXT,
    help="Issue date, from the last day of the period to today, not before the latest in the series; default: today "
    "in the billing time zone.",
)
@click.option(
    "--exchange-rate",
    metavar="CURRENCY=RATE",
    type=TEXT,
    help="Exchange rate for the tax: how much one unit of the invoice's currency is worth in CURRENCY.",
)
@dry_run_option
@json_option
@config_option
def issue(
    *,
    ids: tuple[str, ...],
    all_closed: bool,
    date: str | None,
    exchange_rate: str | None,
    dry_run: bool,
    json_output: bool,
    config_path: Path | None,
) -> None:
    """Issue closed drafts: each gets the next number, its taxes and a final total.

    The customer's balance pays as much of the total as it can. The invoice keeps the current data of the seller and the
    customer, and the tax rates at the end of its period. With `[billing] issue = "auto"`, the daemon issues drafts when
    their grace is over. If a draft cannot be issued, the exit code is 2; the others are issued.

    \b
    JSON: {"data": [{"argument": ID, "result": "done", "unchanged" or "refused",
      "invoice": INVOICE or null, "dry_run", "problem", "remedy", "warnings": [text…],
      "lacks": [{"path", "problem", "remedy", "required"}…]}…]}, with what each invoice lacks to be an
      electronic invoice (EN 16931)

    \b
    Examples:
      witnd invoices issue 5f0c3a --dry-run
      witnd invoices issue 5f0c3a --date 2026-11-30
      witnd invoices issue --all-closed
      witnd invoices issue 5f0c3a --exchange-rate EUR=0.9213
    """
    if all_closed == bool(ids):
        raise click.UsageError("give one or more IDs, or --all-closed")
    run(_issue(ids, date, _rate(exchange_rate), dry_run, json_output, config_path))


def _rate(text: str | None) -> ExchangeRate | None:
    """Read an exchange rate such as `EUR=0.9213`."""
    if text is None:
        return None
    currency, equals, rate = text.partition("=")
    if not equals:
        raise click.UsageError(f"--exchange-rate {text}: write a currency and a rate, such as EUR=0.9213")
    return ExchangeRate(currency=currency, rate=rate)


async def _issue(
    ids: Sequence[str],
    date: str | None,
    rate: ExchangeRate | None,
    dry_run: bool,
    as_document: bool,
    config: Path | None,
) -> None:
    if date is not None:
        operations.check_date(date)  # before connecting, because the command is wrong
    async with session(config) as opened:
        services = opened.services
        acted = []
        for argument in ids or await services.invoices.closed_drafts():
            one = await act(
                services,
                argument,
                lambda invoice: operations.issue(
                    services, author(), invoice, date=date, exchange_rate=rate, dry_run=dry_run
                ),
                dry_run=dry_run,
                is_issue=True,
            )
            acted.append(one)
            if not as_document:
                report(one, "issued")
    if as_document:
        as_json({"data": acted})
    elif not acted:
        click.echo("no drafts to issue")
    else:
        for warning in dict.fromkeys(warning for one in acted for warning in one.warnings):
            click.echo(printable(f"witnd: warning: {warning}"), err=True)
        _report_lacks(acted)
    end(acted)


def _report_lacks(acted: Sequence[Acted]) -> None:
    """Report on standard error what invoices lack to be electronic invoices, once for all that lack the same fields."""
    by_lacks: dict[tuple[str, ...], list[Acted]] = {}
    for one in acted:
        if one.lacks:
            by_lacks.setdefault(tuple(f"  {lack.path} {lack.problem}; {lack.remedy}" for lack in one.lacks), []).append(
                one
            )
    for lines, invoices in by_lacks.items():
        names = [one.argument if one.invoice is None else one.invoice.number or one.argument for one in invoices]
        more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
        can = "cannot be" if any(lack.required for lack in invoices[0].lacks) else "can be"
        is_an = "an electronic invoice" if len(names) == 1 else "electronic invoices"
        without = " (EN 16931):" if can == "cannot be" else " (EN 16931), but:"
        click.echo(printable(f"witnd: {', '.join(names[:_NAMES_SHOWN])}{more} {can} {is_an}{without}"), err=True)
        for line in lines:
            click.echo(printable(line), err=True)
