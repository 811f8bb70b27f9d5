"""Loads stored catalogue entries into a `Catalogue`, the same way for every reader.

The head is stored beside the list: how many entries it has, and their digest. A reader that knows more than the head
says, or whose entries do not lead to it, must not bill: versions were lost, or others have taken their place.
"""

from collections.abc import Sequence
from typing import Final

from witnd.domain.catalogue.catalogue import Catalogue, CatalogueEntry
from witnd.domain.catalogue.chain import EMPTY, Head, head_after
from witnd.store.errors import LostData, Unsafe
from witnd.store.records.json_record import REMEDY, decode_record

REPAIR: Final = "stop the daemons; `witnd repair catalogue` shows the difference and writes the versions back"


def decode_head(raw: bytes | None) -> Head:
    """Read the stored head; without one there is no catalogue yet."""
    if raw is None:
        return EMPTY
    try:
        return Head.parse(raw)
    except ValueError as wrong:
        raise Unsafe(f"the head of the catalogue is damaged: {wrong}", REPAIR) from wrong


def decided_head(text: str | None) -> Head | None:
    """The head that a step recorded; None before the first step."""
    return None if text is None else decode_head(text.encode())


def decode_entry(place: int, raw: bytes) -> CatalogueEntry:
    """Read one entry. `place` counts from 0 and is for people."""
    return decode_record(raw, CatalogueEntry, f"entry {place} of the catalogue")


def check_head(catalogue: Catalogue, known: Head, found: Head, length: int | None = None) -> None:
    """Raise `Unsafe` if `found` is not what the catalogue was or has become.

    `known`: its head before the read. `length`: how many entries the list had, read before the head: the list never
    has more than the head says, because both are written together.
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
    """Raise `Unsafe` if steps of `what` were decided under another catalogue than this one, which is complete."""
    if decided is None or catalogue.chain.contains(decided):
        return
    if decided.count > catalogue.revision:
        raise LostData(
            f"Redis lost data: {what} was decided under {decided.count} versions of the catalogue, but it has "
            f"{catalogue.revision}: {_numbers(catalogue.revision, decided.count)} missing",
            REPAIR,
        )
    raise LostData(
        f"Redis lost data: {what} was decided under other versions of the catalogue than the first {decided.count} now",
        REPAIR,
    )


def add_stored(catalogue: Catalogue, start: int, head: Head, entries: Sequence[bytes]) -> None:
    """Add stored entries that were read from `start` on, up to `head`. Others may have added some meanwhile.

    Raises `Unsafe` where they are too few, do not lead to the head, or cannot be read; then nothing was added before
    the entry that is named.
    """
    if start + len(entries) < head.count:
        raise _length_error(start + len(entries), head)
    new = entries[catalogue.revision - start : head.count - start]
    reached = head_after(catalogue.chain.head, new)
    if reached.count == head.count and reached != head:
        raise LostData(
            f"the {head.count} versions of the catalogue in Redis are not those that its head was computed from: "
            "some were lost or changed",
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
    """Raise `Unsafe` if the list and its head, read at one time, do not agree."""
    if length != head.count:
        raise _length_error(length, head)


def _numbers(first: int, last: int) -> str:
    """Numbers of versions behind `first` up to `last`, counted from 1."""
    return f"version {last} is" if last == first + 1 else f"versions {first + 1} to {last} are"
