"""Archive and restore a catalogue entry of any kind."""

from witnd.app.catalogue import change as catalogue_change
from witnd.app.catalogue.read import Kind
from witnd.app.errors import invalid
from witnd.web.dashboard.page import PageRequest
from witnd.web.dashboard.present.instants import from_when, written_instant


async def archive(request: PageRequest, kind: Kind, key: str, *, archived: bool) -> str | None:
    """Archive or restore (`archived` False, which needs no confirmation).

    Return the end of the message: the effective date, if one was chosen. None if nothing changed.
    """
    if archived and "confirmed" not in request.form:
        raise invalid("", "tick the box to confirm")
    start = written_instant(request.form.get("effective_from", "").strip())
    written = await catalogue_change.archive(
        request.services, request.author, kind, key, archived=archived, effective_from=start
    )
    return from_when(written.thing.version.effective_from, start) if written.changed else None
