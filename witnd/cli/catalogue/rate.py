"""`witnd rate`: calculate what outcomes would cost. It writes nothing."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final, NoReturn

import click
from msgspec import Struct

from witnd.app.catalogue.apply import parse_file
from witnd.app.catalogue.quotes import QuoteAnswer, catalogue_of, price_at, told
from witnd.app.errors import Refused
from witnd.cli.catalogue.logo import raw_with_logo
from witnd.cli.console.context import as_json, config_option, json_option, run, session, table
from witnd.cli.console.failure import end
from witnd.cli.console.options import INSTANT
from witnd.cli.console.output import printable
from witnd.cli.console.texts import TEXT
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.pricing.quote import quote
from witnd.domain.pricing.working import ADJUSTMENTS
from witnd.domain.values.money import decimal_string

# More outcomes give a list that is too long to read.
MOST_OUTCOMES: Final = 100_000
_SHOWN: Final = 10


class _Asked(Struct, frozen=True, kw_only=True):
    card: str | None
    agent: str
    grade: str | None
    customer: str | None
    units: tuple[Decimal, ...]


def _quantities(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[Decimal, ...] | None:
    if value is None:
        return None
    try:
        units = tuple([decimal_string(one.strip()) for one in value.split(",")])
    except ValueError as wrong:
        raise click.BadParameter(f"{value!r}: each {wrong}") from wrong
    if len(units) > MOST_OUTCOMES:
        raise click.BadParameter(f"must have at most {MOST_OUTCOMES} outcomes")
    return units


@click.command()
@click.argument("names", nargs=-1, type=TEXT, metavar="[CARD] AGENT [COUNT]", required=True)
@click.option("--units", callback=_quantities, metavar="U,U,…", help="Units of each outcome; replaces COUNT.")
@click.option("--grade", type=TEXT, metavar="KEY", help="Use the price of this grade.")
@click.option("--customer", type=TEXT, metavar="KEY", help="Use the prices of this customer; CARD is then optional.")
@click.option(
    "--file",
    "path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Use the prices in this catalogue file, without Redis.",
)
@click.option("--at", type=INSTANT, metavar="INSTANT", help="Use the prices in effect at this instant; default: now.")
@click.option("--lines", "every_line", is_flag=True, help="Show every outcome.")
@json_option
@config_option
def rate(
    *,
    names: tuple[str, ...],
    units: tuple[Decimal, ...] | None,
    grade: str | None,
    customer: str | None,
    path: Path | None,
    at: int | None,
    every_line: bool,
    json_output: bool,
    config_path: Path | None,
) -> None:
    """Calculate what COUNT outcomes of AGENT would cost on the rate card CARD, step by step.

    The calculation covers one whole billing period. Each outcome has 1 unit unless you set --units.
    The command writes nothing and needs no daemon.

    \b
    JSON: {"agent", "grade", "price": what price_hash covers, "price_hash", "words", "currency", "digits", "outcomes",
      "units", "rated", "rows": [{"what", "quantity", "price", "amount"}…], "lines": [{"unit",
      "price_per_unit", "amount", "amount_exact", "working", "words"}…], "lines_left_out": 0,
      "adjustments": [{"kind", "amount", "amount_exact", "working", "words"}…], "total",
      "warnings": [text…]}

    \b
    Examples:
      witnd rate standard support 250
      witnd rate standard support --units 3,5,7.5
      witnd rate support 250 --customer acme
      witnd rate standard support 250 --grade solved
      witnd rate standard support 250 --file catalogue.toml --json
    """
    asked = _asked(names, units, customer, grade)
    answer = run(_answer(asked, config_path, at)) if path is None else _answer_from(path, asked, at)
    if json_output:
        as_json(answer)
    else:
        _tell(answer, every_line)


def _asked(names: Sequence[str], units: tuple[Decimal, ...] | None, customer: str | None, grade: str | None) -> _Asked:
    """Parse the arguments: the count comes last, unless --units replaces it."""
    first, last = list(names), None
    if units is None:
        *first, last = names
        # More digits than the limit has say nothing more.
        count = int(last[:12]) if last.isascii() and last.isdecimal() else 0
        if not 1 <= count <= MOST_OUTCOMES:
            _usage(f"COUNT must be a number from 1 to {MOST_OUTCOMES}, got {last!r}; or use --units")
        units = (Decimal(1),) * count
    if len(first) == 1 and customer is not None:
        first.insert(0, "")
    if len(first) != 2:
        _usage("give CARD AGENT COUNT; CARD is optional with --customer, and --units replaces COUNT")
    card, agent = first
    return _Asked(card=card or None, agent=agent, grade=grade, customer=customer, units=units)


def _usage(problem: str) -> NoReturn:
    raise click.UsageError(problem)


async def _answer(asked: _Asked, config: Path | None, at: int | None) -> QuoteAnswer:
    async with session(config) as opened:
        catalogue = await opened.services.learned()
        return _quoted(catalogue, asked, await opened.services.catalogue_store.next_instant() if at is None else at)


def _answer_from(path: Path, asked: _Asked, at: int | None) -> QuoteAnswer:
    try:
        return _quoted(catalogue_of(parse_file(raw_with_logo(path))), asked, at or 0)
    except Refused as refused:
        reasons = [str(one) for one in refused.details] or [refused.message]
        end(Refused(refused.code, "\n".join([f"{path}: {reason}" for reason in reasons])))


def _quoted(catalogue: Catalogue, asked: _Asked, at: int) -> QuoteAnswer:
    price = price_at(catalogue, asked.agent, asked.card, asked.customer, at, asked.grade)
    return told(quote(price, asked.units), lines_max=None)


# -- what is printed ----------------------------------------------------------------------------------------------


def _tell(answer: QuoteAnswer, every_line: bool) -> None:
    count, price = answer.outcomes, answer.price
    whence = (
        f"rate card {price['rate_card']}"
        if price.get("customer") is None
        else f"individual price of {price['customer']}"
    )
    grade = "" if answer.grade is None else f" ({answer.grade})"
    click.echo(printable(f"{answer.agent}{grade}, {whence}: {answer.words} ({answer.currency})"))
    units = f"{answer.units} unit{'' if answer.units == '1' else 's'}"
    click.echo(f"{count} outcome{'' if count == 1 else 's'} with {units}, {_WHEN[answer.rated]}")
    click.echo()
    rows = [(row.what, row.quantity or "", row.price or "", row.amount) for row in answer.rows]
    table(("what", "quantity", "price", "amount"), [*rows, ("total", "", "", f"{answer.total} {answer.currency}")])
    click.echo()
    for warning in answer.warnings:
        click.echo(printable(f"witnd: warning: {warning}"), err=True)
    if count > _SHOWN and not every_line:
        click.echo(f"--lines shows each of the {count} outcomes")
        return
    lines = [(number, line.unit, line.amount, line.words) for number, line in enumerate(answer.lines, 1)]
    besides = [(ADJUSTMENTS[one.kind], "", one.amount, one.words) for one in answer.adjustments]
    table(("outcome", "unit", "amount", "calculation"), [*lines, *besides])


_WHEN = {"at_settlement": "each rated when it settles", "at_close": "rated when the period closes"}
