"""Taxes: rates that are configured, never looked up, with their category of EN 16931."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from msgspec import Struct

from witnd.domain.pricing.entry import decimal_field
from witnd.domain.values.company import printed, printed_text
from witnd.domain.values.fields import MAX_KEY_LENGTH, Table, short_repr
from witnd.domain.values.mistake import Mistake
from witnd.domain.values.money import plain

FIELDS: Final = ("name", "rate", "category", "note")
STANDARD: Final = "S"
#: The VAT categories of EN 16931 (a part of UNCL 5305), each with its meaning.
CATEGORIES: Final = {
    STANDARD: "standard rate",
    "Z": "zero rate",
    "E": "exempt from tax",
    "AE": "reverse charge",
    "K": "intra-Community supply",
    "G": "export outside the EU",
    "O": "outside the scope of tax",
}
MAX_RATE: Final = 100
MAX_RATE_DIGITS: Final = 4
MAX_NOTE_LENGTH: Final = 500

_RATE_EXAMPLE: Final = "19"
_ZERO: Final = Decimal(0)


class Tax(Struct, frozen=True, kw_only=True):
    """A version of a tax. `rate` is in percent, `category` one of `CATEGORIES`. `note` is printed on documents."""

    key: str
    name: str
    rate: Decimal
    category: str
    note: str | None = None

    @classmethod
    def from_content(cls, key: str, content: Mapping[str, Any]) -> "Tax":
        return cls(
            key=key,
            name=content["name"],
            rate=Decimal(content["rate"]),
            category=content["category"],
            note=content.get("note"),
        )


def read_tax(key: str, raw: object, path: str) -> tuple[dict[str, Any], list[Mistake]]:
    """Return the canonical content of a tax from user input, and its mistakes. `note` is present only if it has one."""
    table = Table(raw, path, FIELDS)
    default, problem = printed(key, MAX_KEY_LENGTH)
    if problem is not None:
        table.refuse("key", problem)
    name = default if table.get("name") is None else printed_text(table, "name")
    rate = _rate(table)
    category = _category(table)
    if rate is not None and category is not None:
        _check_rate(table, rate, category)
    note = printed_text(table, "note", longest=MAX_NOTE_LENGTH, has_lines=True)
    content = {"name": name, "rate": plain(rate or _ZERO), "category": category}
    return content | ({} if note is None else {"note": note}), table.mistakes


def _rate(table: Table) -> Decimal | None:
    rate = decimal_field(table, "rate", _RATE_EXAMPLE, required=True)
    if rate is None:
        return None
    problem = None
    if rate > MAX_RATE:
        problem = f"is {short_repr(table.get('rate'))}; write a percentage from 0 to {MAX_RATE}"
    elif (places := len(plain(rate).partition(".")[2])) > MAX_RATE_DIGITS:
        problem = f"has {places} digits after the point; write at most {MAX_RATE_DIGITS}"
    if problem is None:
        return rate
    table.refuse("rate", problem)
    return None


def _category(table: Table) -> str | None:
    value = table.get("category")
    if isinstance(value, str) and value in CATEGORIES:
        return value
    remedy = "write one of " + ", ".join(f"{code} ({meaning})" for code, meaning in CATEGORIES.items())
    if value is None:
        table.required("category", remedy)
    else:
        table.refuse("category", f"is {short_repr(value)}", remedy)
    return None


def _check_rate(table: Table, rate: Decimal, category: str) -> None:
    """Refuse a rate that the category cannot have: EN 16931 requires a rate above 0 in category S (BR-S-05), the rate 0
    in Z, E, AE, K and G (BR-Z-05, BR-E-05, BR-AE-05, BR-IC-05, BR-G-05), and none in O (BR-O-05), which is 0 here."""
    what = f"category {category} ({CATEGORIES[category]})"
    if category == STANDARD and not rate:
        others = ", ".join(code for code in CATEGORIES if code != STANDARD)
        table.refuse("rate", f"must be above 0 in {what}", f"write the rate, or one of the categories {others}")
    elif category != STANDARD and rate:
        table.refuse("rate", f"must be 0 in {what}", f'write "0", or the category {STANDARD}')
