"""Run all checks of a change that involve several entries: some refuse it, others only warn."""

from collections.abc import Sequence

from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.catalogue.checks.grade_prices import grade_mistakes, grade_warnings
from witnd.domain.catalogue.checks.own_prices import currency_mistakes
from witnd.domain.catalogue.checks.prorate import prorate_mistakes
from witnd.domain.catalogue.checks.zero_price import zero_price_warnings
from witnd.domain.catalogue.file import Item
from witnd.domain.values.mistake import Mistake


def change_mistakes(catalogue: Catalogue, items: Sequence[Item], at: int, period: str = "") -> list[Mistake]:
    """Return why a change that takes effect at an instant (ms) is refused; empty if it is not. `period`: the kind of
    the deployment's periods, if it is known."""
    found = [*currency_mistakes(catalogue, items, at), *grade_mistakes(catalogue, items, at)]
    return [*found, *prorate_mistakes(items, period)]


def change_warnings(catalogue: Catalogue, items: Sequence[Item], at: int) -> list[Mistake]:
    """Return what the author of a change probably did not intend, each with its path."""
    return [*zero_price_warnings(catalogue, items, at), *grade_warnings(catalogue, items, at)]
