"""Describe which grade an outcome has, and why not an earlier one."""

from collections.abc import Sequence

from witnd.domain.catalogue.condition import leaf_text
from witnd.domain.catalogue.contract import Contract
from witnd.domain.catalogue.terms.grades import grade_name
from witnd.domain.outcomes.outcome import Outcome
from witnd.domain.outcomes.recount import Recount


def grade_sentence(outcome: Outcome, counted: Recount, truth: Sequence[bool]) -> str | None:
    """Return the grade of a confirmed outcome, or of one that would be confirmed now; None without one.

    `truth`: of each leaf of the condition now.
    """
    contract, place = outcome.contract, counted.grade
    if contract.grades is None or place is None or outcome.status not in ("PENDING", "CONFIRMED"):
        return None
    has = "Its grade is" if outcome.status == "CONFIRMED" else "If it settled now, its grade would be"
    first = f"{has} {_title(contract, place)}"
    if not place:
        return f"{first}, the first of {len(contract.grades)}."
    earlier = "; ".join(f"{_title(contract, one)} is not true{_false(contract, one, truth)}" for one in range(place))
    return f"{first}, because {earlier}."


def _title(contract: Contract, place: int) -> str:
    assert contract.grades is not None, contract
    grade = contract.grades[place]
    name = grade_name(grade)
    return f"`{grade['key']}`" if name == grade["key"] else f"`{grade['key']}` ({name})"


def _false(contract: Contract, place: int, truth: Sequence[bool]) -> str:
    """Return the checks of a grade that are false, in parentheses."""
    found = [
        leaf_text(leaf.fact, leaf.operator, _number(leaf.value))
        for leaf, holds in zip(contract.rule.leaves, truth, strict=True)
        if not holds and leaf.path.startswith(f"grades[{place}].")
    ]
    return f" (not: {'; '.join(found)})" if found else ""


def _number(value: object) -> object:
    """Return a count as an integer: the numbers of a condition are doubles."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
