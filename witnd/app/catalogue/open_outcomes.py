"""Find which open outcomes run on which version of an agent, among the newest ones.

Lists of outcomes are by status and customer, not by contract. So only the newest open outcomes are checked, and the
result includes how many.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from witnd.app.outcomes.view import Listed, listed
from witnd.app.paging import read_with_catalogue
from witnd.app.services import Services
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.catalogue.contract import Contract
from witnd.domain.outcomes.outcome import Outcome
from witnd.store.query.outcomes import OutcomeFilter, list_outcomes
from witnd.store.query.reads import Reads

LOOKED_AT_MAX: Final = 500
_RUNNING: Final = frozenset(("OPEN", "PENDING"))


class OnVersion(Struct, frozen=True, kw_only=True):
    """Outcomes that run on one version, the newest first. `version` None: on individual terms of a customer."""

    version: int | None
    outcomes: list[Listed]


class Running(Struct, frozen=True, kw_only=True):
    """`complete`: all open outcomes were checked, so these are all of the agent."""

    versions: list[OnVersion]
    complete: bool

    @property
    def count(self) -> int:
        return sum(len(one.outcomes) for one in self.versions)


async def running(services: Services, agent: str) -> Running:
    """Return the newest open outcomes of an agent by version, the newest version first."""

    async def ask(reads: Reads, catalogue: Catalogue) -> Running:
        wanted = OutcomeFilter(statuses=_RUNNING, agent=agent)
        page = await list_outcomes(
            reads, services.partitions, catalogue, wanted, limit=LOOKED_AT_MAX, looked_at_max=LOOKED_AT_MAX
        )
        numbers = _Numbers(catalogue, agent)
        found: dict[int | None, list[Listed]] = {}
        for place, outcome in page.data:
            found.setdefault(numbers.of(outcome), []).append(listed(place.partition, outcome))
        order = sorted(found, key=lambda number: -1 if number is None else number, reverse=True)
        versions = [OnVersion(version=number, outcomes=found[number]) for number in order]
        return Running(versions=versions, complete=page.cursor is None)

    return await read_with_catalogue(services, ask)


class _Numbers:
    """The numbers of an agent's versions by their contracts. Several versions may have the same contract."""

    def __init__(self, catalogue: Catalogue, agent: str) -> None:
        self._starts: Sequence[int] = catalogue.instants("agent", agent)
        self._by_hash: dict[str, list[int]] = {}
        for number, entry in enumerate(catalogue.versions("agent", agent), 1):
            contract = Contract.from_content(agent, entry.content)
            self._by_hash.setdefault(contract.hash, []).append(number)

    def of(self, outcome: Outcome) -> int | None:
        """Return the last version with this contract that was in effect when the outcome opened."""
        numbers = self._by_hash.get(outcome.contract.hash)
        if numbers is None:
            return None
        begun = [number for number in numbers if self._starts[number - 1] <= outcome.opened_at]
        return (begun or numbers)[-1 if begun else 0]
