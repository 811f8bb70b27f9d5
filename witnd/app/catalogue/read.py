"""List, read and compare the versions of catalogue entries: agents, customers, rate cards, taxes, …

`change` has how they are changed.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from witnd.app.errors import Refused, invalid, invalid_cursor, not_found
from witnd.app.services import Services
from witnd.domain.catalogue.catalogue import Catalogue, CatalogueEntry
from witnd.domain.catalogue.contract import Contract
from witnd.domain.catalogue.versions.history import SCHEDULED, Version, field_changes, version_at_index
from witnd.domain.catalogue.versions.text import FieldDifference
from witnd.domain.values import instant

# Keys that one page of a list looks at, however few of them it shows: a few milliseconds.
LOOKED_AT_MAX: Final = 2000
# No list has so many.
ALL: Final = 1 << 30


class Kind(Struct, frozen=True, kw_only=True):
    """A kind of entry: `name` in the catalogue, `section` in a file, `key_name`: the field of the key, empty for a kind
    with only one entry."""

    name: str
    section: str
    key_name: str = "key"

    @property
    def word(self) -> str:
        return self.name.replace("_", " ")


CUSTOMER: Final = Kind(name="customer", section="customers")
AGENT: Final = Kind(name="agent", section="agents")
RATE_CARD: Final = Kind(name="rate_card", section="rate_cards")
RULE: Final = Kind(name="notification_rule", section="notification_rules", key_name="name")
TAX: Final = Kind(name="tax", section="taxes")
SELLER: Final = Kind(name="seller", section="seller", key_name="")


class Thing(Struct, frozen=True, kw_only=True):
    """A version of an entry. `count`: the number of versions; `scheduled`: when later versions take effect."""

    key: str
    version: Version
    count: int
    scheduled: tuple[int, ...]


async def listed(
    services: Services,
    kind: Kind,
    page: tuple[int, str | None],
    *,
    archived: bool = False,
    wanted: Callable[[CatalogueEntry], bool] = lambda _: True,
) -> tuple[list[Thing], str | None]:
    """Return a page of entries, sorted by key, and the next cursor. A page may be short before the end."""
    limit, after = page
    catalogue = await services.learned()
    now = await services.catalogue_store.next_instant()
    keys = catalogue.keys(kind.name)
    start = 0 if after is None else bisect_right(keys, after)
    found: list[Thing] = []
    place = start
    while place < min(len(keys), start + LOOKED_AT_MAX) and len(found) < limit:
        key = keys[place]
        entry = catalogue.entry(kind.name, key, now) or catalogue.versions(kind.name, key)[0]
        if (archived or not entry.archived) and wanted(entry):
            found.append(thing_of(catalogue, kind, key, now, entry.effective_from))
        place += 1
    return found, keys[place - 1] if start < place < len(keys) else None


async def read(services: Services, kind: Kind, key: str, *, at: str | None = None, version: int | None = None) -> Thing:
    """Return the version in effect now or at an instant, or the one with a number. If all are scheduled, return the
    first."""
    if at is not None and version is not None:
        raise invalid("version", "cannot be combined with `at`")
    catalogue = await services.learned()
    now = await services.catalogue_store.next_instant()
    entries = _known(catalogue, kind, key)
    if version is not None:
        return thing_of(catalogue, kind, key, now, entries[_place(entries, version, "version")].effective_from)
    if at is None:
        entry = catalogue.entry(kind.name, key, now) or entries[0]
    else:
        try:
            found = catalogue.entry(kind.name, key, instant.parse(at))
        except ValueError as wrong:
            raise invalid("at", f"{at!r} {wrong}") from None
        if found is None:
            raise _not_yet(kind.word, key, entries[0].effective_from)
        entry = found
    return thing_of(catalogue, kind, key, now, entry.effective_from)


async def versions(
    services: Services, kind: Kind, key: str, page: tuple[int, str | None]
) -> tuple[list[Version], str | None]:
    """Return a page of versions, the oldest first. The cursor is the number of a version."""
    limit, after = page
    catalogue = await services.learned()
    entries = _known(catalogue, kind, key)
    now = await services.catalogue_store.next_instant()
    if after is not None and not (after.isascii() and after.isdecimal() and len(after) < 10):
        raise invalid_cursor(after)
    start = int(after or 0)
    end = min(start + limit, len(entries))
    return [version_at_index(entries, place, now) for place in range(start, end)], str(end) if end < len(
        entries
    ) else None


async def difference(
    services: Services, kind: Kind, key: str, one: int, other: int
) -> tuple[Version, Version, tuple[FieldDifference, ...]]:
    """Return two versions and their differences."""
    catalogue = await services.learned()
    now = await services.catalogue_store.next_instant()
    entries = _known(catalogue, kind, key)
    places = _place(entries, one, "from"), _place(entries, other, "to")
    first, second = (version_at_index(entries, place, now) for place in places)
    return first, second, field_changes(entries[places[0]], entries[places[1]])


async def every(services: Services, kind: Kind) -> list[Thing]:
    """Return all entries of a kind, including archived ones, sorted by key."""
    found, cursor = await listed(services, kind, (ALL, None), archived=True)
    while cursor is not None:
        more, cursor = await listed(services, kind, (ALL, cursor), archived=True)
        found += more
    return found


async def agreed(services: Services, agent: Thing, customer_key: str, at: int) -> Version:
    """Return an agent's version with the individual terms of a customer, as frozen by an outcome opening at an
    instant."""
    if agent.version.standing == SCHEDULED:
        raise _not_yet(AGENT.word, agent.key, agent.version.effective_from)
    catalogue = services.catalogue
    customer = catalogue.customer(customer_key, at)
    if customer is None:
        raise not_found(CUSTOMER.word, customer_key, catalogue.keys(CUSTOMER.name))
    contract = catalogue.contract_for(customer, Contract.from_content(agent.key, agent.version.content))
    return replace(agent.version, content=contract.content, hash=contract.hash)


def _known(catalogue: Catalogue, kind: Kind, key: str) -> tuple[CatalogueEntry, ...]:
    entries = catalogue.versions(kind.name, key)
    if not entries:
        raise unknown(kind, key, catalogue)
    return entries


def unknown(kind: Kind, key: str, catalogue: Catalogue) -> Refused:
    """Refuse a key without versions."""
    if kind.key_name:
        return not_found(kind.word, key, catalogue.keys(kind.name))
    return Refused("NOT_FOUND", f"there is no {kind.word} yet", remedy="create it first", missing=kind.word)


def _not_yet(word: str, key: str, first: int) -> Refused:
    return Refused("NOT_FOUND", f"{word} {key!r} has no version before {instant.render(first)}")


def _place(entries: Sequence[CatalogueEntry], number: int, name: str) -> int:
    if not 1 <= number <= len(entries):
        raise Refused("NOT_FOUND", f"{name}: no version {number}; the last one is {len(entries)}")
    return number - 1


def thing_of(catalogue: Catalogue, kind: Kind, key: str, now: int, effective_from: int) -> Thing:
    """Return the version in effect at an instant."""
    entries = catalogue.versions(kind.name, key)
    starts = [entry.effective_from for entry in entries]
    return Thing(
        key=key,
        version=version_at_index(entries, bisect_right(starts, effective_from) - 1, now, compare=False),
        count=len(entries),
        scheduled=tuple([at for at in starts if at > now]),
    )
