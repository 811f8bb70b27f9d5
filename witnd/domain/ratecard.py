"""Rate cards: which agent costs what, in one currency. A price is addressed by its digest.

Only `flat` entries exist. Which version is in force is left to `catalogue`, rounding to `money`.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from msgspec import Struct
from msgspec.structs import force_setattr

from witnd.domain.canonical import digest
from witnd.domain.fields import LONGEST_KEY, Table, described
from witnd.domain.mistake import Mistake
from witnd.domain.money import decimal_string, minor_digits, plain

FLAT = "flat"
LATER_KINDS = ("graduated", "volume", "package", "percentage")
FIELDS = ("currency", "entries")
ENTRY_FIELDS = ("agent", "kind", "price_per_unit")
# As many prices as a card can hold before a catalogue entry becomes a burden to every reader.
MOST_ENTRIES = 1000

_KEY = re.compile(r"[a-z0-9][a-z0-9_-]*", re.ASCII)


class Price(Struct, frozen=True, kw_only=True, eq=False):
    """What one unit of one agent costs. `exponent`: the number of minor digits of the currency."""

    rate_card: str
    currency: str
    agent: str
    kind: str = FLAT
    price_per_unit: Decimal
    # Derived from the above when the price is made.
    exponent: int = -1
    hash: str = ""

    def __post_init__(self) -> None:
        digits = minor_digits(self.currency)
        if digits is None:
            raise ValueError(f"{self.currency} is no currency with a minor unit")
        force_setattr(self, "exponent", digits)
        force_setattr(self, "hash", digest(self.content))

    @property
    def content(self) -> dict[str, str]:
        return {
            "rate_card": self.rate_card,
            "currency": self.currency,
            "agent": self.agent,
            "kind": self.kind,
            "price_per_unit": plain(self.price_per_unit),
        }

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Price) and self.hash == other.hash

    def __hash__(self) -> int:
        return hash(self.hash)


class RateCard(Struct, frozen=True, kw_only=True):
    """One version of a card."""

    key: str
    currency: str
    prices: dict[str, Price]

    @classmethod
    def from_content(cls, key: str, content: Mapping[str, Any]) -> "RateCard":
        currency = content["currency"]
        prices = {
            entry["agent"]: Price(
                rate_card=key,
                currency=currency,
                agent=entry["agent"],
                kind=entry["kind"],
                price_per_unit=decimal_string(entry["price_per_unit"]),
            )
            for entry in content["entries"]
        }
        return cls(key=key, currency=currency, prices=prices)


def key_problem(key: str) -> str | None:
    """Why a rate card cannot have this key."""
    if len(key) <= LONGEST_KEY and _KEY.fullmatch(key):
        return None
    return (
        f"is {described(key)}; write small letters, digits, - and _ only, beginning with a letter "
        f"or digit, at most {LONGEST_KEY}"
    )


def read_rate_card(key: str, raw: object, path: str) -> tuple[dict[str, Any], list[Mistake]]:
    """The canonical content of a rate card as a person wrote it, and everything wrong with it."""
    table = Table(raw, path, FIELDS)
    if problem := key_problem(key):
        table.refuse("key", problem)
    currency = table.get("currency")
    if not isinstance(currency, str) or minor_digits(currency) is None:
        table.refuse("currency", _currency_problem(currency))
    entries = table.get("entries")
    if entries is None:
        entries = []
    read: dict[str, dict[str, str]] = {}
    if not isinstance(entries, Sequence) or isinstance(entries, str | bytes):
        table.refuse("entries", f"must be a list of entries, and is {described(entries)}")
        entries = []
    elif len(entries) > MOST_ENTRIES:
        table.refuse("entries", f"has more than {MOST_ENTRIES} entries; split the card")
        entries = []
    for index, raw_entry in enumerate(entries):
        at = f"{path}.entries[{index}]" if path else f"entries[{index}]"
        entry, mistakes = _read_entry(raw_entry, at)
        agent = entry["agent"]
        if agent in read:
            again = f"prices {described(agent)} a second time; keep one entry per agent"
            mistakes.append(Mistake(f"{at}.agent", again))
        elif agent:
            read[agent] = entry
        table.mistakes.extend(mistakes)
    # In order of agents, so that writing them in another order is no change.
    ordered = [read[agent] for agent in sorted(read)]
    return {"currency": currency, "entries": ordered}, table.mistakes


def _currency_problem(currency: object) -> str:
    if currency is None:
        return 'is missing; write an ISO 4217 code such as "EUR"'
    if not isinstance(currency, str):
        return f'is {described(currency)}; write an ISO 4217 code such as "EUR"'
    if minor_digits(currency.upper()) is not None:
        return f'is {described(currency)}; write it in capitals: "{currency.upper()}"'
    return f"is {described(currency)}, which ISO 4217 gives no minor unit; write one such as EUR"


def _read_entry(raw: object, path: str) -> tuple[dict[str, str], list[Mistake]]:
    table = Table(raw, path, ENTRY_FIELDS)
    agent = table.text("agent")
    kind = table.get("kind")
    if kind in LATER_KINDS:
        table.refuse("kind", f"{kind} is not available in this version; write flat")
    elif kind is not None:
        table.choice("kind", (FLAT,))
    return {"agent": agent, "kind": FLAT, "price_per_unit": _read_price(table)}, table.mistakes


def _read_price(table: Table) -> str:
    name = "price_per_unit"
    price = table.required(name, 'write it as a string, such as "0.99"')
    if price is None:
        return "0"
    if not isinstance(price, str):
        wrong = f'is {described(price)}; write it as a string, such as "0.99"'
        table.refuse(name, wrong)
        return "0"
    try:
        return plain(decimal_string(price))
    except ValueError as wrong_text:
        table.refuse(name, f"{described(price)} {wrong_text}")
        return "0"
