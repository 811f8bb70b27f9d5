"""Messages about fields."""

import pytest

from witnd.domain.values.fields import similar_name


@pytest.mark.parametrize(("others", "suggested"), [(0, "support"), (999, "support"), (1000, None)])
def test_a_name_is_compared_with_at_most_1000_others(others: int, suggested: str | None) -> None:
    known = ["support", *(f"{number:09}" for number in range(others))]
    assert similar_name("suport", known) == suggested


def test_names_that_are_not_similar_are_not_suggested() -> None:
    assert similar_name("suport", ["billing"]) is None
