"""Build the services of a daemon: those of its API and dashboard, and its biller."""

from collections.abc import Callable

from witnd.app.daemon_services import DaemonServices, Health
from witnd.app.pulse import Pulse
from witnd.billing.estimating.estimates import Estimates, StoredDrafts
from witnd.daemon.billing import Billing
from witnd.daemon.journal_keeper import MarksWatch
from witnd.daemon.partition.deps import PartitionDeps
from witnd.daemon.web import Lag
from witnd.store.access.change_log import Changes
from witnd.store.access.sessions import Sessions
from witnd.store.access.stored_answers import StoredAnswers
from witnd.store.access.tokens import Tokens
from witnd.store.catalogue.versions import CatalogueStore
from witnd.store.invoices.reads import Invoices
from witnd.store.keys import BillingKeys, Keys
from witnd.store.log.appender import Appender
from witnd.store.query.overview import revision
from witnd.store.server.lease import Lease


def services_of(
    shared: PartitionDeps,
    partitions: list[Keys],
    appender: Appender,
    lag: Lag,
    health: Callable[[], Health],
    metrics: Callable[[], bytes],
) -> DaemonServices:
    """Return the services of the API and the dashboard."""
    config, client, keys = shared.config, shared.clients.api, shared.shared_keys
    invoices = Invoices(
        client, BillingKeys(config.redis.prefix), config.redis.partitions, shared.journal.number, shared.confirm_shared
    )
    return DaemonServices(
        config=config,
        server=shared.server,
        client=client,
        keys=keys,
        partitions=partitions,
        catalogue=shared.catalogue,
        catalogue_store=CatalogueStore(
            client,
            keys,
            config.redis.partitions,
            lambda: shared.watches.problem_ahead,
            shared.confirm_shared,
            shared.confirm_shared,  # the owners use this catalogue
        ),
        appender=appender,
        tokens=Tokens(client, keys, shared.clock.monotonic),
        sessions=Sessions(client, keys),
        answers=StoredAnswers(client, keys),
        changes=Changes(client, keys),
        pulse=Pulse(lambda: revision(shared.clients.figures, keys, partitions)),
        invoices=invoices,
        estimates=Estimates(StoredDrafts(invoices), config.redis.partitions),
        send=shared.send,
        health=health,
        lag=lambda: lag.events,
        metrics=metrics,
        now_ms=shared.clock.now_ms,
    )


def billing_of(shared: PartitionDeps, marks: MarksWatch) -> Billing:
    config, client, clock = shared.config, shared.clients.billing, shared.clock
    keys = BillingKeys(config.redis.prefix)
    lease = Lease(client, keys, config.daemon.instance, int(config.daemon.lease * 1000), clock.now_ms)
    invoices = Invoices(client, keys, config.redis.partitions, shared.journal.number, shared.confirm_shared)
    return Billing(shared, invoices, lease, marks)
