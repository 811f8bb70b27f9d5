"""A lost lease ends the work and not the daemon, whatever was found at the same time."""

import asyncio
from typing import Any

import pytest

from witnd.clock import Clock
from witnd.daemon.lease_keeper import LeaseKeeper
from witnd.daemon.side_task import is_fatal
from witnd.store.errors import Fenced, LostSteps
from witnd.store.server.lease import Holder
from witnd.store.server.retry import Retry


class Lease:
    instance = "a"
    value = "1:nonce:a"

    async def renew(self) -> Holder:
        return Holder("", 0)


async def nothing() -> None:
    """The server is right."""


def keeper() -> LeaseKeeper:
    clock, lease = Clock(), Lease()
    retry = Retry(nothing, clock.monotonic)
    made: Any = LeaseKeeper
    found: LeaseKeeper = made("partition 0", lease, retry, clock, seconds=1, standby=print, look=nothing)
    return found


def test_lost_data_beside_a_lost_lease_is_judged_when_the_lease_is_taken_again() -> None:
    """A failover undoes the lease and steps. Both are found at the same moment."""
    asyncio.run(keeper().handle_loss(BaseExceptionGroup("", [Fenced("nobody"), LostSteps("partition 0 is", 2, 4)])))


def test_another_error_beside_a_lost_lease_does_not_end_the_daemon() -> None:
    with pytest.raises(BaseExceptionGroup) as raised:
        asyncio.run(keeper().handle_loss(BaseExceptionGroup("", [Fenced("nobody"), RuntimeError("a bug")])))
    assert not is_fatal(raised.value)
