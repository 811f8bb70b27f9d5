"""Dependencies of use cases. The daemon and each command create one."""

from collections.abc import Callable, Sequence

from msgspec import Struct
from redis.asyncio import Redis

from witnd.app.errors import not_found
from witnd.config import Config
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.webhooks.notification import rule_id
from witnd.endpoint import Endpoint
from witnd.store.access.change_log import Changes
from witnd.store.access.tokens import Tokens
from witnd.store.catalogue.versions import CatalogueStore
from witnd.store.deliveries.reads import Deliveries
from witnd.store.invoices.reads import Invoices
from witnd.store.keys import GlobalKeys, Keys


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

    async def deliveries(self) -> Deliveries:
        """Return the deliveries of all rules, including archived ones."""
        return self.deliveries_of(await self.learned())

    def deliveries_of(self, catalogue: Catalogue) -> Deliveries:
        """Return the deliveries of all rules of an up-to-date catalogue."""
        return Deliveries(self.client, self.partitions, self.keys, rule_ids(catalogue))


def rule_ids(catalogue: Catalogue) -> list[str]:
    """Return the ids of all notification rules, including archived ones."""
    return [rule_id(name) for name in catalogue.keys("notification_rule")]
