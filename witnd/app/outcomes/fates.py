"""Find the fate of an event, and list events that were not applied."""

import re
from collections.abc import Sequence
from typing import Final

from witnd.app.errors import Refused, invalid
from witnd.app.paging import LOOKED_AT_MAX, cursor_of
from witnd.app.services import Services
from witnd.domain.outcomes.event import EntryId, Event
from witnd.store.keys import Keys
from witnd.store.log.reader import entry_id
from witnd.store.page import Page
from witnd.store.query.cursor import text_of_cursor
from witnd.store.query.fates import (
    FORWARDED,
    Fate,
    event_of,
    fate_of,
    logged_fields,
    recorded_fate,
    shorten,
    with_events,
)
from witnd.store.query.merged import newest_fates
from witnd.store.query.reads import FATES, Reads, open_reads

_ENTRY: Final = re.compile("([0-9]{1,16})-([0-9]{1,20})", re.ASCII)


async def page(
    services: Services,
    *,
    fate: str | None,
    key: str | None,
    partition: int | None = None,
    limit: int,
    after: str | None,
    looked_at_max: int | None = None,
    is_shortened: bool = True,
) -> Page[Fate]:
    """Return a page of events that were not applied, the newest first. `fate`: several separated by commas; default:
    all. `key`: only events of this outcome. `is_shortened`: truncate long values of rejected events."""
    partitions, fates = services.chosen(partition), _fates(fate)
    behind, most = cursor_of(services, after), looked_at_max or LOOKED_AT_MAX

    async def filled(reads: Reads, data: list[Fate]) -> list[Fate]:
        found = await with_events(reads, partitions, data)
        return [shorten(fate) for fate in found] if is_shortened else found

    data: list[Fate] = []
    looked_at, last = 0, behind
    async with open_reads(services.server) as reads:
        async for place, record in newest_fates(reads, partitions, fates, behind, limit + 1):
            mine = record is not None and key in (None, record.key)
            if looked_at == most or (mine and len(data) == limit):
                return Page(await filled(reads, data), text_of_cursor(last))
            if record is not None and mine:
                data.append(recorded_fate(place.partition, entry_id(place.name), record, None))
            looked_at, last = looked_at + 1, place
        return Page(await filled(reads, data), None)


async def one(services: Services, id_: str, *, partition: int | None = None, key: str | None = None) -> Fate:
    """Return the fate of an entry. After the log is trimmed, an applied event is found only with its key. Raise
    CONFLICT if several partitions have an entry with this id."""
    found = await anywhere(services, id_, partition=partition, key=key)
    if not found:
        remedy = (
            "give its key, which finds an applied event that the log does not have any more" if key is None else None
        )
        raise Refused("NOT_FOUND", f"no such event: {id_!r}", remedy=remedy)
    if len(found) > 1:
        raise in_several(found)
    return found[0]


async def anywhere(services: Services, id_: str, *, partition: int | None = None, key: str | None = None) -> list[Fate]:
    """Return the events with this id in all partitions: each partition assigns its own ids."""
    entry, wanted = entry_named("id", id_), services.chosen(partition)
    async with open_reads(services.server) as reads:
        answers = [await fate_of(reads, services.partitions, keys, entry, key) for keys in wanted]
    # An outcome that moved is found in its partition and in that of its log.
    found = list({fate.partition: fate for fate in answers if fate is not None}.values())
    # A forwarded event often has its id in both logs.
    return [fate for fate in found if fate.fate != FORWARDED] or found


def in_several(found: Sequence[Fate]) -> Refused:
    """Refuse an id that several partitions have."""
    numbers = ", ".join(str(fate.partition) for fate in found)
    return Refused("CONFLICT", f"partitions {numbers} each have an entry {found[0].id}", remedy="give a partition")


def partition_named(text: str) -> int:
    """Parse the number of a partition in a path."""
    if not (text.isascii() and text.isdigit() and len(text) < 7):
        raise invalid("partition", "must be the number of a partition")
    return int(text)


async def events_of(services: Services, found: Sequence[Fate]) -> dict[tuple[int, str], Event]:
    """Return the content of those events that the log still has and that are readable, by partition and id."""

    events: dict[tuple[int, str], Event] = {}
    if not found:
        return events
    async with open_reads(services.server) as reads:
        for number in {fate.partition for fate in found}:
            ids = [fate.id for fate in found if fate.partition == number]
            for id_, fields in (await logged_fields(reads, services.partitions[number], ids)).items():
                if (event := event_of(fields)) is not None:
                    events[number, id_] = event
    return events


async def fields_of(services: Services, keys: Keys, ids: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    """Return the fields of those events of a partition that the log still has."""
    async with open_reads(services.server) as reads:
        return await logged_fields(reads, keys, ids)


def entry_named(path: str, text: str) -> EntryId:
    """Parse the id of an entry. `path`: the field it came from."""
    form = _ENTRY.fullmatch(text)
    if form is None:
        raise invalid(path, "must be the id of an entry, such as 1789000000000-0")
    return int(form[1]), int(form[2])


def _fates(text: str | None) -> Sequence[str]:
    if text is None:
        return FATES
    wanted = [word.strip() for word in text.split(",")]
    if any(word not in FATES for word in wanted):
        raise invalid("fate", f"must be one or more of {', '.join(FATES)}, separated by commas, got {text!r}")
    return list(dict.fromkeys(wanted))
