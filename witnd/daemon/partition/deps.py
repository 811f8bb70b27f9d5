"""The dependencies that all partitions of a daemon share."""

from collections.abc import Callable
from random import random

from msgspec import Struct

from witnd.clock import Clock
from witnd.config import Config
from witnd.daemon.journal_keeper import JournalKeeper
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.notify.relay import Send
from witnd.notify.slots import CallLimits, Slots
from witnd.store.clock.watches import ClockWatches
from witnd.store.journal.journal import Journal
from witnd.store.keys import GlobalKeys
from witnd.store.server.clients import Clients
from witnd.store.server.connection import Endpoint
from witnd.store.server.durability import Confirm


class PartitionDeps(Struct, frozen=True, kw_only=True):
    """The dependencies that all partitions of a daemon share."""

    config: Config
    server: Endpoint
    clients: Clients
    shared_keys: GlobalKeys
    deployment: str
    catalogue: Catalogue
    journal: Journal
    keeper: JournalKeeper
    clock: Clock
    watches: ClockWatches
    send: Send
    slots: Slots
    calls: CallLimits
    changed: Callable[[], None]
    has_others: Callable[[], bool]  # whether other daemons run
    confirm_shared: Confirm  # confirms earlier writes of the shared slot
    random: Callable[[], float] = random
