"""Dependencies of use cases. The daemon, each command and the demo create one."""

import sys
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

from msgspec import Struct
from redis.asyncio import Redis

from witnd.app.errors import not_found
from witnd.billing.estimating.estimates import Estimates, StoredDrafts
from witnd.clock import Clock
from witnd.config import Config
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.values.period import Calendar
from witnd.domain.webhooks.notification import rule_id
from witnd.endpoint import Endpoint
from witnd.store.access.change_log import Author, Changes
from witnd.store.access.tokens import Tokens
from witnd.store.catalogue.versions import CatalogueStore
from witnd.store.deliveries.reads import Deliveries
from witnd.store.invoices.reads import Invoices
from witnd.store.journal.journal import read_numbers
from witnd.store.keys import BillingKeys, GlobalKeys, Keys
from witnd.store.meta import Meta, open_meta
from witnd.store.server.durability import Confirm, confirm_once, nothing_to_confirm
from witnd.zone_data import offsets_of


class Services(Struct, kw_only=True):
    """The dependencies. `learned` updates `catalogue`."""

    config: Config
    server: Endpoint
    client: Redis
    keys: GlobalKeys
    partitions: Sequence[Keys]
    catalogue: Catalogue
    catalogue_store: CatalogueStore
    tokens: Tokens
    changes: Changes
    invoices: Invoices
    estimates: Estimates
    now_ms: Callable[[], int]

    def chosen(self, partition: int | None) -> Sequence[Keys]:
        """Return all partitions, or only the given one."""
        if partition is None:
            return self.partitions
        if not 0 <= partition < len(self.partitions):
            last = len(self.partitions) - 1
            raise not_found("partition", str(partition), remedy=f"they are numbered 0 to {last}")
        return [self.partitions[partition]]

    async def learned(self) -> Catalogue:
        """Return the catalogue, up to date."""
        await self.catalogue_store.load(self.catalogue)
        return self.catalogue

    async def calendar(self) -> Calendar:
        """Return the calendar of periods. Before the first daemon stores one, it is that of the settings."""
        stored = await self.invoices.calendar()
        if stored is not None:
            return stored
        billing = self.config.billing
        return Calendar.begin(billing.period, billing.time_zone, self.now_ms(), offsets_of(billing.time_zone))

    async def today(self, at: int) -> str:
        """Return the local date of an instant (ms) in the billing time zone."""
        return (await self.calendar()).day_at(at).date

    async def deliveries(self) -> Deliveries:
        """Return the deliveries of all rules, including archived ones."""
        return self.deliveries_of(await self.learned())

    def deliveries_of(self, catalogue: Catalogue) -> Deliveries:
        """Return the deliveries of all rules of an up-to-date catalogue."""
        return Deliveries(self.client, self.partitions, self.keys, rule_ids(catalogue))


def rule_ids(catalogue: Catalogue) -> list[str]:
    """Return the ids of all notification rules, including archived ones."""
    return [rule_id(name) for name in catalogue.keys("notification_rule")]


class _ChangeLog(Changes):
    """The change log of a Redis that no daemon may have used yet."""

    def __init__(self, client: Redis, keys: GlobalKeys, partitions: int, meta: Meta | None) -> None:
        super().__init__(client, keys)
        self._open = None if meta is not None else lambda: open_meta(client, keys, partitions)

    async def note_request(self, author: Author, what: str, key: str, **details: Any) -> None:
        if self._open is not None:
            # Without this record, the log of changes alone would be taken for remains of lost data.
            await self._open()
        await super().note_request(author, what, key, **details)


def services_without_daemon(config: Config, server: Endpoint, client: Redis, meta: Meta | None) -> Services:
    """Return the dependencies of use cases outside the daemon. `meta` is None if no daemon ever ran."""
    prefix, partitions, clock = config.redis.prefix, config.redis.partitions, Clock()
    keys = GlobalKeys(prefix)
    # Few commands need the journal: those that issue a number.
    numbers = cache(lambda: read_numbers(config.daemon.state_dir, prefix, None if meta is None else meta.deployment))
    confirm: Confirm = nothing_to_confirm
    if config.redis.durability.mode != "server":
        confirm = partial(confirm_once, server, keys.confirmed, config.redis.durability, "witnd-command")
    invoices = Invoices(client, BillingKeys(prefix), partitions, lambda series: numbers().get(series, 0), confirm)
    return Services(
        config=config,
        server=server,
        client=client,
        keys=keys,
        partitions=[Keys(prefix, number) for number in range(partitions)],
        catalogue=Catalogue(),
        catalogue_store=CatalogueStore(client, keys, partitions, confirm=confirm),
        tokens=Tokens(client, keys, clock.monotonic),
        changes=_ChangeLog(client, keys, partitions, meta),
        invoices=invoices,
        # A command can wait for all of a large draft.
        estimates=Estimates(StoredDrafts(invoices), partitions, rows_per_request=sys.maxsize),
        now_ms=clock.now_ms,
    )
