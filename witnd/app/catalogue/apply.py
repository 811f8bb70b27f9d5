"""Apply a catalogue file: plan its changes, and write them with their entries in the change log."""

import secrets
from typing import Final

from msgspec import Struct

from witnd.app.catalogue.change import SEED_BYTES, refused
from witnd.app.errors import all_invalid, unavailable
from witnd.app.services import Services
from witnd.domain.catalogue.catalogue import Catalogue, CatalogueEntry
from witnd.domain.catalogue.checks.change import change_mistakes, change_warnings
from witnd.domain.catalogue.file import CatalogueFile, parse, reference_mistakes
from witnd.domain.catalogue.plan import Change, Plan, plan
from witnd.domain.values.mistake import Mistake
from witnd.store.access.change_log import Author
from witnd.store.access.change_log import Change as Logged
from witnd.store.catalogue.change_entries import file_entries
from witnd.store.catalogue.versions import AppliedChange, CatalogueRefused
from witnd.store.errors import StoreUnavailable

# Ten thousand customers take two of them; what is larger is another file by mistake.
LARGEST_FILE: Final = 32 << 20


class Application(Struct, frozen=True, kw_only=True):
    """The changes of a file. `applied` is None if nothing was written: after a dry run, or without changes."""

    plan: Plan
    applied: AppliedChange | None
    warnings: list[Mistake]


async def apply(
    services: Services, author: Author, raw: bytes, *, effective_from: int | None, is_dry_run: bool
) -> Application:
    """Set every field of each entry in the file, as written or to its default. Other entries stay unchanged. Raise
    VALIDATION_ERROR with every mistake in the file."""
    seed, today = secrets.token_bytes(SEED_BYTES), await services.today(await services.catalogue_store.next_instant())
    planned = Plan(changes=(), differences=(), secrets={})
    before: dict[tuple[str, str], CatalogueEntry | None] = {}
    warnings: list[Mistake] = []

    def decide(current: Catalogue, at: int) -> tuple[Change, ...]:
        nonlocal planned, warnings
        file = parse_file(raw, current)
        if wrong := (*file.mistakes, *reference_mistakes(file, current)):
            raise all_invalid(wrong)
        if mistakes := change_mistakes(current, file.items, at, services.config.billing.period):
            raise all_invalid(mistakes)
        planned = plan(current, file.items, seed=seed, at=at, today=today)
        warnings = change_warnings(current, file.items, at)
        before.update({(one.kind, one.key): current.entry(one.kind, one.key, at) for one in planned.changes})
        return () if is_dry_run else planned.changes

    def log() -> list[Logged]:
        return file_entries(author, planned.changes, before)

    try:
        applied = await services.catalogue_store.change(services.catalogue, decide, effective_from, log=log)
    except CatalogueRefused as conflict:
        raise refused(conflict) from None
    except StoreUnavailable as silent:
        if planned.changes and not is_dry_run:
            raise unavailable(f"write not confirmed ({silent}); apply it again") from silent
        raise
    return Application(plan=planned, applied=applied, warnings=warnings)


def parse_file(raw: bytes, catalogue: Catalogue | None = None) -> CatalogueFile:
    """Parse a file against an optional catalogue. Text that is not UTF-8 is one of its mistakes."""
    if len(raw) > LARGEST_FILE:
        limit = f"the file is larger than {LARGEST_FILE >> 20} MiB; split it"
        return CatalogueFile(mistakes=(Mistake("", limit),))
    try:
        return parse(raw.decode("utf-8-sig"), catalogue)
    except UnicodeDecodeError as wrong:
        problem = f"the file is not UTF-8 text ({wrong.reason} at byte {wrong.start}); save it as UTF-8"
        return CatalogueFile(mistakes=(Mistake("", problem),))
