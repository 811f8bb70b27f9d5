"""Read the change log: who changed what, and when."""

import re
from typing import Any, Final

from msgspec import Struct

from witnd.app.errors import invalid_cursor
from witnd.domain.values import instant
from witnd.store.access.change_log import Changes, Source
from witnd.store.page import Page

# The id of a stream entry. 0-0 is none, and nothing comes before it.
_ENTRY: Final = re.compile(r"(?!0+-0+$)[0-9]{1,15}-[0-9]{1,18}", re.ASCII)


class ChangeJson(Struct, frozen=True, kw_only=True):
    """One change. `what`: the resource and the operation. `before` is null if the change created it. Secrets are
    hidden. `after.requested` true: witnd logged the request before the change, and the entry stays if the change then
    failed. `source`: the interface. `who`: the token's name, with its `token_id`; for commands the operating system
    user.
    """

    id: str
    at: str
    who: str
    source: Source
    token_id: str | None
    what: str
    key: str
    request_id: str
    before: Any
    after: Any


async def page(changes: Changes, limit: int, after: str | None) -> Page[ChangeJson]:
    """Return a page of changes, the newest first."""
    if after is not None and not _ENTRY.fullmatch(after):
        raise invalid_cursor(after)
    found = await changes.newest(limit + 1, after)
    return Page(
        [
            ChangeJson(
                id=one.id,
                at=instant.render(int(one.id.partition("-")[0])),
                who=one.who,
                source=one.source,
                token_id=one.token_id,
                what=one.what,
                key=one.key,
                request_id=one.request_id,
                before=one.before,
                after=one.after,
            )
            for one in found[:limit]
        ],
        found[limit - 1].id if len(found) > limit else None,
    )
