"""Shared requests and responses of catalogue resources: versions and differences.

What is particular to a kind is left to its module in `witnd.web.api`.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from witnd.app.catalogue import change as catalogue_change
from witnd.app.catalogue import read as catalogue
from witnd.app.catalogue.change import Written
from witnd.app.catalogue.etag import etag
from witnd.app.catalogue.read import Kind, Thing
from witnd.app.daemon_services import DaemonServices
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.catalogue.versions.history import PAST, Version
from witnd.domain.catalogue.versions.text import FieldDifference, line
from witnd.domain.values import instant
from witnd.domain.values.company import LOCALES
from witnd.web.http.preconditions import expected_tags
from witnd.web.http.route import Call, Listing

Standing = Literal["in effect", "past", "scheduled"]
Locale = Annotated[str, Meta(extra_json_schema={"enum": list(LOCALES)})]


# -- what is asked for ------------------------------------------------------------------------------------------------


class CatalogueListing(Listing, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Set `archived` to true to include archived entries. A page may be short: the list ends when `next_cursor` is
    null."""

    archived: bool = False


class Which(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Select a version with `at` (an instant) or `version` (a number), not both; default: the version in effect
    now."""

    at: str | None = None
    version: int | None = None


class When(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`effective_from`: when the change takes effect; default: now."""

    effective_from: str | None = None


class Pair(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"one": "from", "other": "to"}):
    """The numbers of two versions."""

    one: int
    other: int


# -- what is answered -------------------------------------------------------------------------------------------------


class Versioned(Struct, frozen=True, kw_only=True):
    """A version of a catalogue entry. `version` is its number, `versions` the number of versions. `until`: when the
    next version takes effect. `scheduled`: when later versions take effect; a change of this version does not affect
    them."""

    version: int
    versions: int
    effective_from: str
    until: str | None
    standing: Standing
    archived: bool
    scheduled: list[str]


class FieldChange(Struct, frozen=True, kw_only=True):
    """A changed field of a version, as text; null if absent. Secrets are shown as fingerprints."""

    path: str
    before: str | None
    after: str | None
    words: str


class VersionLine(Struct, frozen=True, kw_only=True):
    """A version with its changes. `contract_hash` is set for versions of agents."""

    version: int
    effective_from: str
    until: str | None
    standing: Standing
    archived: bool
    contract_hash: str | None
    changes: list[FieldChange]


class VersionPage(Struct, frozen=True, kw_only=True):
    """Versions, the oldest first."""

    data: list[VersionLine]
    next_cursor: str | None


class Comparison(Struct, frozen=True, kw_only=True, rename={"one": "from", "other": "to"}):
    """Two versions, and the differences between them."""

    one: VersionLine
    other: VersionLine
    changes: list[FieldChange]


def versioned(thing: Thing) -> dict[str, Any]:
    """Return the fields of `Versioned`."""
    version = thing.version
    return {
        "version": version.number,
        "versions": thing.count,
        "effective_from": instant.render(version.effective_from),
        "until": _rendered(version.until),
        "standing": version.standing,
        "archived": version.archived,
        "scheduled": [instant.render(at) for at in thing.scheduled],
    }


def warnings(
    call: Call[Any], thing: Thing, find: Callable[[Catalogue, Mapping[str, Any], int], list[str]]
) -> list[str]:
    """Return the warnings about a version that is in effect or will be, at that instant. `find`: returns them for the
    catalogue, a content and an instant."""
    if thing.version.standing == PAST:
        return []
    at = max(call.services.now_ms(), thing.version.effective_from)
    return find(call.services.catalogue, thing.version.content, at)


def version_line(version: Version) -> VersionLine:
    return VersionLine(
        version=version.number,
        effective_from=instant.render(version.effective_from),
        until=_rendered(version.until),
        standing=version.standing,  # type: ignore[arg-type]
        archived=version.archived,
        contract_hash=version.hash,
        changes=[_changed(one) for one in version.changes],
    )


def _changed(field: FieldDifference) -> FieldChange:
    return FieldChange(path=field.path, before=field.before, after=field.after, words=line(field))


def _rendered(ms: int | None) -> str | None:
    return None if ms is None else instant.render(ms)


# -- from a request to an answer --------------------------------------------------------------------------------------


async def page(call: Call[Any], kind: Kind, **more: Any) -> tuple[list[Thing], str | None]:
    return await catalogue.listed(call.services, kind, call.page(), archived=call.query.archived, **more)


async def one(call: Call[Which], kind: Kind, key: str) -> Thing:
    thing = await catalogue.read(call.services, kind, key, at=call.query.at, version=call.query.version)
    _set_etag(call, thing)
    return thing


async def versions(call: Call[Listing], kind: Kind, key: str) -> VersionPage:
    found, cursor = await catalogue.versions(call.services, kind, key, call.page())
    return VersionPage(data=[version_line(version) for version in found], next_cursor=cursor)


async def compare(call: Call[Pair], kind: Kind, key: str) -> Comparison:
    return await comparison(call.services, kind, key, call.query.one, call.query.other)


async def comparison(services: DaemonServices, kind: Kind, key: str, one: int, other: int) -> Comparison:
    first, second, changes = await catalogue.difference(services, kind, key, one, other)
    return Comparison(
        one=version_line(first), other=version_line(second), changes=[_changed(change) for change in changes]
    )


async def create(call: Call[Any], kind: Kind) -> Written:
    return with_etag(call, await catalogue_change.create(call.services, call.author, kind, call.document()))


async def change(call: Call[Any], kind: Kind, key: str) -> Written:
    expected = expected_tags(call.headers)
    document = call.document()
    return with_etag(
        call, await catalogue_change.change(call.services, call.author, kind, key, document, expected=expected)
    )


async def archive(call: Call[When], kind: Kind, key: str, *, archived: bool) -> Written:
    written = await catalogue_change.archive(
        call.services, call.author, kind, key, archived=archived, effective_from=call.query.effective_from,
        expected=expected_tags(call.headers),
    )  # fmt: skip
    return with_etag(call, written)


def with_etag(call: Call[Any], written: Written) -> Written:
    """Return the written version, with its tag in the header."""
    _set_etag(call, written.thing)
    return written


def _set_etag(call: Call[Any], thing: Thing) -> None:
    call.answer_headers["ETag"] = etag(thing.version.number, thing.count)
