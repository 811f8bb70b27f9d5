"""The lease on a partition: it has an epoch and a nonce, and every commit compares them.

The comparison in the commit keeps a paused owner that resumes from writing, so replacing a lease is always safe. It is
done in one case: the holder was a process of this machine that is dead.
"""

import os
import secrets
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple, cast

from redis.asyncio import Redis

from witnd.store.errors import Unsafe, WrongType
from witnd.store.keys import OwnedKeys
from witnd.store.server.connection import redis_errors
from witnd.store.server.safety import CLOCK_MS_MAX, Problem, clock_difference
from witnd.store.server.scripts import Script

_SCRIPT = Script("server/lease")
# Error codes of the script.
DAMAGED_TYPE: Final = -2
DAMAGED_EPOCH: Final = -3


class Holder(NamedTuple):
    """The holder of a lease. `left_ms`: how long the lease still runs."""

    value: str
    left_ms: int
    clock: bool = False  # there is no holder: `value` is the difference between the clocks in ms

    @property
    def instance(self) -> str:
        return self.value.rpartition(":")[2] or "nobody"

    @property
    def nonce(self) -> str:
        return self.value.split(":", 2)[1] if self.value.count(":") >= 2 else ""


class Lease:
    """A lease for one owner on one partition. Commits compare `value`, which is empty while the lease is not held."""

    def __init__(
        self, client: Redis, keys: OwnedKeys, instance: str, length_ms: int, now_ms: Callable[[], int]
    ) -> None:
        self.value = ""
        self._client = client
        self._keys = (keys.owner, keys.state)
        self.length_ms = length_ms
        self.instance = instance
        self._now_ms = now_ms
        self._name = f"{process_nonce()}:{instance}"

    async def take(self, *, replace: str = "") -> Holder | Problem | None:
        """Take the lease if it is free or has the value `replace`. Return None on success, else the holder, or the
        problem with the clocks of the server and this host."""
        found = await self._take(replace)
        if isinstance(found, Holder) and is_dead_process(found.nonce):
            found = await self._take(found.value)
        return found

    async def _take(self, replace: str) -> Holder | Problem | None:
        """Run the script, which also compares the clocks: a jump after the comparison ends the lease."""
        found = await self._run("take", self._name, self.length_ms, replace, self._now_ms(), CLOCK_MS_MAX)
        return clock_difference(int(found.value)) if found is not None and found.clock else found

    async def renew(self) -> Holder | None:
        """Extend the lease. Return None on success, else its new holder."""
        return await self._run("renew", self.value, self.length_ms)

    async def release(self) -> None:
        if self.value:
            await self._run("release", self.value)
        self.value = ""

    async def _run(self, verb: str, *words: str | int) -> Holder | None:
        with redis_errors():
            answer = await _SCRIPT.run(self._client, self._keys, (verb, *words))
        held, value, left_ms = cast("tuple[int, bytes, int]", answer)
        if not held:
            return Holder(value.decode(), left_ms)
        if held == DAMAGED_TYPE:
            raise WrongType(self._keys[left_ms - 1], value.decode())
        if held == DAMAGED_EPOCH:
            key = self._keys[1]
            raise Unsafe(
                f"the field epoch of {key} is damaged: it must be a whole number, got {value!r}",
                f"stop all daemons and delete the field (HDEL {key} epoch); the nonce still makes each lease unique",
            )
        if held < 0:
            return Holder(value.decode(), 0, clock=True)
        self.value = value.decode()
        return None


def process_nonce() -> str:
    """Return a new name of this process: `<random>.<machine>.<process id>`."""
    return f"{secrets.token_hex(8)}.{_machine()}.{os.getpid()}"


def is_dead_process(nonce: str) -> bool:
    """Return whether a nonce names a process of this machine that has ended. False if it runs or is elsewhere."""
    _, _, rest = nonce.partition(".")
    machine, _, pid = rest.rpartition(".")
    if machine != _machine() or machine == "unknown" or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return _is_zombie(int(pid))


@cache
def _machine() -> str:
    """Return an id of this boot and process namespace, in which a process id is unique."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    try:
        return f"{boot.read_text()[:8]}-{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return "unknown"


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):
        return False
