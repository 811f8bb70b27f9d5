"""Rate cards: the prices of agents in one currency. A price is identified by its digest."""

import re
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import force_setattr

from witnd.domain.pricing.entry import (
    ENTRY_FIELDS,
    FLAT,
    GRADE,
    GRADUATED,
    KINDS,
    MAX_ENTRIES,
    MAX_TIERS,
    OPTIONS,
    PACKAGE,
    PERCENTAGE,
    TAX,
    VOLUME,
    read_entries,
)
from witnd.domain.pricing.recurring import COMMITMENT, FEES, Recurring, read_recurring
from witnd.domain.values.canonical import digest
from witnd.domain.values.fields import MAX_KEY_LENGTH, MISSING, Table, short_repr
from witnd.domain.values.mistake import Mistake
from witnd.domain.values.money import minor_digits, plain

__all__ = [
    "DIGITS",
    "ENTRY_FIELDS",
    "FIELDS",
    "FLAT",
    "GRADUATED",
    "KINDS",
    "MAX_ENTRIES",
    "MAX_TIERS",
    "PACKAGE",
    "PERCENTAGE",
    "VOLUME",
    "Price",
    "RateCard",
    "Tier",
    "key_problem",
    "read_entries",
    "read_rate_card",
]

FIELDS = ("currency", "entries", FEES, COMMITMENT)
# A member of stored cards only: the minor digits of the currency when the card first used it.
DIGITS: Final = "digits"

_KEY = re.compile(r"[a-z0-9][a-z0-9_-]*", re.ASCII)
_ZERO = Decimal(0)
# The decimal members of an entry.
_DECIMALS: Final = tuple(name for name in ENTRY_FIELDS if name not in ("agent", GRADE, "kind", "tiers", TAX))
# Decimal members that are omitted if they are 0.
_ZERO_BY_DEFAULT: Final = ("minimum", "free_quota", "period_minimum")


class Tier(Struct, frozen=True, kw_only=True):
    """A step of a graduated or volume price. It includes a quantity of exactly `up_to`; None means no end."""

    up_to: Decimal | None = None
    price_per_unit: Decimal
    flat_fee: Decimal = _ZERO

    @classmethod
    def from_entry(cls, tier: Mapping[str, str]) -> "Tier":
        return cls(**{name: Decimal(text) for name, text in tier.items()})

    @property
    def content(self) -> dict[str, str]:
        content = {} if self.up_to is None else {"up_to": plain(self.up_to)}
        content["price_per_unit"] = plain(self.price_per_unit)
        return content | ({"flat_fee": plain(self.flat_fee)} if self.flat_fee else {})


class Price(Struct, frozen=True, kw_only=True, eq=False):
    """The price of one agent: an entry of a rate card, or a customer's own entry if `customer` is set.

    Amounts are in `currency`, rounded to `exponent` digits after the point. Fields of other kinds keep their defaults.
    `grade`: the grade of its entry, None if the entry has none. `tax`: the key of its tax, None for the customer's.

    The exponent is not part of the hash: a card keeps the digits with which it first used a currency, so card and
    currency determine it.
    """

    rate_card: str
    currency: str
    exponent: int
    agent: str
    kind: str = FLAT
    price_per_unit: Decimal | None = None
    tiers: tuple[Tier, ...] = ()
    package_size: Decimal | None = None
    price_per_package: Decimal | None = None
    percent: Decimal | None = None
    minimum: Decimal = _ZERO
    maximum: Decimal | None = None
    free_quota: Decimal = _ZERO
    period_minimum: Decimal = _ZERO
    period_cap: Decimal | None = None
    grade: str | None = None
    tax: str | None = None
    customer: str | None = None
    # Derived when the price is created. `is_rated_at_close`: amounts depend on the whole period. `borders`: the ends of
    # all tiers but the last.
    borders: tuple[Decimal, ...] = ()
    is_rated_at_close: bool = False
    hash: str = ""

    def __post_init__(self) -> None:
        whole_period = bool(self.free_quota) or self.has_period_bounds
        force_setattr(self, "borders", tuple([tier.up_to for tier in self.tiers if tier.up_to is not None]))
        force_setattr(self, "is_rated_at_close", whole_period or self.kind not in (FLAT, PERCENTAGE))
        force_setattr(self, "hash", digest(self.content))

    @classmethod
    def from_entry(
        cls, rate_card: str, currency: str, digits: int, entry: Mapping[str, Any], customer: str | None = None
    ) -> "Price":
        """Return the price of a canonical entry. `digits` are those the card stores for its currency."""
        # Not validated again: a stored price must stay readable when the limits change.
        amounts: dict[str, Any] = {name: Decimal(entry[name]) for name in _DECIMALS if name in entry}
        return cls(
            rate_card=rate_card,
            currency=currency,
            exponent=digits,
            agent=entry["agent"],
            kind=entry["kind"],
            tiers=tuple([Tier.from_entry(tier) for tier in entry.get("tiers", ())]),
            grade=entry.get(GRADE),
            tax=entry.get(TAX),
            customer=customer,
            **amounts,
        )

    @property
    def title(self) -> str:
        """The agent, and the grade if the entry names one, for people."""
        return self.agent if self.grade is None else f"{self.agent} ({self.grade})"

    @property
    def has_period_bounds(self) -> bool:
        """Whether it has a period minimum or cap."""
        return bool(self.period_minimum) or self.period_cap is not None

    @property
    def entry(self) -> dict[str, Any]:
        """The canonical entry of this price."""
        entry: dict[str, Any] = {"agent": self.agent, "kind": self.kind}
        if self.grade is not None:
            entry[GRADE] = self.grade
        for name in KINDS[self.kind]:
            if name == "tiers":
                entry[name] = [tier.content for tier in self.tiers]
            else:
                self._add_decimal(entry, name)
        for name in OPTIONS:
            self._add_decimal(entry, name)
        return entry if self.tax is None else entry | {TAX: self.tax}

    def _add_decimal(self, entry: dict[str, Any], name: str) -> None:
        value = getattr(self, name)
        if value is not None and (value or name not in _ZERO_BY_DEFAULT):
            entry[name] = plain(value)

    @property
    def content(self) -> dict[str, Any]:
        """The content that the hash covers."""
        content = {"rate_card": self.rate_card, "currency": self.currency} | self.entry
        return content if self.customer is None else content | {"customer": self.customer}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Price) and self.hash == other.hash

    def __hash__(self) -> int:
        return hash(self.hash)


