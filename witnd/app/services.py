"""What handlers work with. The daemon makes one of these; nothing in the web package reaches past it."""

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct
from redis.asyncio import Redis

from witnd.app.pulse import Pulse
from witnd.config import Config
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.webhooks.notification import rule_id
from witnd.notify.lane import Send
from witnd.store.access.change_log import Changes
from witnd.store.access.sessions import Sessions
from witnd.store.access.stored_answers import StoredAnswers
from witnd.store.access.tokens import Tokens
from witnd.store.catalogue.versions import CatalogueStore
from witnd.store.deliveries.reads import Deliveries
from witnd.store.invoices.reads import Invoices
from witnd.store.keys import GlobalKeys, Keys
from witnd.store.log.appender import Appender
from witnd.store.server.connection import Endpoint


class Health(Struct, frozen=True, kw_only=True):
    """How the daemon is. `troubles`: why something does not move, in words; empty while all is well. `alarms`: what
    does not work beside settlement."""

    ready: bool
    partitions: Mapping[str, int]  # state of a partition → how many
    troubles: Sequence[str]
    alarms: Sequence[str]
    lag: int  # events that are accepted and not yet applied


class Services(Struct, kw_only=True):
    """`catalogue` is the daemon's own, brought up to date by `learned`."""

    config: Config
    server: Endpoint
    client: Redis
    keys: GlobalKeys
    partitions: Sequence[Keys]
    catalogue: Catalogue
    catalogue_store: CatalogueStore
    appender: Appender
    tokens: Tokens
    sessions: Sessions
    answers: StoredAnswers
    changes: Changes
    pulse: Pulse
    invoices: Invoices
    send: Send  # one attempt at a webhook
    health: Callable[[], Health]
    lag: Callable[[], int]  # of `health`, for who asks at every event
    metrics: Callable[[], bytes]
    now_ms: Callable[[], int]

    async def learned(self) -> Catalogue:
        """The catalogue as it is now."""
        await self.catalogue_store.load(self.catalogue)
        return self.catalogue

    async def deliveries(self) -> Deliveries:
        """Deliveries of all rules there ever were."""
        catalogue = await self.learned()
        rules = [rule_id(name) for name in catalogue.keys("notification_rule")]
        return Deliveries(self.client, self.partitions, self.keys, rules)
