"""Archiving a thing of the catalogue and bringing it back, as the forms of all four kinds do it."""

from witnd.app.catalogue import change as catalogue_change
from witnd.app.catalogue.read import Kind
from witnd.app.errors import invalid
from witnd.web.dashboard.page import PageRequest
from witnd.web.dashboard.present.instants import from_when, written_instant


async def archive(request: PageRequest, kind: Kind, key: str, *, archived: bool) -> str | None:
    """What a sentence about it ends with: from when on, where somebody chose that. None where it was so already.
    `archived` False: bring it back, which needs no tick."""
    if archived and "confirmed" not in request.form:
        raise invalid("", f"tick the box to confirm that the {kind.word} is to be archived")
    start = written_instant(request.form.get("effective_from", "").strip())
    written = await catalogue_change.archive(
        request.services, request.author, kind, key, archived=archived, effective_from=start
    )
    return from_when(written.thing.version.effective_from, start) if written.changed else None
