"""The recipes of `docs/how-to/model-what-you-sell.md`: their catalogues, events, commands and bills."""

import json
import re
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from tests.docs.generate import ROOT

PAGE = ROOT / "docs/how-to/model-what-you-sell.md"
CUSTOMER = "acme"  # of events in a table without that column
_RECIPE = re.compile(r"^#{2,3} ", re.MULTILINE)
_PART = re.compile(r"^```(\w+)\n(.*?)^```$|((?:^\|[^\n]*\n)+)", re.DOTALL | re.MULTILINE)
_BILL = re.compile(r"(\w+), (\w+ \d{4})")


class Bill(NamedTuple):
    """The invoice of a customer for a month such as `2026-03`, with the cells of its rows."""

    customer: str
    month: str
    rows: list[tuple[str, ...]]


class Recipe(NamedTuple):
    """One recipe. `catalogues` has the first one and those that a command applies, `commands` the lines of its shell
    blocks, `events` the time and the members of each event."""

    title: str
    catalogues: list[str]
    commands: list[str]
    events: list[tuple[str, dict[str, Any]]]
    bills: list[Bill]


def recipes() -> list[Recipe]:
    sections = _RECIPE.split(PAGE.read_text())[1:]
    return [recipe for recipe in map(_recipe, sections) if recipe.catalogues]


def _recipe(section: str) -> Recipe:
    recipe = Recipe(section.partition("\n")[0], [], [], [], [])
    for language, text, table in _PART.findall(section):
        if language == "toml":
            recipe.catalogues.append(text)
        elif language == "sh":
            recipe.commands.extend(text.splitlines())
        elif table:
            head, _, *rows = [_cells(line) for line in table.splitlines()]
            if head[0] == "event at":
                recipe.events.extend(_event(dict(zip(head, row, strict=True))) for row in rows)
            elif found := _BILL.fullmatch(head[0]):
                month = datetime.strptime(found[2], "%B %Y").strftime("%Y-%m")  # noqa: DTZ007 - a month
                recipe.bills.append(Bill(found[1], month, rows))
    return recipe


def _cells(line: str) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in line.strip("|").split("|"))


def _event(cells: dict[str, str]) -> tuple[str, dict[str, Any]]:
    event: dict[str, Any] = {
        "key": cells["key"],
        "action": cells["action"],
        "customer_key": cells.get("customer", CUSTOMER),
    }
    properties = {name: json.loads(cells[name]) for name in ("value", "attribution") if cells.get(name)}
    if properties:
        event["properties"] = properties
    return cells["event at"].replace(" ", "T") + ":00Z", event


def bill_rows(invoice: dict[str, Any], lines: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """The cells of an issued invoice with its lines, both in JSON."""
    keys = {line["id"]: line["outcome_key"] for line in lines}
    rows = [(_name(line, keys), *_product(line), line["amount"]) for line in lines]
    return [*rows, ("total", "", "", f"{invoice['total']} {invoice['currency']}")]


def _name(line: dict[str, Any], keys: dict[str, str]) -> str:
    match line["kind"]:
        case "outcome":
            return line["outcome_key"] + (f" ({line['grade']})" if line["grade"] else "")
        case "credit":
            return f"credit for {keys[line['corrects']]}"
        case "manual":
            return line["description"]
        case kind:
            return kind


def _product(line: dict[str, Any]) -> tuple[str, str]:
    """Units and price, with cents, of a line that has both."""
    if line["kind"] not in ("outcome", "manual"):
        return "", ""
    price = Decimal(line["price_per_unit"])
    return line["unit"], f"{price:.2f}" if price == round(price, 2) else str(price)