class RateCard(Struct, frozen=True, kw_only=True):
    """A version of a rate card. `entries`: by agent, then by grade, with None for an entry without grade."""

    key: str
    currency: str
    digits: int
    entries: dict[str, dict[str | None, Price]]
    recurring: Recurring | None = None  # None without fees and commitment

    @classmethod
    def from_content(cls, key: str, content: Mapping[str, Any]) -> "RateCard":
        currency, digits = content["currency"], content[DIGITS]
        entries: dict[str, dict[str | None, Price]] = {}
        for entry in content["entries"]:
            price = Price.from_entry(key, currency, digits, entry)
            entries.setdefault(price.agent, {})[price.grade] = price
        return cls(
            key=key,
            currency=currency,
            digits=digits,
            entries=entries,
            recurring=Recurring.from_content(content),
        )

    @property
    def prices(self) -> list[Price]:
        """The prices of all entries, sorted by agent and grade."""
        return [price for graded in self.entries.values() for price in graded.values()]


def key_problem(key: str) -> str | None:
    """Return why a rate card cannot have this key, or None."""
    if len(key) <= MAX_KEY_LENGTH and _KEY.fullmatch(key):
        return None
    return (
        f"is {short_repr(key)}; write only lower-case letters, digits, - and _, starting with a letter "
        f"or digit, at most {MAX_KEY_LENGTH}"
    )


def read_rate_card(
    key: str, raw: object, path: str, stored: Mapping[str, int] = MappingProxyType({})
) -> tuple[dict[str, Any], list[Mistake]]:
    """Return the canonical content of a rate card from user input, and its mistakes.

    `stored`: the currencies of the card's earlier versions and their digits, which stay valid even if ISO 4217 changes.
    """
    table = Table(raw, path, FIELDS)
    if problem := key_problem(key):
        table.refuse("key", problem)
    currency = table.get("currency")
    digits = None
    if isinstance(currency, str):
        digits = stored[currency] if currency in stored else minor_digits(currency)
    if digits is None:
        table.refuse("currency", _currency_problem(currency), code=MISSING if currency is None else "")
    content = {"currency": currency, DIGITS: digits, "entries": read_entries(table, path)}
    content |= read_recurring(table, digits)
    return content, table.mistakes


def _currency_problem(currency: object) -> str:
    if currency is None:
        return 'is missing; write an ISO 4217 code such as "EUR"'
    if not isinstance(currency, str):
        return f'is {short_repr(currency)}; write an ISO 4217 code such as "EUR"'
    if minor_digits(currency.upper()) is not None:
        return f'is {short_repr(currency)}; write it in upper case: "{currency.upper()}"'
    return f'is {short_repr(currency)}, which has no minor unit in ISO 4217; write a code such as "EUR"'
