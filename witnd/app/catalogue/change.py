"""Create, change and archive one entry of the catalogue: an agent, a customer, a rate card, a tax, …

The domain's readers decide what may be in it, the store from when on it is in effect.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from witnd.app.catalogue.etag import check_tag, etag_at
from witnd.app.catalogue.read import Kind, Thing, thing_of, unknown
from witnd.app.errors import Refused, all_invalid, invalid
from witnd.app.services import Services
from witnd.domain.catalogue import file as catalogue_file
from witnd.domain.catalogue.catalogue import Catalogue, CatalogueEntry
from witnd.domain.catalogue.checks.change import change_mistakes
from witnd.domain.catalogue.checks.own_prices import OWN_AMOUNTS
from witnd.domain.catalogue.file import Item, reference_mistakes
from witnd.domain.catalogue.plan import Change as Planned
from witnd.domain.catalogue.plan import Plan, plan
from witnd.domain.catalogue.terms.grades import without_replaced
from witnd.domain.pricing.ratecard import DIGITS
from witnd.domain.pricing.recurring import input_content
from witnd.domain.values import instant
from witnd.domain.values.fields import short_repr
from witnd.domain.values.mistake import Mistake
from witnd.domain.webhooks.rotation import OVERLAP
from witnd.store.access.change_log import Author
from witnd.store.access.change_log import Change as Logged
from witnd.store.catalogue.change_entries import change_entries, file_entries
from witnd.store.catalogue.versions import CatalogueRefused

SEED_BYTES: Final = 32
EFFECTIVE_FROM: Final = "effective_from"
# Reasons of a conflict.
INSTANT_TAKEN: Final = "instant_taken"
TOO_EARLY: Final = "before_first_version"
_REMEDY: Final = "create it first"


class Written(Struct, frozen=True, kw_only=True):
    """The result of a change. `changed` False: nothing changed. `secret`: a generated one."""

    thing: Thing
    before: dict[str, Any] | None
    changed: bool
    secret: str | None = None


Expected: TypeAlias = frozenset[str] | None


async def create(services: Services, author: Author, kind: Kind, raw: Mapping[str, Any]) -> Written:
    """Create an entry. Refuse a key that is or ever was in the catalogue."""
    given, effective_from, wrong = _instant_of(raw)
    if "archived" in given:
        wrong.append(Mistake("archived", "cannot be set here; create it, then archive it"))
        del given["archived"]

    def item(catalogue: Catalogue, _at: int) -> Item:
        read = _read(catalogue, kind, given, wrong)
        if entries := catalogue.versions(kind.name, read.key):
            hint = "it is archived; restore it" if entries[-1].archived else "change it instead"
            raise Refused("CONFLICT", f"{kind.word} {short_repr(read.key)} already exists; {hint}")
        return read

    return await _write(services, author, kind, "create", item, effective_from)


async def change(
    services: Services,
    author: Author,
    kind: Kind,
    key: str,
    raw: Mapping[str, Any],
    amend: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None,
    expected: Expected = None,
    what: str = "update",
) -> Written:
    """Replace the given fields; null restores the default. `amend`: computes more fields from those at that instant,
    whatever changed meanwhile. `expected`: tags, one of which must match. `what` names the change in the change log."""
    given, effective_from, wrong = _instant_of(raw)
    if given.pop(kind.key_name, key) != key:
        wrong.append(Mistake(kind.key_name, "cannot be changed; create another one"))
    if "archived" in given:
        wrong.append(Mistake("archived", "cannot be set here; archive or restore it instead"))
        del given["archived"]

    def item(catalogue: Catalogue, at: int) -> Item:
        old = _entry(catalogue, kind, key, at)
        check_tag(expected, etag_at(catalogue.versions(kind.name, key), at))
        content = {name: value for name, value in input_content(old.content).items() if name != DIGITS}
        # How long the secret before signs too belongs to the secret that took its place.
        if given.get("secret") not in (None, content.get("secret")):
            content.pop(OVERLAP, None)
        more = {} if amend is None else amend(old.content)
        named = {kind.key_name: key} if kind.key_name else {}
        read = _read(catalogue, kind, {**without_replaced(content, given), **given, **more, **named}, wrong)
        rewritten = all(name in given for name in OWN_AMOUNTS if read.content.get(name))
        return replace(read, key=key, archived=old.archived, rewritten=rewritten)

    return await _write(services, author, kind, what, item, effective_from)


async def put(
    services: Services, author: Author, kind: Kind, raw: Mapping[str, Any], expected: Expected = None
) -> Written:
    """Create the only entry of a kind, or replace all its fields. Restore it if it is archived."""
    given, effective_from, wrong = _instant_of(raw)
    if "archived" in given:
        wrong.append(Mistake("archived", "cannot be set here; archive or restore it instead"))
        del given["archived"]

    def item(catalogue: Catalogue, at: int) -> Item:
        read = _read(catalogue, kind, given, wrong)
        check_tag(expected, etag_at(catalogue.versions(kind.name, read.key), at))
        return read

    return await _write(services, author, kind, None, item, effective_from)


async def archive(
    services: Services,
    author: Author,
    kind: Kind,
    key: str,
    *,
    archived: bool,
    effective_from: str | None = None,
    expected: Expected = None,
) -> Written:
    """Archive or restore an entry. An unchanged state creates no version."""
    _, at_instant, wrong = _instant_of({EFFECTIVE_FROM: effective_from})
    if wrong:
        raise all_invalid(wrong)

    def item(catalogue: Catalogue, at: int) -> Item:
        old = _entry(catalogue, kind, key, at)
        check_tag(expected, etag_at(catalogue.versions(kind.name, key), at))
        return Item(kind=kind.name, key=key, archived=archived, content=old.content, path="")

    return await _write(services, author, kind, "archive" if archived else "restore", item, at_instant)


async def _write(
    services: Services,
    author: Author,
    kind: Kind,
    what: str | None,
    item: Callable[[Catalogue, int], Item],
    effective_from: int | None,
) -> Written:
    """Write the change and its entry in the change log in one step, unless nothing changes. `what`: by default, what
    the change does to the version in effect."""
    seed, today = secrets.token_bytes(SEED_BYTES), await services.today(await services.catalogue_store.next_instant())
    planned: tuple[Item, CatalogueEntry | None, Plan] | None = None

    def decide(current: Catalogue, at: int) -> tuple[Planned, ...]:
        nonlocal planned
        wanted = item(current, at)
        if mistakes := change_mistakes(current, [wanted], at, services.config.billing.period):
            raise all_invalid(mistakes)
        found = plan(current, [wanted], seed=seed, at=at, today=today)
        planned = wanted, current.entry(kind.name, wanted.key, at), found
        if found.changes and effective_from in current.instants(kind.name, wanted.key):
            when = instant.render(effective_from or 0)
            remedy = f"choose another {EFFECTIVE_FROM}"
            raise Refused("CONFLICT", f"a version already takes effect at {when}", remedy=remedy, reason=INSTANT_TAKEN)
        return found.changes

    def log() -> list[Logged]:
        if planned is None:
            return []
        wanted, old, found = planned
        if what is None:
            return file_entries(author, found.changes, {(kind.name, wanted.key): old})
        return change_entries(author, what, found.changes, {wanted.key: old})

    try:
        applied = await services.catalogue_store.change(services.catalogue, decide, effective_from, log=log)
    except CatalogueRefused as conflict:
        raise refused(conflict) from None
    assert planned is not None
    wanted, old, found = planned
    now = await services.catalogue_store.next_instant()
    at = now if effective_from is None else effective_from
    return Written(
        thing=thing_of(services.catalogue, kind, wanted.key, now, at if applied is None else applied.effective_from),
        before=None if old is None else {"archived": old.archived, **old.content},
        changed=applied is not None,
        secret=found.secrets.get(wanted.key),
    )


def _instant_of(raw: Mapping[str, Any]) -> tuple[dict[str, Any], int | None, list[Mistake]]:
    """Return the fields without `effective_from`, that field as an instant, and its mistakes."""
    given = dict(raw)
    text = given.pop(EFFECTIVE_FROM, None)
    try:
        return given, None if text is None else _parsed(text), []
    except ValueError as wrong:
        return given, None, [Mistake(EFFECTIVE_FROM, str(wrong))]


def _parsed(text: object) -> int:
    if not isinstance(text, str):
        raise ValueError("must be a string such as 2027-01-01T00:00:00Z")
    return instant.parse(text)


def _read(catalogue: Catalogue, kind: Kind, raw: Mapping[str, Any], wrong: Sequence[Mistake]) -> Item:
    """Validate the fields with the domain's reader. Raise with every mistake, the already known ones first."""
    file = catalogue_file.read({kind.section: [raw] if kind.key_name else raw}, catalogue)
    start = f"{kind.section}[0]" if kind.key_name else kind.section
    found = [*file.mistakes, *reference_mistakes(file, catalogue, _REMEDY)]
    mistakes = [*wrong, *[replace(one, path=one.path.removeprefix(start).removeprefix(".")) for one in found]]
    if mistakes:
        raise all_invalid(mistakes)
    return replace(file.items[0], path="")


def _entry(catalogue: Catalogue, kind: Kind, key: str, at: int) -> CatalogueEntry:
    """Return the version that a change is based on."""
    starts = catalogue.instants(kind.name, key)
    if not starts:
        raise unknown(kind, key, catalogue)
    found = catalogue.entry(kind.name, key, at)
    if found is None:
        first = instant.render(starts[0])
        remedy = f"give a later {EFFECTIVE_FROM}"
        raise Refused("CONFLICT", f"its first version takes effect at {first}", remedy=remedy, reason=TOO_EARLY)
    return found


def refused(conflict: CatalogueRefused) -> Refused:
    """Convert a refusal of the store."""
    if conflict.is_instant:
        return invalid(EFFECTIVE_FROM, conflict.problem)
    return Refused("CONFLICT", conflict.problem)
