"""The catalogue in Redis: an append-only list of versions, changed atomically.

What may stand in a version is checked before it comes here; from when on it is in force, the script
decides.
"""

from collections.abc import Callable, Sequence
from typing import cast

import msgspec
from msgspec import Struct
from redis.asyncio import Redis

from witnd.domain import instant
from witnd.domain.catalogue import Catalogue, CatalogueEntry
from witnd.domain.catalogue_plan import Change
from witnd.store.connection import mapped
from witnd.store.errors import Unsafe
from witnd.store.keys import GlobalKeys, Keys
from witnd.store.scripts import Script

# Entries per read: a few hundred KiB, which block the server for no noticeable time.
PAGE = 1000
# How often a change is planned again because another one came between.
ATTEMPTS = 8
# A version that begins at most this far ahead is present (several changes in one millisecond, a
# clock that was set back, as far as the log tolerates it); one that begins later was scheduled.
PRESENT_MS = 60_000

_APPLY = Script("catalogue_apply")


class Applied(Struct, frozen=True, kw_only=True):
    """What a change became."""

    revision: int
    effective_from: int


class CatalogueMoved(Exception):  # noqa: N818 - a state of the world, not a mistake in code
    """Somebody else changed the catalogue since it was read. Nothing was written: plan again."""


class CatalogueRefused(Exception):  # noqa: N818
    """The change cannot be made as it stands. Nothing was written; the text says what to change."""


class CatalogueStore:
    """`partitions` is the number of logs whose entries a new version must not come before."""

    def __init__(self, client: Redis, keys: GlobalKeys, partitions: int) -> None:
        self._client = client
        self._keys = keys
        self._logs = [Keys(keys.prefix, partition).events for partition in range(partitions)]

    async def load(self, catalogue: Catalogue) -> int:
        """Add to the catalogue what was written since its revision. Answers how many were added.

        Raises Unsafe where the list is shorter than what was read from it, or cannot be read.
        """
        before = catalogue.revision
        while True:
            start = catalogue.revision
            with mapped():
                async with self._client.pipeline(transaction=True) as pipeline:
                    pipeline.llen(self._keys.catalogue)
                    pipeline.lrange(self._keys.catalogue, start, start + PAGE - 1)
                    length, page = await pipeline.execute()
            if length < start:
                raise Unsafe(
                    f"the catalogue has {length} entries where {start} were read before",
                    "restore the newer data, or restart every daemon to accept the loss",
                )
            # Whoever shares the catalogue may have added some of them while this waited.
            for place, raw in list(enumerate(page, start))[catalogue.revision - start :]:
                _add(catalogue, place, raw)
            if catalogue.revision >= length:
                return catalogue.revision - before

    async def present(self) -> int:
        """The instant up to which versions count as present ones rather than scheduled."""
        with mapped():
            seconds, microseconds = await self._client.time()
            latest = [seconds * 1000 + microseconds // 1000]
            for log in self._logs:
                if await self._client.exists(log):
                    last = (await self._client.xinfo_stream(log))["last-generated-id"]
                    latest.append(int(last.partition(b"-")[0]))
        return max(latest) + PRESENT_MS

    async def apply(
        self, catalogue: Catalogue, changes: Sequence[Change], effective_from: int | None = None
    ) -> Applied:
        """Write changes that were planned against this catalogue, all at one instant.

        Raises CatalogueMoved where the catalogue is not the newest, CatalogueRefused for an instant
        that cannot be, StoreUnavailable where it is unknown whether they were written: load and
        plan again, what is written already is no change then.
        """
        taken = {i for c in changes for i in catalogue.instants(c.kind, c.key)}
        chosen = "" if effective_from is None else effective_from
        args: list[str | bytes | int] = [catalogue.revision, chosen, PRESENT_MS, len(taken), *taken]
        for change in changes:
            args += _entry_around_instant(change)
        keys = [self._keys.catalogue, self._keys.meta, *self._logs]
        with mapped():
            reply = cast("list[bytes]", await _APPLY.run(self._client, keys, args))
        status, number = reply[0].decode(), int(reply[1])
        if status == "applied":
            return Applied(revision=number, effective_from=int(reply[2]))
        if status == "moved":
            raise CatalogueMoved(f"the catalogue is at revision {number} by now")
        raise CatalogueRefused(_refusal(status, number, len(self._logs)))

    async def change(
        self,
        catalogue: Catalogue,
        plan: Callable[[Catalogue, int], Sequence[Change]],
        effective_from: int | None = None,
    ) -> Applied | None:
        """Load, plan, apply; again where somebody else was faster. None: there was nothing to do.

        `plan` is given the catalogue and the instant whose state it should compare with.
        """
        for _ in range(ATTEMPTS):
            await self.load(catalogue)
            at = await self.present() if effective_from is None else effective_from
            changes = plan(catalogue, at)
            if not changes:
                return None
            try:
                applied = await self.apply(catalogue, changes, effective_from)
            except CatalogueMoved:
                continue
            await self.load(catalogue)
            return applied
        raise CatalogueRefused("others keep changing the catalogue; try again when they are done")


def _add(catalogue: Catalogue, place: int, raw: bytes) -> None:
    try:
        catalogue.add(msgspec.json.decode(raw, type=CatalogueEntry))
    except (msgspec.DecodeError, ValueError, KeyError, TypeError) as wrong:
        raise Unsafe(
            f"entry {place} of the catalogue cannot be read: {wrong}",
            "it was not written by this version of witnd: run the version that wrote it",
        ) from wrong


def _entry_around_instant(change: Change) -> tuple[bytes, bytes]:
    """The entry's JSON before and after the instant, which only the script knows."""
    encode = msgspec.json.encode
    before = b'{"kind":%b,"key":%b,"effective_from":' % (encode(change.kind), encode(change.key))
    return before, b',"archived":%b,"content":%b}' % (
        encode(change.archived),
        encode(change.content),
    )


def _refusal(status: str, number: int, partitions: int) -> str:
    if status == "early":
        least = "1970-01-01T00:00:00.000Z" if not number else instant.render(number)
        return (
            "effective_from lies before events that are already accepted; "
            f"the earliest instant is {least} by now: choose a later one, or none"
        )
    if status == "taken":
        at = instant.render(number)
        return f"effective_from {at} already has a version of one of these keys; choose another"
    return (
        f"this deployment has {number} partitions and the configuration says {partitions}; "
        f"set redis.partitions = {number}"
    )
