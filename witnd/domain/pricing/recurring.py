"""Recurring fees and commitments: what a rate card or a customer's own terms charge for every period.

They are not part of the hashes of prices and contracts. Amounts are in the currency of the rate card.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from witnd.domain.pricing.entry import TAX, decimal_field, read_bounds, read_tax_key, required_decimal
from witnd.domain.values import instant
from witnd.domain.values.fields import Table, field_path, short_repr
from witnd.domain.values.money import plain

FEES: Final = "fees"
COMMITMENT: Final = "commitment"
FEE_FIELDS: Final = ("key", "name", "amount", "starts", "prorate", TAX)
COMMITMENT_FIELDS: Final = ("period_minimum", "period_cap", "starts", "prorate", TAX)
# A member of stored terms without `starts` only: the day on which they were written.
WRITTEN: Final = "written"
# A member of stored customers only: the day on which the customer was assigned to its card, if that has fees or a
# commitment.
CARD_SINCE: Final = "rate_card_since"
# More than any price list has. The close of a period evaluates each of them for each customer.
MAX_FEES: Final = 100

_ZERO: Final = Decimal(0)


class Start(Struct, frozen=True):
    """The local date of the first day that is charged, such as 2026-11-30; empty for any day. A default start of a
    card's terms is not before the day on which the customer was assigned to the card."""

    date: str
    is_default: bool

    @classmethod
    def from_content(cls, content: Mapping[str, Any]) -> "Start":
        is_default = "starts" not in content
        day = content.get(WRITTEN) if is_default else content["starts"]
        return cls(day or "", is_default)

    def after(self, assigned: str) -> "Start":
        """Return the start for a customer who was assigned to the card on a date."""
        return Start(max(self.date, assigned), is_default=True) if self.is_default else self


class Fee(Struct, frozen=True, kw_only=True):
    """A fee for every period. With `prorate`, each day is charged on its own. `tax`: the key of its tax, None for the
    customer's."""

    key: str
    name: str
    amount: Decimal
    start: Start
    prorate: bool = False
    tax: str | None = None

    @classmethod
    def from_content(cls, content: Mapping[str, Any]) -> "Fee":
        return cls(
            key=content["key"],
            name=content["name"],
            amount=Decimal(content["amount"]),
            start=Start.from_content(content),
            prorate=content.get("prorate", False),
            tax=content.get(TAX),
        )


class Commitment(Struct, frozen=True, kw_only=True):
    """The least and the most that the outcomes of a period cost. `prorate`: the minimum is charged by days. `tax`: the
    key of its tax, None for the customer's."""

    minimum: Decimal = _ZERO
    cap: Decimal | None = None
    start: Start
    prorate: bool = False
    tax: str | None = None

    @classmethod
    def from_content(cls, content: Mapping[str, Any]) -> "Commitment":
        cap = content.get("period_cap")
        return cls(
            minimum=Decimal(content.get("period_minimum", "0")),
            cap=None if cap is None else Decimal(cap),
            start=Start.from_content(content),
            prorate=content.get("prorate", False),
            tax=content.get(TAX),
        )


class Recurring(Struct, frozen=True):
    """The fees of a card or customer by key, and its commitment."""

    fees: dict[str, Fee]
    commitment: Commitment | None

    @classmethod
    def from_content(cls, content: Mapping[str, Any]) -> "Recurring | None":
        """Return the terms of a card or customer, or None if it has none."""
        commitment = content.get(COMMITMENT)
        fees = {fee["key"]: Fee.from_content(fee) for fee in content.get(FEES, ())}
        if not fees and commitment is None:
            return None
        return cls(fees, None if commitment is None else Commitment.from_content(commitment))

    def of_card(self, assigned: str) -> "tuple[dict[str, Fee], Commitment | None]":
        """Return the terms of a card for a customer who was assigned to it on a date; empty if unknown."""
        if not assigned:
            return self.fees, self.commitment
        fees = {key: replace(fee, start=fee.start.after(assigned)) for key, fee in self.fees.items()}
        commitment = self.commitment
        if commitment is not None:
            commitment = replace(commitment, start=commitment.start.after(assigned))
        return fees, commitment

    @property
    def first_start(self) -> str:
        """The earliest start of its fees and its commitment."""
        starts = [fee.start.date for fee in self.fees.values()]
        return min(starts if self.commitment is None else [*starts, self.commitment.start.date])


def check_date(date: str) -> None:
    """Check a date such as 2026-11-30. Raises ValueError."""
    instant.parse(f"{date}T00:00:00Z")


# -- reading -----------------------------------------------------------------------------------------------------------


def read_recurring(table: Table, digits: int | None = None) -> dict[str, Any]:
    """Return the fields `fees` and `commitment` in canonical form, without those that are absent. Adds errors to the
    table's mistakes. `digits`: of the currency, if known. The fees are sorted by key, so that reordering them is not a
    change."""
    found: dict[str, Any] = {}
    if fees := _read_fees(table, digits):
        found[FEES] = fees
    if commitment := _read_commitment(table, digits):
        found[COMMITMENT] = commitment
    return found


