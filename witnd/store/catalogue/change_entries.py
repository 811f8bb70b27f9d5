"""Entries of the change log for changes of the catalogue. The script adds the instant of effect."""

from collections.abc import Mapping, Sequence
from typing import Any

from witnd.domain.catalogue.catalogue import CatalogueEntry
from witnd.domain.catalogue.plan import Change as Planned
from witnd.domain.values.png import png_text
from witnd.store.access.change_log import Author, Change


def change_entries(
    author: Author, what: str, changes: Sequence[Planned], before: Mapping[str, CatalogueEntry | None]
) -> list[Change]:
    """Return one entry for each change. `before`: key → the version in effect, None if there is none."""
    return [
        author.change(f"{one.kind}.{what}", one.key, before=_before(before.get(one.key)), after=_after(one))
        for one in changes
    ]


def file_entries(
    author: Author, changes: Sequence[Planned], before: Mapping[tuple[str, str], CatalogueEntry | None]
) -> list[Change]:
    """Return one entry for each change of a catalogue file. `before`: (kind, key) → the version in effect."""
    found: list[Change] = []
    for one in changes:
        old = before.get((one.kind, one.key))
        found += change_entries(author, _action(one, old), [one], {one.key: old})
    return found


def _action(change: Planned, old: CatalogueEntry | None) -> str:
    if old is None:
        return "create"
    if change.archived != old.archived:
        return "archive" if change.archived else "restore"
    return "update"


def _before(entry: CatalogueEntry | None) -> dict[str, Any] | None:
    return None if entry is None else {"archived": entry.archived, **_without_image(entry.content)}


def _after(change: Planned) -> dict[str, Any]:
    return {"archived": change.archived, **_without_image(change.content)}


def _without_image(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content with a short text in place of a logo, which the version has."""
    return {**content, "logo": png_text(content["logo"])} if "logo" in content else dict(content)
