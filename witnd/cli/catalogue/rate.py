"""`witnd rate`: what some outcomes would cost, and how that comes about. It writes nothing."""

from collections.abc import Sequence
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, NoReturn

import click
from msgspec import Struct
from msgspec.structs import replace

from witnd.cli.console.context import as_json, config_option, json_option, run, session, table
from witnd.cli.console.output import printable
from witnd.cli.console.texts import TEXT
from witnd.domain.catalogue import file as catalogue_file
from witnd.domain.catalogue.catalogue import Catalogue, CatalogueEntry, HeldReason
from witnd.domain.catalogue.zero_price import card_warnings
from witnd.domain.pricing.quote import Quote, quote
from witnd.domain.pricing.ratecard import Price
from witnd.domain.pricing.working import ADJUSTMENTS, price_text, working_text
from witnd.domain.values import instant
from witnd.domain.values.fields import short_repr
from witnd.domain.values.money import decimal_string, exact_sum, minor_text, plain
from witnd.exit_codes import USAGE
from witnd.store.catalogue.versions import CatalogueStore

# A larger list is read by nobody, and a period with more outcomes costs no more to reckon than this many.
MOST_OUTCOMES: Final = 100_000
_SHOWN: Final = 10
_RULES: Final = "notification_rule"


class _Asked(Struct, frozen=True, kw_only=True):
    card: str | None
    agent: str
    customer: str | None
    units: tuple[Decimal, ...]


class _UnknownError(click.ClickException):
    """Something that was asked for is not in the catalogue."""

    exit_code = USAGE

    def show(self, file: Any = None) -> None:  # noqa: ARG002 - click's signature
        click.echo(printable(f"witnd: {self.message}"), err=True)


