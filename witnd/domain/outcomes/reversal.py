"""The reversal of a confirmed outcome: its entry of the resolutions stream, and of the stream of invoice lines."""

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from witnd.domain.outcomes.outcome import Outcome
from witnd.domain.outcomes.resolution import RatingTime, derived_id
from witnd.domain.values import instant


class Reversal(Struct, frozen=True, kw_only=True):
    """An entry of the resolutions stream. `entry` is the id of the event that reversed the outcome."""

    id: str
    type: Literal["outcome_reversed"] = "outcome_reversed"
    outcome_key: str
    customer_key: str
    agent_key: str
    grade: str | None
    reversed_at: str
    entry: str
    line_id: str


class ReversalLine(Struct, frozen=True, kw_only=True, tag_field="kind", tag="reversal"):
    """An entry of the stream of invoice lines. Its `resolved_at` and `repaired_at` are those of the line, and so name
    the line's invoice. `reversed_at`: the acceptance of the event `entry`, or the repair if it waited for one."""

    id: str
    line_id: str
    outcome_key: str
    customer_key: str
    agent_key: str
    grade: str | None
    currency: str
    rated: RatingTime  # when the line is rated
    resolved_at: str
    reversed_at: str
    entry: str
    repaired_at: str | UnsetType = UNSET

    @property
    def billed_at(self) -> int:
        """The instant (ms) that determines the period of the line."""
        return instant.parse(self.resolved_at if self.repaired_at is UNSET else self.repaired_at)

    @property
    def at(self) -> int:
        """The instant (ms) of the reversal, which determines how the line is corrected."""
        return instant.parse(self.reversed_at)


def reverse(outcome: Outcome) -> tuple[Reversal, ReversalLine]:
    """Return the reversal of an outcome, and the entry that corrects its line."""
    assert outcome.reversed_by is not None, outcome
    assert outcome.reversed_at is not None, outcome
    ms, seq = outcome.reversed_by
    id_, line_id = derived_id("reversal", outcome.key), derived_id("line", outcome.key)
    grade, entry, at = outcome.contract.grade_at(outcome.grade), f"{ms}-{seq}", instant.render(outcome.reversed_at)
    reversal = Reversal(
        id=id_,
        outcome_key=outcome.key,
        customer_key=outcome.customer_key,
        agent_key=outcome.contract.agent,
        grade=grade,
        reversed_at=at,
        entry=entry,
        line_id=line_id,
    )
    line = ReversalLine(
        id=id_,
        line_id=line_id,
        outcome_key=outcome.key,
        customer_key=outcome.customer_key,
        agent_key=outcome.contract.agent,
        grade=grade,
        currency=outcome.price.currency,
        rated="at_close" if outcome.price.is_rated_at_close else "at_settlement",
        resolved_at=instant.render(outcome.settles_at),
        reversed_at=at,
        entry=entry,
        repaired_at=instant.render(outcome.processed_at or 0) if outcome.is_repaired else UNSET,
    )
    return reversal, line
