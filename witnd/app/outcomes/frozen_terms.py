"""The terms that an outcome froze when it opened, as documents."""

from typing import Any

from msgspec import Struct

from witnd.domain.catalogue.terms.grades import grade_name
from witnd.domain.catalogue.terms.reversal import Reversal
from witnd.domain.catalogue.terms.timers import Timer
from witnd.domain.outcomes.outcome import Outcome
from witnd.domain.pricing.working import price_text
from witnd.domain.values import money


class FrozenGrade(Struct, frozen=True, kw_only=True):
    """A grade with its price."""

    key: str
    name: str
    condition: list[dict[str, Any]]
    price_words: str
    price_hash: str


class Terms(Struct, frozen=True, kw_only=True):
    """The terms that the outcome froze when it opened. `grades`, `timers` and `reversal` are null without them.

    The price is that of its grade; before it is confirmed, that of the first grade."""

    agent_key: str
    agent_name: str
    settlement_period: int
    attribution_method: str
    condition: list[dict[str, Any]]
    grades: list[FrozenGrade] | None
    timers: dict[str, Timer] | None
    reversal: Reversal | None
    contract_hash: str
    rate_card: str
    price: dict[str, Any]
    price_per_unit: str | None
    price_words: str
    currency: str
    digits: int
    price_hash: str


def terms(outcome: Outcome) -> Terms:
    contract, price = outcome.contract, outcome.price
    return Terms(
        agent_key=contract.agent,
        agent_name=contract.name,
        settlement_period=contract.settlement_period,
        attribution_method=contract.attribution_method,
        condition=contract.condition,
        grades=_grades(outcome),
        timers=contract.timers,
        reversal=contract.reversal,
        contract_hash=contract.hash,
        rate_card=price.rate_card,
        price=price.content,
        price_words=price_text(price),
        price_per_unit=None if price.price_per_unit is None else money.plain(price.price_per_unit),
        currency=price.currency,
        digits=price.exponent,
        price_hash=price.hash,
    )


def _grades(outcome: Outcome) -> list[FrozenGrade] | None:
    if outcome.contract.grades is None or outcome.graded is None:
        return None
    return [
        FrozenGrade(
            key=grade["key"],
            name=grade_name(grade),
            condition=grade["condition"],
            price_words=price_text(price),
            price_hash=price.hash,
        )
        for grade, price in zip(outcome.contract.grades, outcome.graded, strict=True)
    ]
