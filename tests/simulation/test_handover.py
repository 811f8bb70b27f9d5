"""The times of the contract for taking over partitions, without other faults (section 13)."""

import asyncio

import msgspec
import pytest

from tests.simulation.network import Faults
from tests.simulation.plan import Plan, make_plan
from tests.simulation.simulation import POLL_SECONDS, Simulation


class Handover(Simulation):
    """One daemon leaves after a moment; the others take its partitions."""

    def __init__(self, plan: Plan, leave: str, seconds: float) -> None:
        super().__init__(plan)
        self._leave = leave
        self._seconds = seconds

    async def _run(self) -> None:
        for host in self.hosts:
            self._start(host)
        await self._wait_for("the partitions are shared", 2.0, self._is_balanced)
        # Not in step with the renewals of leases.
        await asyncio.sleep(self.plan.lease + self.plan.seed / 7)
        getattr(self.hosts[0], self._leave)()
        await asyncio.sleep(POLL_SECONDS)
        await self._wait_for("the others have the partitions", self._seconds, self._is_owned)


def quiet_plan(seed: int) -> Plan:
    lease = 2.0 + seed
    return msgspec.structs.replace(
        make_plan(seed), lease=lease, hosts=2 + seed % 2, partitions=4, shares_machine=False, faults=Faults(), deeds=()
    )


@pytest.mark.parametrize("seed", range(6))
def test_partitions_move_within_a_second_of_an_orderly_stop(seed: int) -> None:
    result = Handover(quiet_plan(seed), "stop", 1.0).run()

    assert result.violations == [], result.report()


@pytest.mark.parametrize("seed", range(6))
def test_partitions_move_within_the_lease_and_two_seconds_of_a_kill(seed: int) -> None:
    plan = quiet_plan(seed)
    result = Handover(plan, "crash", plan.lease + 2).run()

    assert result.violations == [], result.report()
