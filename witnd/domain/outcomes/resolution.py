"""The resolution of a final outcome, and its invoice line if it was confirmed.

Ids are lower-case hex SHA-256 of their parts joined by NUL, so that a repetition creates the same id. All instants are
log time, never the wall clock.
"""

from hashlib import sha256
from typing import Any, Literal, TypeAlias

from msgspec import UNSET, Struct, UnsetType

from witnd.domain.outcomes import attribution
from witnd.domain.outcomes.outcome import Outcome
from witnd.domain.pricing.rating import rate_at_settlement
from witnd.domain.pricing.working import working_text
from witnd.domain.values import instant, money

ResolutionType: TypeAlias = Literal["outcome_succeed", "outcome_failed"]
RatingTime: TypeAlias = Literal["at_settlement", "at_close"]


class Line(Struct, frozen=True, kw_only=True, tag_field="kind", tag="line"):
    """An invoice line, with decimal strings; `amount` has exactly the minor digits of the currency. Amounts are null
    until the period closes if the price needs the whole period. `working` is the calculation, absent if it is unit ×
    price."""

    id: str
    outcome_key: str
    customer_key: str
    agent_key: str
    resolved_at: str
    unit: str
    price_per_unit: str | None
    amount: str | None
    amount_exact: str | None
    currency: str
    digits: int  # minor digits of the currency when the price was written
    rate_card: str
    price_hash: str
    contract_hash: str
    rated: RatingTime = "at_settlement"
    working: dict[str, Any] | UnsetType = UNSET
    repaired_at: str | UnsetType = UNSET
    grade: str | None = None  # null without grades

    @property
    def billed_at(self) -> int:
        """The instant (ms) that determines the period of the line."""
        return instant.parse(self.resolved_at if self.repaired_at is UNSET else self.repaired_at)


class Resolution(Struct, frozen=True, kw_only=True):
    """An entry of the resolutions stream. The billing members are absent for a missed outcome; amounts are null
    until the period closes if the price needs the whole period."""

    id: str
    type: ResolutionType
    outcome_key: str
    customer_key: str
    agent_key: str
    status: str
    opened_at: str
    settles_at: str
    processed_at: str
    events_count: int
    contract_hash: str
    unit: str | UnsetType = UNSET
    price_per_unit: str | UnsetType | None = UNSET
    amount: str | UnsetType | None = UNSET
    amount_exact: str | UnsetType | None = UNSET
    currency: str | UnsetType = UNSET
    rated: RatingTime | UnsetType = UNSET
    line_id: str | UnsetType = UNSET
    grade: str | None = None  # null for a missed outcome, and without grades


def derived_id(*parts: str) -> str:
    return sha256("\0".join(parts).encode()).hexdigest()


def resolve(outcome: Outcome) -> tuple[Resolution, Line | None]:
    """Return the resolution of a final outcome, and its line if it is billed."""
    assert outcome.is_final, outcome
    assert outcome.processed_at is not None, outcome
    contract, key = outcome.contract, outcome.key
    settles_at = instant.render(outcome.settles_at)
    line = _line(outcome, settles_at) if outcome.status == "CONFIRMED" else None
    resolution = Resolution(
        id=derived_id("resolution", key),
        type="outcome_succeed" if line else "outcome_failed",
        outcome_key=key,
        customer_key=outcome.customer_key,
        agent_key=contract.agent,
        status=outcome.status,
        opened_at=instant.render(outcome.opened_at),
        settles_at=settles_at,
        processed_at=instant.render(outcome.processed_at),
        events_count=outcome.events,
        contract_hash=contract.hash,
        unit=line.unit if line else UNSET,
        price_per_unit=line.price_per_unit if line else UNSET,
        amount=line.amount if line else UNSET,
        amount_exact=line.amount_exact if line else UNSET,
        currency=line.currency if line else UNSET,
        rated=line.rated if line else UNSET,
        line_id=line.id if line else UNSET,
        grade=line.grade if line else None,
    )
    return resolution, line


def amount_text(line: Line) -> str:
    """Return how the amount of a line was calculated, in one line."""
    if line.amount is None:
        return f"{line.unit} units, amount calculated when the period closes"
    amount = f"{line.amount} {line.currency}"
    if line.working is UNSET:
        return f"{line.unit} × {line.price_per_unit} = {amount}"
    return f"{amount}: {working_text(line.working)}"


def _line(outcome: Outcome, resolved_at: str) -> Line:
    price = outcome.price
    unit = attribution.unit(outcome.tally)
    rated = None if price.is_rated_at_close else rate_at_settlement(price, unit)
    each = None if rated is None else rated.price_per_unit
    return Line(
        id=derived_id("line", outcome.key),
        outcome_key=outcome.key,
        customer_key=outcome.customer_key,
        agent_key=outcome.contract.agent,
        resolved_at=resolved_at,
        unit=money.plain(unit),
        price_per_unit=None if each is None else money.plain(each),
        amount=None if rated is None else format(rated.amount, "f"),
        amount_exact=None if rated is None else money.plain(rated.exact),
        currency=price.currency,
        digits=price.exponent,
        rate_card=price.rate_card,
        price_hash=price.hash,
        contract_hash=outcome.contract.hash,
        rated="at_close" if rated is None else "at_settlement",
        working=UNSET if rated is None or rated.working is None else rated.working,
        repaired_at=instant.render(outcome.processed_at or 0) if outcome.is_repaired else UNSET,
        grade=outcome.contract.grade_at(outcome.grade),
    )
