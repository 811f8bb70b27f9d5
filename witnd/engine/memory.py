"""What is brought into memory for the fold: cold outcomes, the catalogue, stored deadlines up to a horizon."""

import structlog

from witnd.domain.outcomes.event import EntryId
from witnd.fold.actor import Cached, Held, OnHold, Waiting
from witnd.fold.hold import Damage
from witnd.fold.on_hold import hold_at
from witnd.fold.partition import Partition
from witnd.store.catalogue.loader import add_stored, check_head
from witnd.store.errors import Unreadable
from witnd.store.log.reader import Log
from witnd.store.log.removal import by_key
from witnd.store.partition.hydrate import hydrate, hydrate_repair
from witnd.store.records.log_snapshot import LogSnapshot
from witnd.store.records.stored import Stored
from witnd.store.server.retry import Retry

HORIZON_MS = 60_000  # how far ahead of the clock deadlines are loaded
HORIZON_MAX = 10_000  # deadlines per read

log = structlog.get_logger()


class Memory:
    """Loads into a partition. Every call insists until Redis answers."""

    def __init__(self, store: Log, partition: Partition, retry: Retry) -> None:
        self.store = store
        self.partition = partition
        self.retry = retry
        # The keys of each load that is under way: they must not be forgotten meanwhile.
        self.loading: list[list[str]] = []

    async def load(self, keys: list[str], batch: int) -> LogSnapshot:
        """Bring keys into memory, and the catalogue up to the time of the call. Answers where the server was then."""
        catalogue = self.partition.catalogue
        known = catalogue.chain.head
        self.loading.append(keys)
        try:
            snapshot, stored = await self.retry.call("loading outcomes", lambda: self.store.snapshot(keys))
            if snapshot.catalogue != catalogue.chain.head or snapshot.versions != catalogue.revision:
                check_head(catalogue, known, snapshot.catalogue, snapshot.versions)
                await self._load_catalogue()
            loaded = [self._to_cached(one) for one in stored]
            self.partition.cache.install(loaded, batch)
        finally:
            self.loading.remove(keys)
        return snapshot

    def _to_cached(self, stored: Stored) -> Cached:
        key, record, history, held = stored
        if isinstance(record, Damage):
            return OnHold(key, hold_at(self.partition.cursor, record))
        return hydrate(key, record, history, held, self.partition.catalogue)

    # -- outcomes on hold ------------------------------------------------------------------------------------------

    async def load_holds(self) -> None:
        """Bring the outcomes on hold into memory, where they stay: their events are not to be applied."""
        for key, hold, count in await self.retry.call("loading outcomes on hold", self.store.holds):
            self.partition.cache.put_on_hold(OnHold(key, hold, count), is_stored=True)

    async def hold(self, key: str, reason: str, *, fold_failed: bool = False) -> None:
        """Put a key on hold for a reason that its record does not show."""
        there = self.partition.known.get(key)
        if isinstance(there, OnHold):
            there.is_refused |= fold_failed  # then it is the repair that fails
            return
        damage = await self.retry.call("loading outcomes", lambda: self.store.damage(key, reason))
        # An outcome in memory is sound. Held events are not: their list would get the next one, and lack the others.
        if isinstance(self.partition.known.get(key), Held | None):
            self.partition.cache.put_on_hold(OnHold(key, hold_at(self.partition.cursor, damage)))

    async def load_repair(self, key: str, entry: EntryId) -> None:
        """Load what has been prepared for a key on hold, for the `retry` entry with this id."""
        there = self.partition.known[key]
        assert isinstance(there, OnHold), there
        there.checked = entry
        try:
            repair, waiting = await self.retry.call("loading a repair", lambda: self.store.repair(key))
            if repair is not None:
                there.rebuilt = hydrate_repair(key, repair, self.partition.catalogue)
                there.history = repair.history
                there.waiting = [Waiting(*one) for one in waiting]
        except Unreadable as wrong:
            there.rebuilt = None
            log.error(
                "outcome.repair_refused", key=key, reason=wrong.reason, remedy=f"run `witnd repair outcome {key}` again"
            )

    async def _load_catalogue(self) -> None:
        """Read what is new in the catalogue."""
        catalogue = self.partition.catalogue
        known = catalogue.chain.head
        head, entries = await self.retry.call("reading the catalogue", lambda: self.store.catalogue_after(known.count))
        check_head(catalogue, known, head)
        add_stored(catalogue, known.count, head, entries)

    async def extend(self, until: int) -> None:
        """Load stored deadlines up to an instant, so that none at or before it is missing."""
        deadlines = self.partition.deadlines
        above, most = deadlines.horizon, HORIZON_MAX
        deadlines.horizon_asked = max(deadlines.horizon_asked, until)
        while above < until:
            low, limit = above, most
            found = await self.retry.call(
                "loading deadlines",
                lambda: self.store.due(low, until, limit),  # noqa: B023
            )
            # A full answer may have cut a group of equal instants: it is complete only up to the one before.
            complete = found[-1][0] - 1 if len(found) == limit else until
            if complete <= above:
                most *= 4
                continue
            for settles_at, key in found:
                if settles_at <= complete:
                    deadlines.add_stored(settles_at, key)
            deadlines.horizon = above = complete

    async def load_removals(self) -> None:
        """Read which held events operators want removed. A request that a commit in flight removes may be among them;
        it finds nothing to remove."""
        command = ("HGETALL", self.store.keys.removals)
        [flat] = await self.retry.call("reading removals", lambda: self.store.ask(command))
        self.partition.removals = by_key(flat)