def _read_fees(table: Table, digits: int | None) -> list[dict[str, Any]]:
    raw = table.get(FEES)
    if raw is None:
        return []
    if not isinstance(raw, Sequence) or isinstance(raw, str | bytes):
        table.refuse(FEES, f"must be a list of fees, got {short_repr(raw)}")
        return []
    if len(raw) > MAX_FEES:
        table.refuse(FEES, f"has more than {MAX_FEES} fees; combine some of them")
        return []
    read: dict[str, dict[str, Any]] = {}
    for index, one in enumerate(raw):
        inner = Table(one, field_path(table.path, f"{FEES}[{index}]"), FEE_FIELDS)
        key = inner.text("key")
        fee = {"key": key, "name": inner.text("name", default=key)}
        fee |= required_decimal(inner, "amount", "49.00") | _options(inner)
        _check_digits(inner, ("amount",), digits)
        if key in read:
            inner.refuse("key", f"must not be repeated, got {short_repr(key)} again; keep one fee per key")
        elif key:
            read[key] = fee
        table.mistakes.extend(inner.mistakes)
    return [read[key] for key in sorted(read)]


def _read_commitment(table: Table, digits: int | None) -> dict[str, Any]:
    raw = table.get(COMMITMENT)
    if raw is None:
        return {}
    inner = Table(raw, field_path(table.path, COMMITMENT), COMMITMENT_FIELDS)
    found = read_bounds(inner, "period_minimum", "period_cap", "500.00")
    if not inner.mistakes and not found:
        inner.refuse("period_minimum", "is missing; write a period_minimum above 0, a period_cap, or both")
    found |= _options(inner)
    _check_digits(inner, ("period_minimum", "period_cap"), digits)
    table.mistakes.extend(inner.mistakes)
    return found


def _options(table: Table) -> dict[str, Any]:
    """Read `starts`, `prorate` and `tax`, and omit their defaults."""
    found: dict[str, Any] = {}
    starts, prorate = table.get("starts"), table.get("prorate")
    if isinstance(starts, date) and not isinstance(starts, datetime):
        starts = starts.isoformat()  # a date of TOML
    if starts is not None:
        try:
            if not isinstance(starts, str):
                raise ValueError
            check_date(starts)
        except ValueError:
            problem = f"is {short_repr(starts)}, which is not a date"
            table.refuse("starts", problem, 'write one such as "2026-11-30"')
        else:
            found["starts"] = starts
    if prorate is not None and not isinstance(prorate, bool):
        table.refuse("prorate", f"is {short_repr(prorate)}; write true or false without quotes")
    elif prorate:
        found["prorate"] = True
    return found | read_tax_key(table)


def _check_digits(table: Table, names: Sequence[str], digits: int | None) -> None:
    """Refuse amounts that are finer than the minor unit of the currency."""
    known = {one.path for one in table.mistakes}
    for name in names:
        if table.get(name) is None or field_path(table.path, name) in known or digits is None:
            continue
        amount = decimal_field(table, name, "")
        places = len(plain(amount or _ZERO).partition(".")[2])
        if places > digits:
            problem = f"has {places} digits after the point, and the currency has {digits}"
            table.refuse(name, problem, "write an amount that can be billed")


def fraction_digits(content: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Return how many digits each amount of the fees and the commitment has after the point, by its path."""
    amounts = {f"{FEES}[{fee['key']}].amount": fee["amount"] for fee in content.get(FEES, ())}
    bounds = content.get(COMMITMENT, {})
    amounts |= {f"{COMMITMENT}.{name}": bounds[name] for name in COMMITMENT_FIELDS[:2] if name in bounds}
    return [(path, len(amount.partition(".")[2])) for path, amount in amounts.items()]


# -- start days --------------------------------------------------------------------------------------------------------


def input_content(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stored content as its author would write it, without the days on which it was written."""
    found = {name: value for name, value in content.items() if name != CARD_SINCE}
    if FEES in found:
        found[FEES] = [_without_written(fee) for fee in found[FEES]]
    if COMMITMENT in found:
        found[COMMITMENT] = _without_written(found[COMMITMENT])
    return found


def with_start_days(content: Mapping[str, Any], old: Mapping[str, Any] | None, today: str) -> dict[str, Any]:
    """Return the content with the day of writing in terms without `starts`. Terms that `old` has too keep their day."""
    found = dict(content)
    before = {} if old is None else old
    if FEES in found:
        known = {fee["key"]: fee for fee in before.get(FEES, ())}
        found[FEES] = [_with_written(fee, known.get(fee["key"]), today) for fee in found[FEES]]
    if COMMITMENT in found:
        found[COMMITMENT] = _with_written(found[COMMITMENT], before.get(COMMITMENT), today)
    return found


def _without_written(terms: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in terms.items() if name != WRITTEN}


def _with_written(terms: Mapping[str, Any], old: Mapping[str, Any] | None, today: str) -> dict[str, Any]:
    if "starts" in terms or WRITTEN in terms:
        return dict(terms)
    return {**terms, WRITTEN: (old or {}).get(WRITTEN, today)}
