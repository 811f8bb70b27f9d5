"""Loads stored catalogue entries into a `Catalogue`, and checks that none is missing.

The head is stored with the list: the number of entries and their digest. A reader that has read more entries than the
head, or other ones, must not bill: versions were lost or replaced.
"""

from collections.abc import Sequence
from typing import Final

from witnd.domain.catalogue.catalogue import Catalogue, CatalogueEntry
from witnd.domain.catalogue.chain import EMPTY, Head, head_after
from witnd.store.errors import LostData, Unsafe
from witnd.store.records.json_record import REMEDY, decode_record

REPAIR: Final = "stop the daemons; `witnd repair catalogue` shows the difference and writes the versions back"


def decode_head(raw: bytes | None) -> Head:
    """Return the stored head; the empty one if there is no catalogue yet."""
    if raw is None:
        return EMPTY
    try:
        return Head.parse(raw)
    except ValueError as wrong:
        raise Unsafe(f"the head of the catalogue is damaged: {wrong}", REPAIR) from wrong


def decided_head(text: str | None) -> Head | None:
    """Return the head that a step recorded; None before the first step."""
    return None if text is None else decode_head(text.encode())


def decode_entry(number: int, raw: bytes) -> CatalogueEntry:
    """Return an entry. `number`, from 0, is for the error message."""
    return decode_record(raw, CatalogueEntry, f"entry {number} of the catalogue")


def check_head(catalogue: Catalogue, known: Head, found: Head, length: int | None = None) -> None:
    """Raise `Unsafe` if `found` is not a head of this catalogue or of a later one.

    `known`: the catalogue's head before the read. `length`: the length of the list, read before the head. It never
    exceeds the head's count, because both are written together.
    """
    count = found.count if length is None else min(length, found.count)
    if count < known.count:
        raise LostData(
            f"Redis lost data: the catalogue has {count} versions, but {known.count} were read from it: "
            f"{_numbers(count, known.count)} missing",
            REPAIR,
        )
    if length is not None and length > found.count:
        raise _length_error(length, found)
    if found.count <= catalogue.revision and not catalogue.chain.contains(found):
        raise LostData(
            f"Redis lost data: the catalogue has {found.count} versions, but not the {known.count} that were read "
            "from it: some were lost, and others took their place",
            REPAIR,
        )


def check_decided(catalogue: Catalogue, what: str, decided: Head | None) -> None:
    """Raise `Unsafe` if `what` (a partition or billing) used another catalogue than this one, which is complete."""
    if decided is None or catalogue.chain.contains(decided):
        return
    if decided.count > catalogue.revision:
        raise LostData(
            f"Redis lost data: {what} used {decided.count} versions of the catalogue, but it has "
            f"{catalogue.revision}: {_numbers(catalogue.revision, decided.count)} missing",
            REPAIR,
        )
    raise LostData(
        f"Redis lost data: {what} used other versions of the catalogue than the first {decided.count} now",
        REPAIR,
    )


def add_stored(catalogue: Catalogue, start: int, head: Head, entries: Sequence[bytes]) -> None:
    """Add stored entries that were read from number `start` on, up to `head`. Another task may have added some
    meanwhile.

    Raises `Unsafe` if entries are missing, do not match the head, or cannot be read. Entries before the one in the
    error may then be added.
    """
    if start + len(entries) < head.count:
        raise _length_error(start + len(entries), head)
    new = entries[catalogue.revision - start : head.count - start]
    reached = head_after(catalogue.chain.head, new)
    if reached.count == head.count and reached != head:
        raise LostData(
            f"the {head.count} versions of the catalogue in Redis do not match its head: some were lost or changed",
            REPAIR,
        )
    first = catalogue.revision
    for place, raw in enumerate(new, first):
        entry = decode_entry(place, raw)
        try:
            catalogue.add(entry)
        except (ValueError, KeyError, TypeError) as wrong:
            raise Unsafe(f"entry {place} of the catalogue cannot be read: {wrong}", REMEDY) from wrong
        catalogue.chain.add(raw)
    if new and catalogue.chain.on_entries is not None:
        catalogue.chain.on_entries(first, new)


def _length_error(length: int, head: Head) -> LostData:
    return LostData(
        f"the list of catalogue versions has {length} entries, and its head says {head.count}: "
        "versions were lost, or another program wrote to the list",
        REPAIR,
    )


def check_length(length: int, head: Head) -> None:
    """Raise `Unsafe` if the list and its head, read in one transaction, do not match."""
    if length != head.count:
        raise _length_error(length, head)


def _numbers(first: int, last: int) -> str:
    """Return the text for versions `first` + 1 to `last`."""
    return f"version {last} is" if last == first + 1 else f"versions {first + 1} to {last} are"
