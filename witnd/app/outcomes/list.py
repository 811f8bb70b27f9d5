"""List outcomes, and explain one."""

from collections.abc import Mapping
from typing import Final

from witnd.app.errors import invalid
from witnd.app.outcomes.fates import entry_named
from witnd.app.outcomes.view import Explained, Listed, explained, listed
from witnd.app.paging import LOOKED_AT_MAX, cursor_of, read_with_catalogue
from witnd.app.services import Services
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.outcomes.explain import BilledUnit
from witnd.domain.outcomes.outcome import STATUSES
from witnd.domain.outcomes.partitioning import partition_of
from witnd.store.keys import Keys
from witnd.store.page import Page
from witnd.store.query.cursor import Cursor
from witnd.store.query.outcomes import OutcomeFilter, list_due_outcomes, list_outcomes, read_outcome
from witnd.store.query.reads import Reads

# Both spellings of a missed outcome are understood; people are shown the first.
SPELLINGS: Final[Mapping[str, str]] = {
    "open": "OPEN",
    "pending": "PENDING",
    "confirmed": "CONFIRMED",
    "missed": "FAILED",
    "failed": "FAILED",
}


async def page(
    services: Services,
    *,
    status: str | None = None,
    customer: str | None = None,
    agent: str | None = None,
    key: str | None = None,
    prefix: str | None = None,
    is_due: bool = False,
    partition: int | None = None,
    limit: int,
    after: str | None,
    looked_at_max: int | None = None,
) -> Page[Listed]:
    """Return a page of outcomes: sorted by key with a prefix, otherwise the newest first. `status`: several separated
    by commas. `is_due`: only open and pending ones, sorted by deadline."""
    partitions = services.chosen(partition)
    wanted = OutcomeFilter(statuses=_statuses(status), customer=customer, agent=agent, prefix=prefix)
    behind = cursor_of(services, after)
    if key is not None:
        if prefix is not None:
            raise invalid("prefix", "cannot be combined with key")
        return await _by_key(services, key, wanted, behind)
    if behind is not None and prefix is not None and not behind.name.startswith(prefix):
        raise invalid("after", "invalid cursor; it is from another list")

    async def ask(reads: Reads, catalogue: Catalogue) -> Page[Listed]:
        look_for, most = list_due_outcomes if is_due else list_outcomes, looked_at_max or LOOKED_AT_MAX
        found = await look_for(reads, partitions, catalogue, wanted, limit=limit, looked_at_max=most, after=behind)
        data = [listed(place.partition, outcome) for place, outcome in found.data]
        return Page(data, found.cursor)

    return await read_with_catalogue(services, ask)


async def _by_key(services: Services, key: str, wanted: OutcomeFilter, behind: Cursor | None) -> Page[Listed]:
    keys = keys_of(services, key)

    async def ask(reads: Reads, catalogue: Catalogue) -> Page[Listed]:
        found = None if behind is not None else await read_outcome(reads, keys, key, catalogue)
        data = [] if found is None or not wanted.matches(found) else [listed(keys.partition, found)]
        return Page(data, None)

    return await read_with_catalogue(services, ask)


async def one(
    services: Services,
    key: str,
    *,
    events_after: str | None = None,
    most: int | None = None,
    is_whole: bool = False,
) -> Explained | None:
    """Return an outcome in full, with its last events or those after one; None if the key is unused. `most`: maximum
    number of events, instead of the API's limit."""
    return (await one_with_unit(services, key, events_after=events_after, most=most, is_whole=is_whole))[0]


async def one_with_unit(
    services: Services,
    key: str,
    *,
    events_after: str | None = None,
    most: int | None = None,
    is_whole: bool = False,
) -> tuple[Explained | None, BilledUnit | None]:
    """Return the same, and the billing unit of an outcome with a `story`."""
    after = None if events_after is None else entry_named("events_after", events_after)
    keys = keys_of(services, key)

    async def ask(reads: Reads, catalogue: Catalogue) -> tuple[Explained | None, BilledUnit | None]:
        deliveries = services.deliveries_of(catalogue)
        return await explained(
            reads, keys, key, catalogue, deliveries, services.invoices, after=after, most=most, is_whole=is_whole
        )

    return await read_with_catalogue(services, ask)


def keys_of(services: Services, key: str) -> Keys:
    """Return the keys of the partition of an outcome."""
    return services.partitions[partition_of(key, len(services.partitions))]


def _statuses(text: str | None) -> frozenset[str]:
    if text is None:
        return frozenset(STATUSES)
    wanted = [SPELLINGS.get(word.strip().lower()) for word in text.split(",")]
    if None in wanted:
        raise invalid(
            "status", f"must be one or more of {', '.join(STATUSES)}, missed, separated by commas, got {text!r}"
        )
    return frozenset(word for word in wanted if word is not None)
