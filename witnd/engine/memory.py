"""Loads data for the fold: cold outcomes, the catalogue, and stored deadlines up to a horizon."""

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
    """Loads data into a partition. Every call is retried until Redis answers."""

    def __init__(self, store: Log, partition: Partition, retry: Retry) -> None:
        self.store = store
        self.partition = partition
        self.retry = retry
        # The keys of each load in progress. They must not be evicted meanwhile.
        self.loading: list[list[str]] = []

    async def load(self, keys: list[str], batch: int) -> LogSnapshot:
        """Load keys, and new versions of the catalogue. Return the state of the server at that time."""
        catalogue = self.partition.catalogue
        known = catalogue.chain.head
        self.loading.append(keys)
        try:
            snapshot, stored = await self.retry.call("loading outcomes", lambda: self.store.snapshot(keys))
            if snapshot.catalogue != catalogue.chain.head or snapshot.versions != catalogue.revision:
                check_head(catalogue, known, snapshot.catalogue, snapshot.versions)
                await self._load_catalogue()
            loaded = [self._to_cached(record) for record in stored]
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
        """Load the outcomes on hold. They stay in memory, because their events must not be applied."""
        for key, hold, count in await self.retry.call("loading outcomes on hold", self.store.holds):
            self.partition.cache.put_on_hold(OnHold(key, hold, count), is_stored=True)

    async def hold(self, key: str, reason: str, *, fold_failed: bool = False) -> None:
        """Put a key on hold for a reason that its record does not show."""
        on_hold = self.partition.known.get(key)
        if isinstance(on_hold, OnHold):
            on_hold.is_refused |= fold_failed  # the fold of its repair failed
            return
        damage = await self.retry.call("loading outcomes", lambda: self.store.damage(key, reason))
        # An outcome in memory is intact. Held events are not: the next one would be added to a list that lacks others.
        if isinstance(self.partition.known.get(key), Held | None):
            self.partition.cache.put_on_hold(OnHold(key, hold_at(self.partition.cursor, damage)))

    async def load_repair(self, key: str, entry: EntryId) -> None:
        """Load the prepared repair of a key on hold, for the `retry` entry with this id."""
        on_hold = self.partition.known[key]
        assert isinstance(on_hold, OnHold), on_hold
        on_hold.checked = entry
        try:
            repair, waiting = await self.retry.call("loading a repair", lambda: self.store.repair(key))
            if repair is not None:
                on_hold.rebuilt = hydrate_repair(key, repair, self.partition.catalogue)
                on_hold.history = repair.history
                on_hold.waiting = [Waiting(*event) for event in waiting]
        except Unreadable as wrong:
            on_hold.rebuilt = None
            log.error(
                "outcome.repair_refused", key=key, reason=wrong.reason, remedy=f"run `witnd repair outcome {key}` again"
            )

    async def _load_catalogue(self) -> None:
        """Load new versions of the catalogue."""
        catalogue = self.partition.catalogue
        known = catalogue.chain.head
        head, entries = await self.retry.call("reading the catalogue", lambda: self.store.catalogue_after(known.count))
        check_head(catalogue, known, head)
        add_stored(catalogue, known.count, head, entries)

    async def extend(self, until: int) -> None:
        """Load all stored deadlines up to an instant."""
        deadlines = self.partition.deadlines
        above, most = deadlines.horizon, HORIZON_MAX
        deadlines.horizon_asked = max(deadlines.horizon_asked, until)
        while above < until:
            low, limit = above, most
            found = await self.retry.call(
                "loading deadlines",
                lambda: self.store.due(low, until, limit),  # noqa: B023
            )
            # A full answer may end within a group of equal instants, so it is complete only up to the instant before.
            complete = found[-1][0] - 1 if len(found) == limit else until
            if complete <= above:
                most *= 4
                continue
            for settles_at, key in found:
                if settles_at <= complete:
                    deadlines.add_stored(settles_at, key)
            deadlines.horizon = above = complete

    async def load_removals(self) -> None:
        """Load the operators' requests to remove held events. A request that a commit in flight completes may be among
        them; it then has no effect."""
        command = ("HGETALL", self.store.keys.removals)
        [flat] = await self.retry.call("reading removals", lambda: self.store.ask(command))
        self.partition.removals = by_key(flat)
