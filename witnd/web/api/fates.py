"""The fate of events: of one, and lists of those that were not applied."""

import re
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from witnd.domain.catalogue import Catalogue
from witnd.store.fates import Fate, fate_of, shortened
from witnd.store.fates import listed as told
from witnd.store.listing import newest_fates
from witnd.store.log import entry_id
from witnd.store.reads import FATES, Reads
from witnd.web.asking import LOOKED_AT_MAX, asked, cursor, place_of
from witnd.web.errors import invalid, missing
from witnd.web.route import Call, Listing, route

_ENTRY: Final = re.compile("([0-9]{1,16})-([0-9]{1,20})", re.ASCII)


class FateQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`key`: the outcome of the event. Only with it an applied event is found once the log is trimmed."""

    key: str | None = None


class FatesQuery(Listing, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`fate`: held, rejected, late, duplicate or conflict, several with commas between; all without it. `key`: only
    events of this outcome. A page may be short where those are rare: `next_cursor` null is the end."""

    fate: str | None = None
    key: str | None = None


class FatePage(Struct, frozen=True, kw_only=True):
    """Events that were not applied, the newest first. Long values of rejected ones are cut off."""

    data: list[Fate]
    next_cursor: str | None


@route(
    "GET",
    "/v1/events",
    says="List events that were not applied, by their fate. Applied ones are told with their outcome.",
    scope="read",
    query=FatesQuery,
    answer=FatePage,
)
async def list_fates(call: Call[FatesQuery]) -> FatePage:
    limit, after = call.page()
    partitions, key = call.services.partitions, call.query.key
    fates = _fates(call.query.fate)
    behind = place_of(after, len(partitions))

    async def ask(reads: Reads, _: Catalogue) -> FatePage:
        data: list[Fate] = []
        looked_at, last = 0, behind
        async for place, record in newest_fates(reads, partitions, fates, behind, limit + 1):
            mine = record is not None and key in (None, record.key)
            if looked_at == LOOKED_AT_MAX or (mine and len(data) == limit):
                return FatePage(data=data, next_cursor=cursor(last))
            if record is not None and mine:
                data.append(shortened(told(place.partition, entry_id(place.name), record, None)))
            looked_at, last = looked_at + 1, place
        return FatePage(data=data, next_cursor=None)

    return await asked(call.services, ask)


@route(
    "GET",
    "/v1/events/{partition}/{id}",
    says="What became of an event: applied, duplicate, conflict, late, held or rejected; `waiting` until it is read, "
    "`control` for an entry of the daemon's own, `unknown` where it was read and left no trace.",
    scope="read",
    query=FateQuery,
    answer=Fate,
    refusals=("NOT_FOUND",),
)
async def read_fate(call: Call[FateQuery]) -> Fate:
    form = _ENTRY.fullmatch(call.path["id"])
    if form is None:
        raise invalid("id", "must be the id of an entry, like 1789000000000-0")
    number, partitions = call.path["partition"], call.services.partitions
    if not (number.isascii() and number.isdigit() and len(number) < 7):
        raise invalid("partition", "must be the number of a partition")
    entry = int(form[1]), int(form[2])
    if int(number) >= len(partitions):
        raise missing("partition", number)

    async def ask(reads: Reads, _: Catalogue) -> Fate | None:
        return await fate_of(reads, partitions[int(number)], entry, call.query.key)

    found = await asked(call.services, ask)
    if found is None:
        raise missing("event", call.path["id"])
    return found


def _fates(text: str | None) -> Sequence[str]:
    if text is None:
        return FATES
    wanted = [word.strip() for word in text.split(",")]
    if any(word not in FATES for word in wanted):
        raise invalid("fate", f"must be of {', '.join(FATES)}, with commas between several; not {text!r}")
    return list(dict.fromkeys(wanted))
