"""Sums of amounts in several currencies."""

from collections.abc import Iterable
from decimal import Decimal

from witnd.domain.values.money import plus
from witnd.web.dashboard.present.words import number


def sums_text(amounts: Iterable[tuple[str, str]]) -> str:
    """Return the sum of each currency: `1,234.50 EUR, 20.00 USD`. Amounts have the digits of their currency."""
    sums: dict[str, Decimal] = {}
    for currency, amount in amounts:
        sums[currency] = plus(sums.get(currency, Decimal(0)), Decimal(amount))
    return ", ".join(f"{number(format(one, 'f'))} {currency}" for currency, one in sorted(sums.items()))
