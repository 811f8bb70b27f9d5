"""The catalogue in Redis: loads and appends versions.

Callers validate a version before; the script decides from when it is in effect.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, cast

import msgspec
from msgspec import Struct
from redis.asyncio import Redis

from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.catalogue.chain import Head
from witnd.domain.catalogue.plan import Change
from witnd.domain.values import instant
from witnd.store.access import change_log
from witnd.store.catalogue.instants import MARGIN_MS, Instants, instants_in_cluster, next_instant
from witnd.store.catalogue.loader import add_stored, check_decided, check_head, check_length, decided_head, decode_head
from witnd.store.errors import StoreRefused, StoreUnavailable
from witnd.store.keys import BillingKeys, GlobalKeys, Keys
from witnd.store.records.json_record import FORMAT
from witnd.store.server.connection import redis_errors
from witnd.store.server.durability import Confirm, nothing_to_confirm
from witnd.store.server.routing.client import is_cluster
from witnd.store.server.safety import Problem
from witnd.store.server.scripts import Argument, Script

# Entries per read: a few hundred KiB, which the server answers quickly.
PAGE = 1000
# How often a change is planned again because of another one.
ATTEMPTS = 8
# How often a change waits for a unique instant: the clock advances after a millisecond.
WAITS: Final = 100
WAIT_SECONDS: Final = 0.002

_APPLY = Script("catalogue/apply")


class AppliedChange(Struct, frozen=True, kw_only=True):
    """The result of a change: the new revision, and the instant (ms) from which it is in effect."""

    revision: int
    effective_from: int


class CatalogueChanged(Exception):  # noqa: N818 - an expected state, not a bug
    """The catalogue changed since it was read. Nothing was written: load it and plan again."""


class _InstantTaken(Exception):  # noqa: N818
    """The instant of the change is taken, or a version took effect meanwhile. Plan again in a millisecond."""

    def __init__(self, instant_ms: int) -> None:
        super().__init__(instant.render(instant_ms))
        self.instant_ms = instant_ms


class CatalogueRefused(Exception):  # noqa: N818
    """The change is invalid. Nothing was written; the message says what to change. `is_instant`: it is about
    the instant."""

    def __init__(self, problem: str, *, is_instant: bool = False) -> None:
        super().__init__(f"effective_from {problem}" if is_instant else problem)
        self.problem = problem
        self.is_instant = is_instant


class CatalogueStore:
    """The stored catalogue. `partitions`: the number of logs; a new version must be later than their entries.
    `clock_problem` returns why the server's clock must not date a version at the moment, or None. A change is
    answered once `confirm` has confirmed it, and versions are loaded once `confirm_load` has."""

    def __init__(
        self,
        client: Redis,
        keys: GlobalKeys,
        partitions: int,
        clock_problem: Callable[[], Problem | None] = lambda: None,
        confirm: Confirm = nothing_to_confirm,
        confirm_load: Confirm = nothing_to_confirm,
    ) -> None:
        self._client = client
        self._confirm = confirm
        self._confirm_load = confirm_load
        self._keys = keys
        self._clock_problem = clock_problem
        self._partitions = [Keys(keys.prefix, partition) for partition in range(partitions)]

    async def load(self, catalogue: Catalogue) -> int:
        """Load the versions after the catalogue's revision. Return how many were added.

        Raises Unsafe if stored versions differ from those read before, do not match the head, or cannot be read.
        """
        known = catalogue.chain.head
        entries: list[bytes] = []
        while True:
            start = known.count + len(entries)
            with redis_errors():
                async with self._client.pipeline(transaction=True) as pipeline:
                    pipeline.get(self._keys.catalogue_head)
                    pipeline.llen(self._keys.catalogue)
                    pipeline.lrange(self._keys.catalogue, start, start + PAGE - 1)
                    raw, length, page = await pipeline.execute()
            head = decode_head(raw)
            check_head(catalogue, known, head)
            check_length(length, head)
            entries += page
            if known.count + len(entries) >= head.count:
                break
        before = catalogue.revision
        if entries:
            await self._confirm_load()
        add_stored(catalogue, known.count, head, entries)
        return catalogue.revision - before

    async def check(self, catalogue: Catalogue) -> None:
        """Raise Unsafe if a partition or billing used versions that Redis does not have any more."""
        states = {f"partition {number}": keys.state for number, keys in enumerate(self._partitions)}
        states["billing"] = BillingKeys(self._keys.prefix).state
        with redis_errors():
            async with self._client.pipeline(transaction=False) as pipeline:
                for state in states.values():
                    pipeline.hget(state, "catalogue")
                found = cast("list[bytes | None]", await pipeline.execute())
        heads = {
            what: decided_head(None if raw is None else raw.decode()) for what, raw in zip(states, found, strict=True)
        }
        if any(head is not None and head.count > catalogue.revision for head in heads.values()):
            # A daemon may have used a version that was added after this load.
            await self.load(catalogue)
        for what, head in heads.items():
            check_decided(catalogue, what, head)

    async def next_instant(self) -> int:
        """Return the first instant (ms) after all that is accepted. A change without `effective_from` gets it, or in a
        cluster a later one."""
        return await next_instant(self._client, self._partitions)

    async def _earliest(self) -> tuple[int, Instants | None]:
        """Return the instant of a change without `effective_from`, and the limits of a write in a cluster."""
        if not is_cluster(self._client):
            return await self.next_instant(), None
        limits = await instants_in_cluster(self._client, self._keys, self._partitions)
        return limits.least_ms or await self.next_instant(), limits

    async def apply(
        self,
        catalogue: Catalogue,
        changes: Sequence[Change],
        effective_from: int | None = None,
        *,
        planned_at: int | None = None,
        log: Sequence[change_log.Change] = (),
    ) -> AppliedChange:
        """Write changes that were planned against this catalogue, all at one instant, with their entries of the change
        log.

        Raises CatalogueChanged if the catalogue is not the newest, CatalogueRefused for an invalid instant, and
        StoreUnavailable if it is unknown whether they were written. Then load and plan again: written changes are no
        longer planned.
        """
        instants = {at for change in changes for at in catalogue.instants(change.kind, change.key)}
        head = str(catalogue.chain.head)  # as planned: another task may load versions during the next await
        earliest, limits = planned_at or 0, None
        if planned_at is None or is_cluster(self._client):
            earliest, limits = await self._earliest()
        at = earliest if planned_at is None else planned_at
        chosen = "" if effective_from is None else effective_from
        args: list[Argument] = [head, chosen, at, *(limits or ("", ""))]
        args += [len(instants), *instants, len(log)]
        for entry in log:
            args += change_log.around_instant(entry)
        for change in changes:
            args += _entry_around_instant(change)
        keys = self._keys
        names = [keys.catalogue, keys.catalogue_head, keys.changes]
        if limits is None:
            names += [keys.meta, *[part.events for part in self._partitions]]
        with redis_errors():
            reply = await _APPLY.run(self._client, names, args)
        status, value, *more = [word.decode() for word in cast("list[bytes]", reply)]
        if status == "applied":
            await self._confirm()
            return AppliedChange(revision=int(value), effective_from=int(more[0]))
        if status == "moved":
            check_head(catalogue, catalogue.chain.head, Head.parse(value))
            raise CatalogueChanged(f"the catalogue is now at revision {Head.parse(value).count}")
        if status == "late":
            raise CatalogueChanged("reading the logs took too long; nothing was written")
        if status == "wait":
            raise _InstantTaken(int(value))
        if status == "damaged":
            check_length(int(value), Head.parse(more[0]))
        raise _refusal(status, int(value), len(self._partitions))

    async def change(
        self,
        catalogue: Catalogue,
        plan: Callable[[Catalogue, int], Sequence[Change]],
        effective_from: int | None = None,
        *,
        log: Callable[[], Sequence[change_log.Change]] = tuple,
    ) -> AppliedChange | None:
        """Load, plan and apply; repeat if the catalogue changed meanwhile. Return None if there is nothing to change.

        `plan` gets the catalogue and the instant to compare with. `log` returns the entries of the change log for the
        last plan.
        """
        moved = early = at_least = 0
        while moved < ATTEMPTS and early < WAITS:
            await self.load(catalogue)
            await self.check(catalogue)
            at = max(at_least, (await self._earliest())[0]) if effective_from is None else effective_from
            changes = plan(catalogue, at)
            if not changes:
                return None
            if effective_from is None and (problem := self._clock_problem()):
                raise StoreRefused(problem.reason, problem.remedy)
            try:
                applied = await self.apply(catalogue, changes, effective_from, planned_at=at, log=log())
            except CatalogueChanged:
                moved += 1
                continue
            except _InstantTaken as wait:
                early += 1
                at_least = max(at_least, wait.instant_ms)
                await asyncio.sleep(WAIT_SECONDS)
                continue
            await self.load(catalogue)
            if effective_from is None:
                await self._wait_until_in_effect(applied.effective_from)
            return applied
        if early >= WAITS:
            raise CatalogueRefused("the clock of the Redis server does not advance; run `witnd doctor`")
        raise CatalogueRefused("the catalogue is being modified concurrently; retry")

    async def _wait_until_in_effect(self, instant_ms: int) -> None:
        """In a cluster, wait for the instant of a change, so that it applies to events sent after this call."""
        if not is_cluster(self._client):
            return
        with suppress(TimeoutError, StoreUnavailable, StoreRefused):  # the change is written
            async with asyncio.timeout(2 * MARGIN_MS / 1000):
                while (now_ms := await self.next_instant()) <= instant_ms:  # noqa: ASYNC110 - another host's clock
                    await asyncio.sleep((instant_ms - now_ms + 1) / 1000)


def _entry_around_instant(change: Change) -> tuple[bytes, bytes]:
    """Return the entry's JSON before and after the instant, which the script inserts."""
    encode = msgspec.json.encode
    before = b'{"v":%d,"kind":%b,"key":%b,"effective_from":' % (FORMAT, encode(change.kind), encode(change.key))
    return before, b',"archived":%b,"content":%b}' % (
        encode(change.archived),
        encode(change.content),
    )


def _refusal(status: str, number: int, partitions: int) -> CatalogueRefused:
    if status == "early":
        least = "1970-01-01T00:00:00.000Z" if not number else instant.render(number)
        return CatalogueRefused(
            "is before events that are already accepted; "
            f"the earliest instant is {least}: choose a later one, or omit it",
            is_instant=True,
        )
    if status == "taken":
        at = instant.render(number)
        return CatalogueRefused(f"{at} already has a version of one of these keys; choose another", is_instant=True)
    return CatalogueRefused(
        f"this deployment has {number} partitions and the configuration says {partitions}; "
        f"set redis.partitions = {number}"
    )
