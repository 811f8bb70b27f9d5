"""The numbered versions of a catalogue item: content and changes.

Numbers count from 1 in the order in which versions take effect. The number of a version that was in effect never
changes; that of a scheduled one grows if another is inserted before it.
"""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from witnd.domain.catalogue.catalogue import Catalogue, CatalogueEntry
from witnd.domain.catalogue.contract import Contract
from witnd.domain.catalogue.versions.text import FieldDifference, differences, fields

IN_EFFECT, PAST, SCHEDULED = "in effect", "past", "scheduled"


class Version(Struct, frozen=True, kw_only=True):
    """One version, relative to an instant. `until`: when the next version takes effect. `hash` is the contract hash of
    an agent, and null for other kinds.
    """

    number: int
    effective_from: int
    until: int | None
    standing: str
    archived: bool
    hash: str | None
    content: dict[str, Any]
    changes: tuple[FieldDifference, ...]


def history(catalogue: Catalogue, kind: str, key: str, at: int) -> tuple[Version, ...]:
    """Return all versions of a key, each with its changes from the previous one; empty for an unknown key."""
    entries = catalogue.versions(kind, key)
    return tuple([version_at_index(entries, place, at) for place in range(len(entries))])


def version_at_index(entries: Sequence[CatalogueEntry], place: int, at: int, *, compare: bool = True) -> Version:
    """Return one version of a key, with its changes only if `compare`."""
    entry = entries[place]
    until = entries[place + 1].effective_from if place + 1 < len(entries) else None
    return Version(
        number=place + 1,
        effective_from=entry.effective_from,
        until=until,
        standing=_standing(entry.effective_from, until, at),
        archived=entry.archived,
        hash=Contract.from_content(entry.key, entry.content).hash if entry.kind == "agent" else None,
        content=entry.content,
        changes=field_changes(entries[place - 1] if place else None, entry) if compare else (),
    )


def _standing(start: int, until: int | None, at: int) -> str:
    if start > at:
        return SCHEDULED
    return PAST if until is not None and until <= at else IN_EFFECT


def field_changes(before: CatalogueEntry | None, after: CatalogueEntry) -> tuple[FieldDifference, ...]:
    """Return the changes between two versions; all fields if there is no first one."""
    known = {} if before is None else fields(before.content, archived=before.archived)
    return differences(known, fields(after.content, archived=after.archived))


def customers_with_own_terms(catalogue: Catalogue, agent: str, at: int) -> list[str]:
    """Return the keys of the customers with own terms for an agent."""
    customers = [catalogue.customer(key, at) for key in catalogue.keys("customer")]
    return [one.key for one in customers if one is not None and agent in (one.terms or ())]
