"""The versions of one thing of the catalogue, numbered: what each says, and what it changed.

Numbers count from 1 in the order in which versions take effect. So that of a version that was ever in
force never changes, and that of a scheduled one grows when another is put before it.
"""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from witnd.domain.catalogue.catalogue import Catalogue, CatalogueEntry
from witnd.domain.catalogue.contract import Contract
from witnd.domain.catalogue.text import FieldDifference, differences, fields

IN_FORCE, PAST, SCHEDULED = "in force", "past", "scheduled"


class Version(Struct, frozen=True, kw_only=True):
    """One version, seen from an instant. `until`: when the next one takes its place.

    `hash` is that of the contract which an agent's version is, and null for other kinds.
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
    """All versions of a key, each with what it changed against the one before; empty for an unknown key."""
    entries = catalogue.versions(kind, key)
    return tuple([version_at_index(entries, place, at) for place in range(len(entries))])


def version_at_index(entries: Sequence[CatalogueEntry], place: int, at: int, *, compare: bool = True) -> Version:
    """One of the versions of a key; without what it changed, where nobody asks for that."""
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
    return PAST if until is not None and until <= at else IN_FORCE


def field_changes(before: CatalogueEntry | None, after: CatalogueEntry) -> tuple[FieldDifference, ...]:
    """What is otherwise in the second version; all of it, where there is none before."""
    known = {} if before is None else fields(before.content, archived=before.archived)
    return differences(known, fields(after.content, archived=after.archived))


def current_version(versions: Sequence[Version]) -> Version:
    """The version in force, or where all are scheduled the first of them."""
    return next((one for one in versions if one.standing == IN_FORCE), versions[0])


def customers_with_own_terms(catalogue: Catalogue, agent: str, at: int) -> list[str]:
    """The customers who have terms of their own for the agent, by key."""
    customers = [catalogue.customer(key, at) for key in catalogue.keys("customer")]
    return [one.key for one in customers if one is not None and agent in (one.terms or ())]
