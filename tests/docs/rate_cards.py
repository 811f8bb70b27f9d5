"""The generated parts of the page on rate cards: its own card, asked by `witnd rate`."""

import json
import tomllib
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from click.testing import CliRunner

from witnd.cli.main import main
from witnd.domain.pricing.ratecard import KINDS, RateCard, read_rate_card
from witnd.domain.pricing.working import price_text

PAGE = Path(__file__).parents[2] / "docs/reference/rate-cards.md"
WHEN = {False: "when it settles", True: "when the period closes"}
SALES = ("sales", "4,90,16.5,0.333")


def catalogue() -> str:
    """The catalogue file that the page shows."""
    return PAGE.read_text().partition("```toml\n")[2].partition("```")[0]


def kinds_rows() -> list[tuple[str, ...]]:
    """Each kind with its entry on the page, in words, and when it is rated."""
    [raw] = tomllib.loads(catalogue())["rate_cards"]
    content, _ = read_rate_card("standard", {name: it for name, it in raw.items() if name != "key"}, "")
    card = RateCard.from_content("standard", content)
    entries = {entry.get("kind", "flat"): entry for entry in raw["entries"]}
    rows = []
    for kind in KINDS:
        price = card.entries[entries[kind]["agent"]][None]
        fields = ", ".join(f"`{name}`" for name in KINDS[kind])
        rows.append((f"`{kind}`", fields, price_text(price), WHEN[price.is_rated_at_close]))
    return rows


def rated(*arguments: str) -> str:
    """What the command prints of the page's card."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "catalogue.toml"
        path.write_text(catalogue())
        done = CliRunner().invoke(main, ["rate", "standard", *arguments, "--file", str(path)])
    assert done.exit_code == 0, done.output
    return done.stdout.rstrip()


def told(agent: str, units: str) -> Callable[[], str]:
    return lambda: "```text\n" + rated(agent, "--units", units) + "\n```"


def working_block() -> str:
    agent, units = SALES
    line = json.loads(rated(agent, "--units", units, "--json"))["lines"][2]
    assert Decimal(line["working"]["rounded"]) == Decimal(line["amount"])
    return "```json\n" + msgspec.json.format(msgspec.json.encode(line["working"]), indent=2).decode() + "\n```"