def _quantities(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[Decimal, ...] | None:
    if value is None:
        return None
    try:
        units = tuple([decimal_string(one.strip()) for one in value.split(",")])
    except ValueError as wrong:
        raise click.BadParameter(f"{value!r}: each {wrong}") from wrong
    if len(units) > MOST_OUTCOMES:
        raise click.BadParameter(f"has more than {MOST_OUTCOMES} outcomes")
    return units


def _instant(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int | None:
    try:
        return None if value is None else instant.parse(value)
    except ValueError as wrong:
        raise click.BadParameter(f"{value!r} {wrong}") from wrong


@click.command()
@click.argument("names", nargs=-1, type=TEXT, metavar="[CARD] AGENT [COUNT]", required=True)
@click.option("--units", callback=_quantities, metavar="U,U,…", help="Outcomes with these units, instead of COUNT.")
@click.option("--customer", type=TEXT, metavar="KEY", help="By the prices of this customer; then CARD may be left out.")
@click.option(
    "--file",
    "path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="By the prices of this catalogue file, without Redis.",
)
@click.option("--at", callback=_instant, metavar="INSTANT", help="By the prices in force then; else now.")
@click.option("--lines", "every_line", is_flag=True, help="Show every outcome, however many.")
@json_option
@config_option
def rate(
    *,
    names: tuple[str, ...],
    units: tuple[Decimal, ...] | None,
    customer: str | None,
    path: Path | None,
    at: int | None,
    every_line: bool,
    json_output: bool,
    config_path: Path | None,
) -> None:
    """Show what COUNT outcomes of AGENT would cost on the rate card CARD, and why.

    The outcomes are taken for a whole billing period, each with the unit 1 unless --units says otherwise.
    Nothing is written. The daemon need not run.

    \b
    JSON: {"price": what its hash is of, "price_hash", "words", "currency", "outcomes", "units", "rated",
      "rows": [{"what", "quantity", "price", "amount"}…], "lines": [{"unit", "price_per_unit", "amount",
      "amount_exact", "working"}…], "adjustments": [{"kind", "amount", "amount_exact", "working"}…], "total",
      "warnings": [text…]}

    \b
    Examples:
      witnd rate standard support 250
      witnd rate standard support --units 3,5,7.5
      witnd rate support 250 --customer acme
      witnd rate standard support 250 --file catalogue.toml --json
    """
    asked = _asked(names, units, customer)
    catalogue, now = run(_learned(config_path)) if path is None else (_written_in(path), 0)
    quoted = quote(_price(catalogue, asked, now if at is None else at), asked.units)
    if json_output:
        as_json(_document(quoted))
    else:
        _tell(quoted, asked, every_line)


def _asked(names: Sequence[str], units: tuple[Decimal, ...] | None, customer: str | None) -> _Asked:
    """What the words mean: a count comes last, unless --units stands for it."""
    first, last = list(names), None
    if units is None:
        *first, last = names
        # More digits than the limit has say nothing more.
        count = int(last[:12]) if last.isascii() and last.isdecimal() else 0
        if not 1 <= count <= MOST_OUTCOMES:
            _usage(f"COUNT is {last!r}; write how many outcomes, 1 to {MOST_OUTCOMES}, or use --units")
        units = (Decimal(1),) * count
    if len(first) == 1 and customer is not None:
        first.insert(0, "")
    if len(first) != 2:
        _usage("write CARD AGENT COUNT; without CARD for a --customer, without COUNT for --units")
    card, agent = first
    return _Asked(card=card or None, agent=agent, customer=customer, units=units)


def _usage(problem: str) -> NoReturn:
    raise click.UsageError(problem)


# -- where prices are found ---------------------------------------------------------------------------------------


async def _learned(config: Path | None) -> tuple[Catalogue, int]:
    """The catalogue, and the instant from which it is looked at."""
    catalogue = Catalogue()
    async with session(config) as opened:
        store = CatalogueStore(opened.redis, opened.global_keys, opened.partitions)
        await store.load(catalogue)
        return catalogue, await store.present()


def _written_in(path: Path) -> Catalogue:
    """The catalogue of a file alone, as if it were all there ever was."""
    try:
        file = catalogue_file.parse(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as wrong:
        raise _UnknownError(f"{path} is not UTF-8 text ({wrong.reason}); save it so") from wrong
    if file.mistakes:
        raise _UnknownError("\n  ".join([f"{path} has mistakes", *map(str, file.mistakes)]))
    catalogue = Catalogue()
    for item in file.items:
        if item.kind != _RULES:
            entry = CatalogueEntry(
                kind=item.kind, key=item.key, effective_from=0, archived=item.archived, content=item.content
            )
            catalogue.add(entry)
    return catalogue


def _price(catalogue: Catalogue, asked: _Asked, at: int) -> Price:
    """The price asked for, as an outcome that opens at the instant would freeze it."""
    card = None if asked.card is None else catalogue.rate_card(asked.card, at)
    if asked.card is not None and card is None:
        _unknown("rate card", asked.card, catalogue.keys("rate_card"))
    if asked.customer is None:
        assert card is not None
        return card.prices.get(asked.agent) or _unpriced(asked.agent, f"rate card {asked.card}", sorted(card.prices))
    customer = catalogue.customer(asked.customer, at)
    if customer is None:
        _unknown("customer", asked.customer, catalogue.keys("customer"))
    if asked.card is not None:
        customer = replace(customer, rate_card=asked.card)
    found = catalogue.price(customer, asked.agent, at)
    if found == HeldReason.NO_RATE_CARD:
        raise _UnknownError(f"customer {asked.customer} has no rate card in force; name one: CARD AGENT COUNT")
    if isinstance(found, HeldReason):
        _unpriced(asked.agent, f"customer {asked.customer}", catalogue.keys("agent"))
    return found


def _unknown(word: str, key: str, known: Sequence[str]) -> NoReturn:
    near = get_close_matches(key, known, n=1)
    hint = (
        f"did you mean {short_repr(near[0])}?"
        if near
        else "none is in force then"
        if key in known
        else "apply it first"
    )
    raise _UnknownError(f"there is no {word} {short_repr(key)}; {hint}")


def _unpriced(agent: str, where: str, known: Sequence[str]) -> NoReturn:
    near = get_close_matches(agent, [one for one in known if one != agent], n=1)
    hint = f"; did you mean {short_repr(near[0])}?" if near else ""
    raise _UnknownError(f"{where} has no price for agent {short_repr(agent)}{hint}")


# -- what is printed ----------------------------------------------------------------------------------------------


def _document(quoted: Quote) -> dict[str, Any]:
    price = quoted.price
    digits = price.exponent
    return {
        "price": price.content,
        "price_hash": price.hash,
        "words": price_text(price),
        "currency": price.currency,
        "outcomes": len(quoted.units),
        "units": plain(exact_sum(quoted.units)),
        "rated": "at_close" if price.is_rated_at_close else "at_settlement",
        "rows": quoted.rows,
        "lines": [
            {
                "unit": plain(unit),
                "price_per_unit": None if line.price_per_unit is None else plain(line.price_per_unit),
                "amount": minor_text(line.amount, digits),
                "amount_exact": plain(line.exact),
                "working": line.working,
            }
            for unit, line in zip(quoted.units, quoted.lines, strict=True)
        ],
        "adjustments": [
            {
                "kind": one.kind,
                "amount": minor_text(one.amount, digits),
                "amount_exact": plain(one.exact),
                "working": one.working,
            }
            for one in quoted.adjustments
        ],
        "total": quoted.total_text,
        "warnings": card_warnings([price]),
    }


def _tell(quoted: Quote, asked: _Asked, every_line: bool) -> None:
    price, count = quoted.price, len(quoted.units)
    whence = f"agreed with {price.customer}" if price.customer is not None else f"rate card {price.rate_card}"
    click.echo(printable(f"{asked.agent}, {whence}: {price_text(price)} ({price.currency})"))
    units = plain(exact_sum(quoted.units))
    click.echo(
        f"{_many(count, 'outcome')} with {units} unit{'' if units == '1' else 's'}, {_WHEN[price.is_rated_at_close]}"
    )
    click.echo()
    rows = [(row.what, row.quantity or "", row.price or "", row.amount) for row in quoted.rows]
    table(("what", "quantity", "price", "amount"), [*rows, ("total", "", "", f"{quoted.total_text} {price.currency}")])
    click.echo()
    for warning in card_warnings([price]):
        click.echo(printable(f"witnd: warning: {warning}"), err=True)
    if count > _SHOWN and not every_line:
        click.echo(f"--lines shows each of the {count} outcomes")
        return
    lines = [
        (number, plain(unit), minor_text(line.amount, price.exponent), _how(line.working, unit, price))
        for number, (unit, line) in enumerate(zip(quoted.units, quoted.lines, strict=True), 1)
    ]
    besides = [
        (ADJUSTMENTS[one.kind], "", minor_text(one.amount, price.exponent), working_text(one.working))
        for one in quoted.adjustments
    ]
    table(("outcome", "unit", "amount", "how"), [*lines, *besides])


_WHEN = {False: "each rated when it settles", True: "rated when the period closes"}


def _how(working: dict[str, Any] | None, unit: Decimal, price: Price) -> str:
    if working is not None:
        return working_text(working)
    return f"{plain(unit)} × {plain(price.price_per_unit or Decimal(0))}"


def _many(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"
