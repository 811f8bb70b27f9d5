"""`witnd agents`, `customers`, `rate-cards`, `taxes` and `seller`: list catalogue entries and their versions.

What they have in common is in `versions`.
"""

from pathlib import Path
from typing import Any

import click

from witnd.app.catalogue import read
from witnd.cli.catalogue.versions import Asked, View, ask, one_version_options, version_options
from witnd.cli.console.texts import TEXT
from witnd.domain.catalogue.condition import condition_text
from witnd.domain.catalogue.seller import SELLER_KEY
from witnd.domain.catalogue.terms.grades import GRADES, condition_of, grade_name
from witnd.domain.catalogue.terms.reversal import REVERSAL, reversal_text
from witnd.domain.catalogue.terms.timers import timer_text
from witnd.domain.catalogue.versions.history import Version, customers_with_own_terms
from witnd.domain.pricing.ratecard import RateCard
from witnd.domain.pricing.working import price_text
from witnd.domain.values.duration import duration_text
from witnd.domain.values.png import png_text


def _agent_words(version: Version) -> list[str]:
    content = version.content
    grades = [f"grade {grade_name(grade)}: {condition_text(grade['condition'])}" for grade in content.get(GRADES, ())]
    timers = [f"after {action}: {timer_text(timer)}" for action, timer in content.get("timers", {}).items()]
    reversal = [f"reversed {reversal_text(content[REVERSAL])}"] if REVERSAL in content else []
    return [
        f"hash {version.hash}",
        f"billable when {condition_text(condition_of(content))}",
        *grades,
        f"settles after {duration_text(content['settlement_period'])} without an event",
        *timers,
        *reversal,
    ]


def _customer_row(version: Version) -> tuple[object, ...]:
    content = version.content
    own = [len(content.get(name, ())) or "" for name in ("entries", "agents")]
    return content["name"], content["email"] or "", content["rate_card"] or "", *own


def _seller_document(version: Version) -> dict[str, Any]:
    logo = version.content.get("logo")
    return {"logo": None if logo is None else png_text(logo)}


def _card_words(version: Version) -> list[str]:
    # Whose card it is makes no difference to what its prices say.
    prices = RateCard.from_content("", version.content).prices
    return [f"{price.title}: {price_text(price)}" for price in prices]


AGENTS = View(
    kind=read.AGENT,
    columns=("name", "period", "unit", "billable when"),
    row=lambda version: (
        version.content["name"],
        duration_text(version.content["settlement_period"]),
        version.content["attribution_method"],
        condition_text(condition_of(version.content)),
    ),
    words=_agent_words,
    also=lambda version: {
        "condition": condition_of(version.content),
        "condition_words": condition_text(condition_of(version.content)),
        **{name: version.content.get(name) for name in (GRADES, "timers", REVERSAL)},
    },
    related=("customers with terms of their own", "customers", customers_with_own_terms),
)
CUSTOMERS = View(
    kind=read.CUSTOMER,
    columns=("name", "email", "rate card", "own prices", "own terms"),
    row=_customer_row,
    also=lambda version: {
        **{name: version.content.get(name, []) for name in ("entries", "agents")},
        "billing": version.content.get("billing"),
    },
)
RATE_CARDS = View(
    kind=read.RATE_CARD,
    columns=("currency", "entries"),
    row=lambda version: (version.content["currency"], len(version.content["entries"])),
    words=_card_words,
)

TAXES = View(
    kind=read.TAX,
    columns=("name", "rate", "category", "note"),
    row=lambda version: (
        version.content["name"],
        f"{version.content['rate']} %",
        version.content["category"],
        version.content.get("note", ""),
    ),
    also=lambda version: {"note": version.content.get("note")},
)
SELLER = View(kind=read.SELLER, columns=(), row=lambda _: (), also=_seller_document)


@click.command()
@click.option(
    "--customer", type=TEXT, metavar="KEY", help="Show the terms of this customer in full, with individual ones."
)
@version_options
def agents(*, json_output: bool, config_path: Path | None, **asked: Any) -> None:
    """List agents, or the versions of the agent KEY.

    Each version shows its changes. Its hash is the `contract_hash` of the outcomes that opened under it,
    except for customers with individual terms; --customer shows those terms. Versions are numbered from 1
    in the order in which they take effect, and are never deleted.

    \b
    JSON: {"data": [{"key", "versions": how many} and VERSION…]}; with KEY
      {"key", "customers": those with individual terms, "versions": [VERSION and "changes"…]};
      with --at or --version {"key", "versions": how many} and VERSION, with --customer also
      "customer"; with --compare
      {"key", "before": VERSION, "after": VERSION, "changes": [{"path", "before", "after"}…]}.
      VERSION: "version", "effective_from", "until", "standing": "in effect", "past" or "scheduled",
      "archived", "hash", "name", "settlement_period", "attribution_method", "condition",
      "condition_words", "grades", "timers", "reversal"

    \b
    Examples:
      witnd agents
      witnd agents support
      witnd agents support --compare 1 2
      witnd agents support --at 2026-06-30T12:00:00Z --json
      witnd agents support --customer acme
    """
    ask(AGENTS, Asked(**asked), json_output, config_path)


@click.command()
@click.option("--rate-card", type=TEXT, metavar="KEY", help="Only customers with this rate card.")
@version_options
def customers(*, json_output: bool, config_path: Path | None, **asked: Any) -> None:
    """List customers, or the versions of the customer KEY.

    A version includes the customer's individual prices (`entries`) and terms of agents (`agents`). Versions
    are numbered from 1 in the order in which they take effect, and are never deleted.

    \b
    JSON: as `witnd agents`, without "customers". VERSION: "version", "effective_from", "until",
      "standing", "archived", "name", "email", "rate_card", "entries", "agents", "billing"

    \b
    Examples:
      witnd customers --all
      witnd customers acme
      witnd customers acme --version 2 --json
    """
    ask(CUSTOMERS, Asked(**asked), json_output, config_path)


@click.command()
@version_options
def rate_cards(*, json_output: bool, config_path: Path | None, **asked: Any) -> None:
    """List rate cards, or the versions of the rate card KEY.

    Versions are numbered from 1 in the order in which they take effect, and are never deleted.

    \b
    JSON: as `witnd agents`, without "customers". VERSION: "version", "effective_from", "until",
      "standing", "archived", "currency", "entries"

    \b
    Examples:
      witnd rate-cards
      witnd rate-cards standard
      witnd rate-cards standard --compare 1 3
    """
    ask(RATE_CARDS, Asked(**asked), json_output, config_path)


@click.command()
@version_options
def taxes(*, json_output: bool, config_path: Path | None, **asked: Any) -> None:
    """List taxes, or the versions of the tax KEY.

    Versions are numbered from 1 in the order in which they take effect, and are never deleted.

    \b
    JSON: as `witnd agents`, without "customers". VERSION: "version", "effective_from", "until",
      "standing", "archived", "name", "rate", "category", "note"

    \b
    Examples:
      witnd taxes
      witnd taxes vat
      witnd taxes vat --at 2026-12-31T23:59:59Z
    """
    ask(TAXES, Asked(**asked), json_output, config_path)


@click.command()
@one_version_options
def seller(*, json_output: bool, config_path: Path | None, **asked: Any) -> None:
    """Show the versions of the seller, or one of them in full.

    The seller issues the invoices. Versions are numbered from 1 in the order in which they take effect, and
    are never deleted. A logo is shown by its size and fingerprint; `witnd export` prints it.

    \b
    JSON: as `witnd agents KEY`, without "customers". VERSION: "version", "effective_from", "until",
      "standing", "archived" and the fields of the seller, "logo" in words

    \b
    Examples:
      witnd seller
      witnd seller --version 1
      witnd seller --compare 1 2
    """
    ask(SELLER, Asked(key=SELLER_KEY, **asked), json_output, config_path)
